"""Processes that each hold a part of the frozen weights train the adapter that one process trains."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributed.tensor import DTensor

from tckr.config import changed, load_settings
from tckr.errors import UserError
from tckr.stages.adapt import kept, train
from tckr.stages.adapt.config import AdaptConfig
from tckr.training.process_group import Team, Tell, train_together
from tests.stages.adapt.conftest import FEW_DRAWS
from tests.stages.adapt.test_train import die_once, encode, fit
from tests.tiny_models import ARRAY_WARNING, fresh_generator

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
WAYS: dict[str, dict[str, Any]] = {
    "killed": {},
    "kept": {"ema_decay": 0.5, "selection": "best", "targets": "all"},
}


def train_sharded(folder: Path, scratch: Path, config: AdaptConfig, *, killed: bool) -> list[Any]:
    """Train in two processes, of which the second is killed once on request; return what they told."""
    generator = fresh_generator(folder)
    encode(generator, scratch)
    encode(generator, scratch / "validation")
    course = train.Course(num_steps=6, seed=1, device="cpu", checkpoint=scratch / "checkpoint.safetensors", sharded=True)
    mark = scratch / "killed" if killed else None
    told: list[Any] = []
    train_together(2, partial(measured, mark=mark, config=config, course=course, cache=scratch), "cpu", told.append)
    return told


def measured(team: Team, tell: Tell, *, config: AdaptConfig, **named: Any) -> None:
    """Train, and tell how many of the denoiser's frozen numbers this process held after they were divided."""
    original = train._joined

    def joined(generator: Any, *args: Any) -> Any:
        result = original(generator, *args)
        frozen = [weight for weight in generator.denoiser.parameters() if not weight.requires_grad]
        assert all(isinstance(weight, DTensor) for weight in frozen)
        tell({"held": sum(weight.to_local().numel() for weight in frozen)})
        return result

    train._joined = joined
    kept.NUM_DRAWS = FEW_DRAWS
    die_once(team, tell, config=config, checked=config.selection == "best", **named)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("way", list(WAYS))
def test_sharded_processes_train_the_adapter_that_one_trains(way: str, tiny_generator: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"batch_size": 4} | WAYS[way]
    common = {"model": str(tiny_generator), "method": "lora", "ema_decay": 0.0, "rank": 2, "learning_rate": 1e-2}
    config = AdaptConfig(**(common | {"precision": "float32"} | settings))
    (tmp_path / "together").mkdir()
    told = train_sharded(tiny_generator, tmp_path / "together", config, killed=way == "killed")
    assert (tmp_path / "together" / "killed").exists() == (way == "killed")
    losses, weights = fit(tiny_generator, tmp_path / "together", steps=6, **settings)  # reads what they ended with
    expected_losses, expected = fit(tiny_generator, tmp_path / "alone", steps=6, **settings)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-3)  # a tenth of one of Adam's steps
    whole = sum(weight.numel() for weight in fresh_generator(tiny_generator).denoiser.parameters())
    held = [message["held"] for message in told if isinstance(message, dict)]
    assert len(held) == 1 + (way == "killed")
    assert all(number == pytest.approx(whole / 2, rel=0.02) for number in held)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"execution.gpus": 1}, r"set execution\.gpus too"),
        ({"adapt.method": "auto"}, r"adapt\.method=auto trains all weights of .*set adapt\.method=lora"),
        ({"adapt.batch_size": 5}, r"adapt\.batch_size=5 is no multiple of execution\.gpus=2; set adapt\.batch_size=6"),
        ({"privacy.epsilon": 10.0}, r"under a formal guarantee is trained by one"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_computed(changes: dict[str, Any], told: str) -> None:
    preset = "dp" if "privacy.epsilon" in changes else None
    fitting = {"adapt.method": "lora", "execution.gpus": 2}
    assert changed(load_settings(), fitting | {"execution.sharded": True}).execution.sharded
    with pytest.raises(UserError, match=told):
        changed(load_settings(preset=preset), fitting | changes | {"execution.sharded": True})
