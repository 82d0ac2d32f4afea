"""Out of memory, a step is cut into shorter passes; its gradient stays what it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tckr.errors import UserError
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator
from tckr.stages.adapt.batches import Batch, step_batches
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.encode import EncodedSet, encode_set
from tckr.stages.adapt.gradients import Passes, add_gradients
from tckr.stages.adapt.vector import AdapterVector
from tests.tiny_generators import BUILDERS, build_family
from tests.tiny_models import ARRAY_WARNING, fresh_generator

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
NUM_IMAGES = 5
Prepared = tuple[LatentDiffusion, AdapterVector, Batch]


@dataclass
class Small:
    """A device with room for `room` images per pass, `room_recomputed` with gradient checkpointing."""

    generator: LatentDiffusion
    room: int
    room_recomputed: int = 0
    tried: list[int] = field(default_factory=list)

    @property
    def denoiser(self) -> Any:
        return self.generator.denoiser

    def training_loss(self, latents: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        """Return the loss, where there is room for it."""
        self.tried.append(len(latents))
        if len(latents) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.generator.training_loss(latents, *rest, **options)

    def enable_gradient_checkpointing(self) -> None:
        """Make room."""
        self.generator.enable_gradient_checkpointing()
        self.room = self.room_recomputed


@pytest.fixture
def prepared(tiny_generator: Path, tmp_path: Path) -> Prepared:
    """Return a generator, its adapter's parameters (with effect) and the images of a step."""
    generator = fresh_generator(tiny_generator)
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    encoded: EncodedSet = encode_set(
        generator, images, np.arange(8), list("abcdefgh"), flip=False, batch_size=8, cache=tmp_path
    )
    config = AdaptConfig(batch_size=NUM_IMAGES, precision="float32")
    (batch,) = step_batches(generator, encoded, config, steps=range(1), seed=0, device="cpu")
    parameters = generator.add_lora(2, seed=0)
    for name, parameter in parameters.items():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    return generator, AdapterVector(parameters.values()), batch


def gradients(generator: Any, adapter: AdapterVector, batch: Batch, passes: Passes) -> tuple[float, torch.Tensor]:
    adapter.gradient.zero_()
    loss = add_gradients(
        generator,
        batch,
        adapter.gradient,
        passes,
        config=AdaptConfig(batch_size=NUM_IMAGES, precision="float32"),
        device="cpu",
    )
    return loss.item(), adapter.gradient.clone()


def bytes_kept(generator: LatentDiffusion, batch: Batch) -> int:
    """Return the size of what a forward pass keeps for the backward pass."""
    sizes = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        generator.training_loss(*batch.tensors(0, NUM_IMAGES, "cpu"))
    return sum(sizes)


@pytest.mark.parametrize(
    ("room", "tried", "images"), [(5, [5], 5), (3, [5, 3, 2], 3), (2, [5, 3, 2, 2, 1], 2), (1, [5, 3, 2, 1, 1, 1, 1, 1], 1)]
)
def test_passes_are_halved_until_they_fit(prepared: Prepared, room: int, tried: list[int], images: int) -> None:
    generator, adapter, batch = prepared
    expected = gradients(generator, adapter, batch, Passes(NUM_IMAGES))
    small, passes = Small(generator, room), Passes(NUM_IMAGES)
    loss, found = gradients(small, adapter, batch, passes)
    assert (small.tried, passes.images, passes.recomputed) == (tried, images, False)
    assert loss == pytest.approx(expected[0], rel=1e-5)
    torch.testing.assert_close(found, expected[1], rtol=1e-4, atol=1e-6)
    small.tried.clear()
    gradients(small, adapter, batch, passes)
    assert max(small.tried) == images  # what did not fit is not tried again


def test_memory_runs_out_in_the_middle_of_a_step(prepared: Prepared) -> None:
    generator, adapter, batch = prepared
    expected = gradients(generator, adapter, batch, Passes(NUM_IMAGES))

    class Fragmented(Small):
        def training_loss(self, latents: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
            self.room = 1 if len(self.tried) == 1 else self.room  # the second pass fails where the first did not
            return super().training_loss(latents, *rest, **options)

    loss, found = gradients(Fragmented(generator, room=3), adapter, batch, Passes(3))
    assert loss == pytest.approx(expected[0], rel=1e-5)
    torch.testing.assert_close(found, expected[1], rtol=1e-4, atol=1e-6)


def test_activations_are_recomputed_when_single_images_do_not_fit(prepared: Prepared) -> None:
    generator, adapter, batch = prepared
    expected = gradients(generator, adapter, batch, Passes(NUM_IMAGES))
    small, passes = Small(generator, room=0, room_recomputed=3), Passes(NUM_IMAGES)
    loss, found = gradients(small, adapter, batch, passes)
    assert small.tried == [5, 3, 2, 1, 5, 3, 2]
    assert (passes.images, passes.recomputed) == (3, True)
    assert loss == pytest.approx(expected[0], rel=1e-5)
    torch.testing.assert_close(found, expected[1], rtol=1e-4, atol=1e-6)


def test_recomputed_activations_take_less_memory(prepared: Prepared) -> None:
    generator, _, batch = prepared
    kept = bytes_kept(generator, batch)
    generator.enable_gradient_checkpointing()
    assert bytes_kept(generator, batch) < kept / 2


def test_no_room_for_one_image_is_a_user_error(prepared: Prepared) -> None:
    generator, adapter, batch = prepared
    with pytest.raises(UserError, match=r"single image.*prepare\.image_size"):
        gradients(Small(generator, room=0), adapter, batch, Passes(NUM_IMAGES))


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_a_float32_adapter_learns_in_a_bfloat16_model(family: str, tmp_path: Path) -> None:
    folder = str(build_family(family, tmp_path / family))
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        generator = load_generator(folder, "cpu", dtype)
        size = generator.size_multiple
        latents = generator.encode_images(torch.full((2, 3, size, size), 0.5)).clone().float().chunk(2, dim=1)[0]
        conditioning = {name: rows.clone().float() for name, rows in generator.encode_prompts(["a b", "c"]).items()}
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
        parameters = generator.add_lora(2, seed=0)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = generator.training_loss(latents, conditioning, noise, torch.tensor([30, 60])).sum()
        loss.backward()
        found[dtype] = loss.item()
        assert {parameter.dtype for parameter in parameters.values()} == {torch.float32}
        assert sum(parameter.grad.abs().sum().item() for parameter in parameters.values() if parameter.grad is not None) > 0
    assert found[torch.bfloat16] == pytest.approx(found[torch.float32], rel=0.05)
