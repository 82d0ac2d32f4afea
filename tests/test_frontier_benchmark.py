"""`benchmarks/frontier.py` reads settings as a run does, and its paired differences are those of the pairs."""

from __future__ import annotations

import pytest
from benchmarks.frontier import TODAY, Setting, paired

from tckr.stages.generate.config import GenerateConfig

OWN = GenerateConfig(steps=30, guidance_scale=3.0)


def test_a_setting_changes_what_it_names_alone() -> None:
    setting = Setting.parse("solver=unipc guidance_interval=[0.2,0.8] cache=2 half_decoder=true", OWN)
    changes = {"solver": "unipc", "guidance_interval": (0.2, 0.8)}
    assert setting.config == OWN.model_copy(update=changes)
    assert (setting.cache, setting.half_decoder) == (2, True)
    assert Setting.parse(TODAY, OWN).config == OWN


def test_the_interval_is_that_of_the_pairs() -> None:
    mean, low, high = paired([0.01, 0.03])  # in points 1 and 3: deviation sqrt(2), t with one degree of freedom 12.706
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - 12.706, 2.0 + 12.706), abs=1e-3)
