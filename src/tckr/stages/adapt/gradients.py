"""Compute the gradient of one optimizer step, in as few forward passes as the device's memory allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from tckr.errors import UserError
from tckr.models.diffusion.generator import Generator
from tckr.models.precision import forward_precision, is_bfloat16
from tckr.stages.adapt.batches import Batch
from tckr.stages.adapt.config import AdaptConfig

Result = TypeVar("Result")


@dataclass
class Passes:
    """How a step is divided into forward passes; the division changes only the last bits of its gradient.

    Attributes:
        largest: images of the first pass that is tried: all images of a step.
        images: images per forward pass now.
        recomputed: activations are computed again in the backward pass (gradient checkpointing) instead of being stored.
    """

    largest: int
    images: int = 0
    recomputed: bool = False

    def __post_init__(self) -> None:
        """Start with the largest pass."""
        self.images = self.largest

    def shrink(self, generator: Generator) -> None:
        """Reduce the memory: half as many images; after single images, the largest pass with recomputed activations.

        Raises:
            UserError: single images with recomputed activations need too much memory.
        """
        if self.images > 1:
            self.images = -(-self.images // 2)
        elif not self.recomputed:
            generator.enable_gradient_checkpointing()
            self.images, self.recomputed = self.largest, True
        else:
            raise UserError(
                "adapting the generator to a single image at a time needs more memory than the device has, even with "
                "activations recomputed; take a smaller prepare.image_size or adapt.model, or a larger execution.device"
            )


def add_gradients(
    generator: Generator,
    batch: Batch,
    gradient: torch.Tensor,
    passes: Passes,
    *,
    config: AdaptConfig,
    device: str,
) -> torch.Tensor:
    """Add the gradient of the loss of `batch` to `gradient`, the adapter's, which is zero; return that loss [].

    The loss is the part that the images of `batch` have in the step's mean.
    When memory runs out, the step begins again with shorter passes.
    """

    def attempt() -> torch.Tensor:
        gradient.zero_()  # what an attempt that ran out of memory had added
        return _accumulate(generator, batch, passes, config, device)

    return retried(attempt, passes, generator, device)


def retried(attempt: Callable[[], Result], passes: Passes, generator: Generator, device: str) -> Result:
    """Return what `attempt` returns; when memory runs out, it begins again with shorter passes."""
    while True:
        try:
            return attempt()
        except torch.OutOfMemoryError:
            passes.shrink(generator)
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def _accumulate(generator: Generator, batch: Batch, passes: Passes, config: AdaptConfig, device: str) -> torch.Tensor:
    total = torch.zeros((), device=device)
    for start in range(0, len(batch), passes.images):
        tensors = batch.tensors(start, start + passes.images, device)
        with forward_precision(bfloat16=is_bfloat16(config.precision, device, training=True), device=device):
            losses = generator.training_loss(*tensors, min_snr_gamma=config.min_snr_gamma)
        loss = losses.sum() / config.batch_size
        loss.backward()
        total += loss.detach()
    return total
