"""What reference runs cost: arithmetic on measured seconds and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a step takes.

    Attributes:
        seconds: of one process with `threads` CPU threads.
        num_bytes: on disk.
        threads: with which `seconds` were measured.
        measured: whether both come from a step with the very same settings; otherwise estimated from a similar one.
    """

    seconds: float
    num_bytes: float
    threads: int
    measured: bool


def after(like: Cost, factor: float, *, same_settings: bool) -> Cost:
    """Return the cost of a step `factor` times as long as `like`, which is measured only where nothing else differs."""
    return replace(like, seconds=like.seconds * factor, measured=like.measured and same_settings and factor == 1)


def asking(labelling: Cost, drawing: Cost, *, images: int, passes: int, looks: int, denoisings: int, num_bytes: int) -> Cost:
    """Estimate the cost of asking a run about records from the rates at which the target labelled and drew its images.

    Args:
        labelling: of `images` images by the Teacher, one forward pass each.
        drawing: of as many images by the generator, `passes` forward passes each.
        images: number of synthetic images.
        passes: of the generator per image.
        looks: forward passes of a classifier that asking takes.
        denoisings: forward passes of the generator that asking takes.
        num_bytes: of the answers.
    """
    seconds = (looks * labelling.seconds + denoisings * drawing.seconds / passes) / images
    return Cost(seconds=seconds, num_bytes=num_bytes, threads=max(labelling.threads, drawing.threads), measured=False)


@dataclass(frozen=True)
class Repeated:
    """What is computed at one depth: `per_run` by every reference run, `once` by the controls and by all together."""

    per_run: Sequence[Cost]
    once: Sequence[Cost]

    def times(self, num_runs: int) -> list[tuple[int, Cost]]:
        """Return every step with how often it is computed."""
        return [(num_runs, cost) for cost in self.per_run] + [(1, cost) for cost in self.once]


@dataclass(frozen=True)
class Bill:
    """What reference runs of one depth take: `fastest` seconds to at most `slowest`, part of them estimated, and bytes."""

    fastest: float
    slowest: float
    estimated: float
    num_bytes: float


def bill(steps: Repeated, num_runs: int, *, workers: int, threads: int) -> Bill:
    """Return the cost of `num_runs` reference runs and the controls, spread evenly over processes.

    How much a step gains from CPU threads is not known: `fastest` takes it to gain nothing from those that it was measured
    with and a process of many does not have, `slowest` to gain in proportion.

    Args:
        steps: of one depth.
        num_runs: reference runs.
        workers: processes side by side.
        threads: CPU threads of each.
    """
    times = steps.times(num_runs)
    seconds = sum(count * cost.seconds for count, cost in times)
    return Bill(
        fastest=seconds / workers,
        slowest=sum(count * cost.seconds * max(1, cost.threads / threads) for count, cost in times) / workers,
        estimated=sum(count * cost.seconds for count, cost in times if not cost.measured) / max(seconds, 1e-9),
        num_bytes=sum(count * cost.num_bytes for count, cost in times),
    )
