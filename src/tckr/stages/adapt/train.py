"""Train the adapter on an encoded set; an interrupted training continues from its checkpoint to the same result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tckr.data.seeds import derive_seed
from tckr.models.diffusion.generator import Generator
from tckr.stages.adapt.batches import Batch, step_batches
from tckr.stages.adapt.checkpoint import load_checkpoint, state_tensors, writer_of
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.encode import EncodedSet
from tckr.stages.adapt.gradients import Passes, StepLoss, add_gradients
from tckr.stages.adapt.kept import Kept, draw_validation
from tckr.stages.adapt.private import Mechanism, private_batches, set_private_gradient
from tckr.stages.adapt.vector import AdapterVector
from tckr.training.prefetch import prefetched
from tckr.training.process_group import ALONE, Team
from tckr.training.schedule import learning_rate, set_learning_rate

HISTORY_POINTS = 50
POINTS_PER_CHECK = 5
"""Number of checks on the validation images; with 300 steps, they take a tenth of the time."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The losses of a training.

    Attributes:
        steps: float32 [num_steps], the loss of every step.
        checks: float32, validation losses; empty without selection.
    """

    steps: np.ndarray
    checks: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Course:
    """How long and where a training runs; the same for all processes.

    Attributes:
        num_steps: optimizer steps.
        seed: seed of the step's run, which determines all random numbers.
        device: torch device name.
        checkpoint: file to continue from and to write to.
        compiled: compile the denoiser.
        sharded: several processes hold a part of the frozen weights each.
        least_timestep: noise levels below are not learned; without a mechanism.
    """

    num_steps: int
    seed: int
    device: str
    checkpoint: Path
    compiled: bool = False
    sharded: bool = False
    least_timestep: int = 0


def train_adapter(
    generator: Generator,
    encoded: EncodedSet,
    config: AdaptConfig,
    course: Course,
    *,
    passes: Passes,
    validation: EncodedSet | None = None,
    mechanism: Mechanism | None = None,
    start: torch.Tensor | None = None,
    team: Team = ALONE,
    advance: Callable[[int], None] = lambda amount: None,
    note: Callable[..., object] = lambda number, **values: None,
) -> Losses:
    """Train an adapter of `generator`, or its denoiser, and return the losses; `Kept` decides which weights it ends with.

    With a `mechanism`, it is trained with each unit's clipped gradient and noise (`tckr.stages.adapt.private`). `start` are
    its weights before the first step, in the layout of `AdapterVector`.

    The host never waits for a loss: on CUDA it prepares and launches the next steps while the device works on this one.

    Raises:
        UserError: the memory is too small for one image, or the settings do not fit the generator.
    """
    passes.prepare(generator)
    adapter = AdapterVector(_trainable(generator, config, course).values())
    if course.compiled:
        generator.compile_denoiser(cuda_graphs=False)
    if start is not None:
        adapter.set(start)
    optimizer = build_optimizer(adapter, config)
    kept = Kept(adapter, config)
    finished = load_checkpoint(course.checkpoint, adapter, optimizer, kept)
    losses = torch.cat([finished, torch.zeros(course.num_steps - len(finished))]).to(course.device)
    steps = range(len(finished), course.num_steps)
    advance(steps.start)
    writer = writer_of(course.checkpoint)
    checked = draw_validation(generator, validation, course.seed) if validation else None
    joined = None if mechanism else _joined(generator, adapter, config, course, team)
    upcoming = _batches(generator, encoded, config, course, mechanism, team, steps)
    set_gradient = partial(_set_gradient, generator, adapter, passes, config, course, mechanism, team, joined)
    with closing(prefetched(upcoming, course.device)) as batches:
        for step, batch in zip(steps, batches, strict=True):
            rate = learning_rate(step, course.num_steps, peak=config.learning_rate, schedule=config.schedule)
            set_learning_rate(optimizer, rate)
            losses[step] = set_gradient(batch=batch, step=step)
            optimizer.step()
            adapter.gradient.zero_()
            kept.follow()
            if checked is not None and is_check(step + 1, course.num_steps):
                kept.check(generator, checked, config, passes.images)
            advance(1)
            if is_point(step + 1, course.num_steps):
                note(step + 1, **_point(losses[: step + 1], kept, course.num_steps))
            if team.rank == 0 and (writer.is_due() or step == steps[-1]):
                writer.write(state_tensors(adapter, optimizer, losses[: step + 1], kept))
    kept.settle()
    return Losses(steps=losses.cpu().numpy(), checks=kept.checks.cpu().numpy())


def _batches(  # noqa: PLR0917
    generator: Generator,
    encoded: EncodedSet,
    config: AdaptConfig,
    course: Course,
    mechanism: Mechanism | None,
    team: Team,
    steps: range,
) -> Iterator[Batch]:
    """Return the batches of `steps`: of sampled units with a `mechanism`, else this process's share."""
    if mechanism:
        generator.keep_gradients_of_units(mechanism.noise_draws)
        return private_batches(generator, encoded, config, mechanism, steps=steps, seed=course.seed)
    return step_batches(
        generator,
        encoded,
        config,
        steps=steps,
        seed=course.seed,
        device=course.device,
        share=team.share(config.batch_size),
        least_timestep=course.least_timestep,
    )


def _set_gradient(  # noqa: PLR0917 - all but the last two are the same for all steps
    generator: Generator,
    adapter: AdapterVector,
    passes: Passes,
    config: AdaptConfig,
    course: Course,
    mechanism: Mechanism | None,
    team: Team,
    joined: nn.Module | None,
    *,
    batch: Batch,
    step: int,
) -> torch.Tensor:
    """Set the clipped gradient of one step: of the batch, or of each unit with a `mechanism`; return the loss []."""
    if mechanism:
        noise_seed = derive_seed(course.seed, "adapt", "noise", step)
        return set_private_gradient(
            generator, batch, adapter, passes, mechanism, config=config, device=course.device, noise_seed=noise_seed
        )
    loss = add_gradients(
        generator, batch, adapter.gradient, passes, config=config, device=course.device, joined=joined, team=team
    )
    team.count(loss)
    if course.sharded:
        team.count(adapter.gradient)
    adapter.clip(config.max_gradient_norm)
    return loss


def _joined(generator: Generator, adapter: AdapterVector, config: AdaptConfig, course: Course, team: Team) -> nn.Module:
    """Return the module whose gradients are those of all processes, or those of this one if the weights are sharded."""
    if not course.sharded or team.size == 1:
        return team.joined(StepLoss(generator), may_skip=config.trains_all)
    team.divide(generator.denoiser, generator.blocks(), adapter.parameters, course.device)
    return StepLoss(generator)


def _trainable(generator: Generator, config: AdaptConfig, course: Course) -> dict[str, torch.nn.Parameter]:
    if config.trains_all:
        return generator.unfreeze()
    parameters = generator.add_lora(config.rank, derive_seed(course.seed, "adapt", "lora"), config.targets)
    for parameter in parameters.values():
        parameter.data = parameter.data.to(course.device)  # the frozen weights may wait in memory to be sharded
    return parameters


def build_optimizer(adapter: AdapterVector, config: AdaptConfig) -> torch.optim.AdamW:
    """Return AdamW as a single kernel: for full fine-tuning on a CPU, a tenth of a step less than one pass per operation."""
    return torch.optim.AdamW([adapter.joined], lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def _point(losses: torch.Tensor, kept: Kept, num_steps: int) -> dict[str, float]:
    """Return the mean loss over the steps since the last point, and the validation loss where it was measured."""
    mean = float(losses[-(len(losses) % _point_width(num_steps) or _point_width(num_steps)) :].mean())
    checked = len(kept.checks) and is_check(len(losses), num_steps)
    return {"loss": mean, "validation_loss": float(kept.checks[-1])} if checked else {"loss": mean}


def is_point(done: int, num_steps: int) -> bool:
    """Return whether a point of the history ends after `done` steps."""
    return done == num_steps or done % _point_width(num_steps) == 0


def is_check(done: int, num_steps: int) -> bool:
    """Return whether the validation loss is measured after `done` steps: at every fifth point of the history, and last."""
    return done == num_steps or done % (POINTS_PER_CHECK * _point_width(num_steps)) == 0


def loss_history(losses: Losses) -> list[dict[str, float]]:
    """Return about 50 points: the last step of each, the mean loss since the previous point, and a validation loss."""
    count = len(losses.steps)
    width, checks = _point_width(count), iter(losses.checks.tolist())
    points = []
    for start in range(0, count, width):
        end = min(start + width, count)
        point = {"step": end, "loss": float(losses.steps[start:end].mean())}
        checked = {"validation_loss": next(checks)} if len(losses.checks) and is_check(end, count) else {}
        points.append(point | checked)
    return points


def _point_width(num_steps: int) -> int:
    return max(1, math.ceil(num_steps / HISTORY_POINTS))
