"""`auto` means few steps for the embedded generator, and the published ones for every other."""

from __future__ import annotations

from typing import Any

import pytest

from tckr.errors import UserError
from tckr.models.diffusion.schedule import EMBEDDED, PUBLISHED, Schedule
from tckr.stages.generate.config import GenerateConfig

EMBEDDED_MODEL = "embedded:generator"


@pytest.mark.parametrize(
    ("model", "settings", "meant"),
    [
        (EMBEDDED_MODEL, {}, EMBEDDED),
        ("owner/model", {}, PUBLISHED),
        (EMBEDDED_MODEL, {"steps": 50}, EMBEDDED._replace(steps=50)),
        (EMBEDDED_MODEL, {"solver": "euler"}, EMBEDDED._replace(solver="euler")),
        (EMBEDDED_MODEL, {"spacing": "default"}, EMBEDDED._replace(spacing="default")),
        (EMBEDDED_MODEL, {"steps": 20, "solver": "default"}, PUBLISHED),  # as settings of before `spacing` meant it
        (EMBEDDED_MODEL, {"solver": "lcm", "steps": 4}, Schedule(steps=4, solver="lcm", spacing="default")),
        ("owner/model", {"spacing": "quadratic"}, PUBLISHED._replace(spacing="quadratic")),
    ],
)
def test_what_is_set_counts_and_the_rest_follows_the_model(model: str, settings: dict[str, Any], meant: Schedule) -> None:
    assert GenerateConfig(**settings).schedule(model) == meant


def test_an_interval_between_the_steps_is_refused_when_their_number_is_known() -> None:
    between = GenerateConfig(guidance_interval=(0.51, 0.6))
    assert between.schedule("owner/model").steps == 20  # of 20 steps it has one, 11 / 20
    with pytest.raises(UserError, match=r"none of the 6 steps is in generate\.guidance_interval"):
        between.schedule(EMBEDDED_MODEL)
    with pytest.raises(ValueError, match=r"none of the 6 steps is in generate\.guidance_interval"):
        GenerateConfig(guidance_interval=(0.51, 0.6), steps=6)
