"""Cost of reference runs, computed from measured seconds and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of one step.

    Attributes:
        seconds: wall-clock time of one process with `threads` CPU threads.
        num_bytes: size on disk.
        threads: number of threads with which `seconds` was measured.
        measured: True if both come from a step with the same settings; otherwise they are estimated from a similar step.
    """

    seconds: float
    num_bytes: float
    threads: int
    measured: bool


def after(like: Cost, factor: float, *, same_settings: bool) -> Cost:
    """Return the cost of a step `factor` times as long as `like`; measured only if the settings are the same."""
    return replace(like, seconds=like.seconds * factor, measured=like.measured and same_settings and factor == 1)


def asking(
    labelling: Cost,
    drawing: Cost,
    *,
    images: int,
    views: int,
    passes: int,
    looks: int,
    denoisings: int,
    num_bytes: int,
) -> Cost:
    """Estimate the cost of querying a run about records, from the rates at which the target labelled and generated images.

    Args:
        labelling: cost of labelling `images` images by the Teacher, `views` forward passes each.
        drawing: cost of generating as many images, `passes` forward passes each.
        images: number of synthetic images.
        views: labels per image.
        passes: forward passes of the generator per image.
        looks: forward passes of a classifier that the queries take.
        denoisings: forward passes of the generator that the queries take.
        num_bytes: size of the answers.
    """
    seconds = (looks * labelling.seconds / views + denoisings * drawing.seconds / passes) / images
    return Cost(seconds=seconds, num_bytes=num_bytes, threads=max(labelling.threads, drawing.threads), measured=False)


@dataclass(frozen=True)
class Repeated:
    """Steps computed at one depth: `per_run` once per reference run, `once` for the controls and the steps common to all."""

    per_run: Sequence[Cost]
    once: Sequence[Cost]

    def times(self, num_runs: int) -> list[tuple[int, Cost]]:
        """Return every step with the number of times that it is computed."""
        return [(num_runs, cost) for cost in self.per_run] + [(1, cost) for cost in self.once]


@dataclass(frozen=True)
class Bill:
    """Cost of the reference runs of one depth: between `fastest` and `slowest` seconds, the estimated share, and bytes."""

    fastest: float
    slowest: float
    estimated: float
    num_bytes: float


def bill(steps: Repeated, num_runs: int, *, workers: int, threads: int) -> Bill:
    """Return the cost of `num_runs` reference runs and the controls, spread evenly over processes.

    The effect of CPU threads is unknown. `fastest` assumes that a step loses nothing if its process has fewer threads than
    it was measured with, `slowest` that its time grows in proportion.

    Args:
        steps: steps of one depth.
        num_runs: number of reference runs.
        workers: number of processes at a time.
        threads: CPU threads per process.
    """
    times = steps.times(num_runs)
    seconds = sum(count * cost.seconds for count, cost in times)
    return Bill(
        fastest=seconds / workers,
        slowest=sum(count * cost.seconds * max(1, cost.threads / threads) for count, cost in times) / workers,
        estimated=sum(count * cost.seconds for count, cost in times if not cost.measured) / max(seconds, 1e-9),
        num_bytes=sum(count * cost.num_bytes for count, cost in times),
    )
