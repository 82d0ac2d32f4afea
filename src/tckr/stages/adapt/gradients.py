"""Compute the gradient of one optimizer step, in as few forward passes as the device's memory allows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tckr.errors import UserError
from tckr.models.diffusion.generator import Generator
from tckr.models.precision import forward_precision, is_bfloat16
from tckr.stages.adapt.batches import Batch
from tckr.stages.adapt.config import AdaptConfig
from tckr.training.process_group import ALONE, BeginAgain, Team

SMALLER = "passes-{}-{}"
"""Name of a file in the scratch folder that contains the size of passes (images, recomputing) after memory ran out in one of
several processes: all of them start again with these passes."""

Result = TypeVar("Result")


@dataclass
class Passes:
    """How a step is divided into forward passes; the division changes only the last bits of its gradient.

    Attributes:
        largest: images of the first pass that is tried: all images of a step.
        together: images that are always in one pass; the size of each pass is a multiple.
        images: images per forward pass now.
        recomputed: activations are computed again in the backward pass (gradient checkpointing) instead of being stored.
    """

    largest: int
    together: int = 1
    images: int = 0
    recomputed: bool = False

    def __post_init__(self) -> None:
        """Start with the largest pass."""
        self.images = max(1, self.largest // self.together) * self.together

    def prepare(self, generator: Generator) -> None:
        """Let the generator recompute activations if memory ran out in an earlier attempt, perhaps in other processes."""
        if self.recomputed:
            generator.enable_gradient_checkpointing()

    def shrink(self, generator: Generator, *, may_recompute: bool) -> None:
        """Reduce the memory: half as many images; after the smallest pass, the largest one with recomputed activations.

        Raises:
            UserError: the smallest passes, with recomputed activations if they may be, need too much memory.
        """
        if self.images > self.together:
            self.images = -(-self.images // (2 * self.together)) * self.together
        elif may_recompute and not self.recomputed:
            generator.enable_gradient_checkpointing()
            self.images, self.recomputed = self.largest, True
        else:
            tried, smaller = (", even with activations recomputed", "") if may_recompute else ("", "privacy.noise_draws, ")
            raise UserError(
                f"adapting the generator to a single image at a time needs more memory than the device has{tried}; take a "
                f"smaller {smaller}prepare.image_size or adapt.model, or a larger execution.device"
            )

    def keep(self, scratch: Path) -> None:
        """Store these passes for processes that start again."""
        (scratch / SMALLER.format(self.images, int(self.recomputed))).touch()

    @classmethod
    def kept(cls, scratch: Path, largest: int, together: int = 1) -> Passes:
        """Return the smallest passes that were stored; without any, one pass per step."""
        found = [path.name.split("-")[1:] for path in scratch.glob(SMALLER.format("*", "*"))]
        passes = cls(largest, together)
        for images, recomputed in found:
            if (bool(int(recomputed)), -int(images)) > (passes.recomputed, -passes.images):
                passes.images, passes.recomputed = int(images), bool(int(recomputed))
        return passes


class StepLoss(nn.Module):
    """The training loss of a generator as a module, which torch can join with those of other processes."""

    def __init__(self, generator: Generator) -> None:
        """Take the generator; the parameters of the module are those of its denoiser."""
        super().__init__()
        self.denoiser = generator.denoiser
        self._generator = generator

    def forward(self, tensors: tuple[Any, ...], min_snr_gamma: float | None) -> torch.Tensor:
        """Return the loss [B] of the images, given what `Batch.tensors` returned."""
        latents_BCHW, conditioning, noise_BCHW, timesteps_B = tensors
        return self._generator.training_loss(
            latents_BCHW, conditioning, noise_BCHW, timesteps_B, min_snr_gamma=min_snr_gamma
        )


def add_gradients(
    generator: Generator,
    batch: Batch,
    gradient: torch.Tensor,
    passes: Passes,
    *,
    config: AdaptConfig,
    device: str,
    joined: nn.Module | None = None,
    team: Team = ALONE,
) -> torch.Tensor:
    """Add the gradient of the step's loss to `gradient`, the adapter's, which is zero; return the part of `batch` in it [].

    `batch` is this process's share, and `joined` is `team.joined(StepLoss(generator))`, made once for all steps.
    If memory runs out, the step starts again with smaller passes; if other processes wait for this one, all start again.

    Raises:
        BeginAgain: memory ran out, and there are several processes.
    """

    def attempt() -> torch.Tensor:
        gradient.zero_()  # remove the sums of an attempt that ran out of memory
        return _accumulate(joined or StepLoss(generator), batch, passes, config, team.size)

    return retried(attempt, passes, generator, device, alone=team.size == 1)


def retried(
    attempt: Callable[[], Result],
    passes: Passes,
    generator: Generator,
    device: str,
    *,
    alone: bool = True,
    may_recompute: bool = True,
) -> Result:
    """Return the result of `attempt`. If memory runs out, call it again with smaller passes.

    If this process is not `alone`, others wait for it, so all of them must begin again.
    """
    while True:
        try:
            return attempt()
        except torch.OutOfMemoryError:
            passes.shrink(generator, may_recompute=may_recompute)
            if not alone:
                raise BeginAgain from None
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def _accumulate(step_loss: nn.Module, batch: Batch, passes: Passes, config: AdaptConfig, num_processes: int) -> torch.Tensor:
    device = str(next(step_loss.parameters()).device)
    total = torch.zeros((), device=device)
    times = num_processes if isinstance(step_loss, DistributedDataParallel) else 1  # which takes the mean over the processes
    starts = range(0, len(batch), passes.images)
    for start in starts:
        tensors = batch.tensors(start, start + passes.images, device)
        waits = isinstance(step_loss, DistributedDataParallel) and start != starts[-1]  # the last pass meets the others
        with step_loss.no_sync() if waits else nullcontext():
            with forward_precision(bfloat16=is_bfloat16(config.precision, device, training=True), device=device):
                losses = step_loss(tensors, config.min_snr_gamma)
            loss = losses.sum() / config.batch_size
            (loss * times).backward()
        total += loss.detach()
    return total
