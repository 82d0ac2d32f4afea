"""Train the adapter on an encoded set; stopped at any moment, it goes on from its checkpoint to the same result."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tckr.data.seeds import derive_seed
from tckr.models.diffusion.generator import Generator
from tckr.stages.adapt.batches import step_batches
from tckr.stages.adapt.checkpoint import load_checkpoint, state_tensors, writer_of
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.encode import EncodedSet
from tckr.stages.adapt.gradients import Passes, add_gradients
from tckr.stages.adapt.vector import AdapterVector
from tckr.training.averaging import weight_average
from tckr.training.prefetch import prefetched
from tckr.training.process_group import ALONE, Team
from tckr.training.schedule import learning_rate, set_learning_rate

HISTORY_POINTS = 50


@dataclass(frozen=True, kw_only=True)
class Course:
    """How long and where a training runs; the same for all processes of a team.

    Attributes:
        num_steps: optimizer steps.
        seed: of the step's run; all draws follow from it.
        device: torch device name.
        checkpoint: file to go on from and to write to.
        compiled: compile the denoiser.
    """

    num_steps: int
    seed: int
    device: str
    checkpoint: Path
    compiled: bool = False


def train_adapter(
    generator: Generator,
    encoded: EncodedSet,
    config: AdaptConfig,
    course: Course,
    *,
    passes: Passes,
    team: Team = ALONE,
    advance: Callable[[int], None] = lambda amount: None,
) -> np.ndarray:
    """Train an adapter of `generator`, or its denoiser, and return the loss of every step, float32 [num_steps].

    With `ema_decay` the weights that it ends with are the averaged ones.

    The host never waits for a loss: on CUDA it prepares and launches the next steps while the device works on this one.

    Raises:
        UserError: the memory does not suffice for one image, or the settings do not fit the generator.
    """
    adapter = AdapterVector(_trainable(generator, config, course.seed).values())
    if course.compiled:
        generator.compile_denoiser(cuda_graphs=False)
    optimizer = build_optimizer(adapter, config, course.device)
    average = weight_average(torch.nn.ParameterList([adapter.whole]), config.ema_decay) if config.ema_decay else None
    finished = load_checkpoint(course.checkpoint, adapter, optimizer, average)
    losses = torch.cat([finished, torch.zeros(course.num_steps - len(finished))]).to(course.device)
    steps = range(len(finished), course.num_steps)
    advance(steps.start)
    writer = writer_of(course.checkpoint)
    share = team.share(config.batch_size)
    upcoming = step_batches(generator, encoded, config, steps=steps, seed=course.seed, device=course.device, share=share)
    with closing(prefetched(upcoming, course.device)) as batches:
        for step, batch in zip(steps, batches, strict=True):
            rate = learning_rate(step, course.num_steps, peak=config.learning_rate, schedule=config.schedule)
            set_learning_rate(optimizer, rate)
            loss = add_gradients(generator, batch, adapter.gradient, passes, config=config, device=course.device)
            team.add_up(adapter.gradient, loss)
            losses[step] = loss
            adapter.clip(config.max_gradient_norm)
            optimizer.step()
            adapter.gradient.zero_()
            if average is not None:
                average.update_parameters(torch.nn.ParameterList([adapter.whole]))
            advance(1)
            if team.rank == 0 and (writer.is_due() or step == steps[-1]):
                writer.write(state_tensors(adapter, optimizer, losses[: step + 1], average))
    if average is not None:
        adapter.set(average.module[0])
    return losses.cpu().numpy()


def _trainable(generator: Generator, config: AdaptConfig, seed: int) -> dict[str, torch.nn.Parameter]:
    if config.method == "full":
        return generator.unfreeze()
    return generator.add_lora(config.rank, derive_seed(seed, "adapt", "lora"), config.targets)


def build_optimizer(adapter: AdapterVector, config: AdaptConfig, device: str) -> torch.optim.AdamW:
    """Return AdamW, on CUDA as one kernel."""
    return torch.optim.AdamW(
        [adapter.whole],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True if device.startswith("cuda") else None,
    )


def loss_history(losses: np.ndarray) -> list[dict[str, float]]:
    """Return about 50 points: the mean loss over the steps since the last point, and the step that ends them."""
    width = max(1, math.ceil(len(losses) / HISTORY_POINTS))
    starts = range(0, len(losses), width)
    return [
        {"step": min(start + width, len(losses)), "loss": float(losses[start : start + width].mean())} for start in starts
    ]
