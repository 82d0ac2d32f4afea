"""Measure how fast each step advances while the pipeline runs."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tckr.engine.observer import Observer
from tckr.engine.step import Step


@dataclass
class Phase:
    """One progress bar of a stage.

    Attributes:
        unit: what the bar counts, e.g. images, steps or epochs.
        moments: at every advance, seconds since the start of the phase and finished units.
        seconds: duration of the phase.
    """

    unit: str
    moments: list[tuple[float, int]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def units(self) -> int:
        """Return the total number of finished units."""
        return self.moments[-1][1] if self.moments else 0

    @property
    def seconds_per_unit(self) -> float:
        """Return the median time per unit without the first advance, which includes loading; the first only if it is alone.

        The median ignores moments in which the machine was busy with other work.
        """
        moments = [(0.0, 0), *self.moments]
        steps = [(end - begin, done - before) for (begin, before), (end, done) in itertools.pairwise(moments)]
        paces = [seconds / units for seconds, units in steps if units]  # a stage that starts again advances by 0
        return statistics.median(paces[1:] or paces) if paces else 0.0


@dataclass
class Lap:
    """Measured cost of one step.

    Attributes:
        phases: its progress bars in order.
        seconds: wall-clock time, from the manifest.
        peak_memory_mb: peak resident memory of the process, from the manifest.
        device_memory_mb: largest allocation on a CUDA device; 0 without one.
        num_bytes: size of the artifact.
        scratch_bytes: largest size of caches and checkpoints, measured at the end of each phase.
    """

    phases: list[Phase] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    device_memory_mb: float = 0.0
    num_bytes: int = 0
    scratch_bytes: int = 0

    def phase(self, unit: str) -> Phase:
        """Return the phase that counts `unit`, or an empty phase."""
        return next((phase for phase in self.phases if phase.unit == unit), Phase(unit))

    @property
    def fixed_seconds(self) -> float:
        """Return the seconds that do not grow with the work: loading, warming up, writing."""
        return max(0.0, self.seconds - sum(phase.seconds_per_unit * phase.units for phase in self.phases))


class Stopwatch:
    """An observer that records a `Lap` per step and forwards every event to another observer."""

    def __init__(self, store: Path, shown: Observer) -> None:
        """Watch the scratch folders below `store`; forward events to `shown`."""
        self.laps: dict[str, Lap] = {}
        self._store, self._shown = store, shown

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Pass it on."""
        self._shown.planned(steps, shares)

    def started(self, step: Step) -> None:
        """Start the lap of the step."""
        self.laps.setdefault(step.name, Lap())
        _reset_device_peak()
        self._shown.started(step)

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """End the lap."""
        lap = self.laps.setdefault(step.name, Lap())
        lap.seconds, lap.peak_memory_mb = manifest["seconds"], manifest["peak_memory_mb"]
        lap.num_bytes, lap.device_memory_mb = sum(manifest["files"].values()), _device_peak_mb()
        self._shown.finished(step, manifest, reused)

    @contextmanager
    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Record the time of every advance."""
        phase, started, lap = Phase(unit), time.perf_counter(), self.laps.setdefault(step_name, Lap())
        lap.phases.append(phase)
        with self._shown.track(step_name, total, unit, done) as show:

            def advance(amount: int) -> None:
                phase.moments.append((time.perf_counter() - started, phase.units + amount))
                show(amount)

            yield advance
        phase.seconds = time.perf_counter() - started
        lap.scratch_bytes = max(lap.scratch_bytes, _size(self._store.glob("*/*.work/*/scratch")))

    def warned(self, message: str) -> None:
        """Print nothing: a warning about a few images need not hold for all of them."""

    def described(self, message: str) -> None:
        """Print how the data was interpreted."""
        self._shown.described(message)


def _size(folders: Iterator[Path]) -> int:
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def _reset_device_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _device_peak_mb() -> float:
    import torch

    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else 0.0
