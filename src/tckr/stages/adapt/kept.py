"""The final weights of a training: the last ones, their average, or the best of either by validation loss."""

from __future__ import annotations

import torch

from tckr.data.seeds import derive_seed
from tckr.models.diffusion.generator import Generator
from tckr.models.precision import forward_precision, is_bfloat16
from tckr.stages.adapt.batches import Batch, gather
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.draws import draw_step
from tckr.stages.adapt.encode import EncodedSet
from tckr.stages.adapt.vector import AdapterVector
from tckr.training.averaging import weight_average

NUM_DRAWS = 256
"""Images of one check, each with its noise and level; images of a small split are repeated."""


def draw_validation(generator: Generator, encoded: EncodedSet, seed: int) -> Batch:
    """Return the images, noise and levels used in every check of a training."""
    draws = draw_step(
        derive_seed(seed, "adapt", "validation"),
        0,
        num_images=len(encoded.prompt_of),
        num_drawn=NUM_DRAWS,
        latent_shape=encoded.latent_shape,
        num_timesteps=generator.num_timesteps,
        flip=False,
        caption_dropout=0.0,
    )
    return gather(generator, encoded, draws)


@torch.no_grad()
def validation_loss(generator: Generator, batch: Batch, config: AdaptConfig, *, images: int, device: str) -> torch.Tensor:
    """Return the mean denoising loss [] of `batch`, with `images` images per pass."""
    total = torch.zeros((), device=device)
    for start in range(0, len(batch), images):
        tensors = batch.tensors(start, start + images, device)
        with forward_precision(bfloat16=is_bfloat16(config.precision, device, training=True), device=device):
            total += generator.training_loss(*tensors).sum()
    return total / len(batch)


class Kept:
    """Weights stored in addition to the trained ones. They stay on the device, and the host does not wait for a loss.

    Attributes:
        average: moving average of the trained weights (`ema_decay`); None if it is off.
        best: weights of the check with the lowest loss so far; None without selection.
        checks: validation losses so far.
    """

    def __init__(self, adapter: AdapterVector, config: AdaptConfig) -> None:
        self.adapter = adapter
        trained = torch.nn.ParameterList([adapter.joined])
        self.average = weight_average(trained, config.ema_decay) if config.ema_decay else None
        self.best = adapter.joined.detach().clone() if config.selection == "best" else None
        self.checks = torch.zeros(0, device=adapter.joined.device)

    def follow(self) -> None:
        """Update the average with the weights of a step."""
        if self.average is not None:
            self.average.update_parameters(torch.nn.ParameterList([self.adapter.joined]))

    def check(self, generator: Generator, batch: Batch, config: AdaptConfig, images: int) -> None:
        """Measure the present weights (averaged ones if there are), and store them if no earlier check was better."""
        assert self.best is not None
        trained, present = self.adapter.joined.detach().clone(), self._present()
        self.adapter.set(present)
        loss = validation_loss(generator, batch, config, images=images, device=str(trained.device))
        self.best = torch.where((loss < self.checks).all(), present, self.best)
        self.checks = torch.cat([self.checks, loss[None]])
        self.adapter.set(trained)

    def settle(self) -> None:
        """Set the adapter to the weights that will be stored."""
        self.adapter.set(self._present() if self.best is None else self.best)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors for a checkpoint."""
        averaged = {} if self.average is None else {"average": self._present()}
        return averaged if self.best is None else averaged | {"best": self.best, "checks": self.checks}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the tensors from `state`."""
        if self.average is not None:
            with torch.no_grad():
                self.average.module[0].copy_(tensors["average"])
            self.average.n_averaged.fill_(1 + len(tensors["losses"]))
        if self.best is not None:
            self.best, self.checks = (tensors[name].to(self.checks.device) for name in ("best", "checks"))

    def _present(self) -> torch.Tensor:
        weights: torch.Tensor = self.adapter.joined if self.average is None else self.average.module[0]
        return weights.detach()
