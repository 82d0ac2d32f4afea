"""Several processes that run out of memory begin again with smaller passes until these fit, and train the same adapter."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator
from tckr.stages.adapt import stage, train
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.gradients import Passes
from tckr.training import process_group
from tckr.training.process_group import Team, Tell, train_together
from tests.stages.adapt.test_train import encode
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)


def train_with_little_memory(team: Team, tell: Tell, **named: Any) -> None:
    """Be one of the processes; the second has memory for one image, with its activations recomputed."""
    original = LatentDiffusion.training_loss

    def limited(self: LatentDiffusion, latents: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        if team.rank == 1 and (len(latents) > 1 or not self.denoiser.is_gradient_checkpointing):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, latents, *rest, **options)

    LatentDiffusion.training_loss = limited
    stage._train_share(team, tell, checked=False, **named)


@pytest.mark.usefixtures("one_thread")
def test_processes_without_memory_begin_again_until_their_passes_fit(
    tiny_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_group, "RESTARTS", 0)  # after a death, none
    config = AdaptConfig(model=str(tiny_generator), method="lora", rank=2, batch_size=4, precision="float32")
    weights = {}
    for name in ("ample", "little"):
        (scratch := tmp_path / name).mkdir()
        encode(load_generator(str(tiny_generator), "cpu"), scratch)
        course = train.Course(num_steps=2, seed=1, device="cpu", checkpoint=scratch / "checkpoint.safetensors")
        share = train_with_little_memory if name == "little" else partial(stage._train_share, checked=False)
        train_together(2, partial(share, config=config, course=course, cache=scratch), "cpu", lambda told: None)
        weights[name] = load_file(course.checkpoint)
    passes = Passes.kept(tmp_path / "little", 2)
    assert (passes.images, passes.recomputed) == (1, True)
    assert weights["ample"].keys() == weights["little"].keys()
    for name, tensor in weights["ample"].items():
        torch.testing.assert_close(weights["little"][name], tensor, rtol=1e-3, atol=1e-5)
