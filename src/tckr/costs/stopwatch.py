"""Note how fast each stage advances while the pipeline runs."""

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
        unit: what it counts, such as images, steps or epochs.
        moments: seconds since the phase began, and units finished by then, at every advance.
        seconds: of the whole phase.
    """

    unit: str
    moments: list[tuple[float, int]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def units(self) -> int:
        """Return the units finished in all."""
        return self.moments[-1][1] if self.moments else 0

    @property
    def seconds_per_unit(self) -> float:
        """Return the median pace of all advances but the first, which also pays for loading; of the first where it is alone.

        The median, because a machine that is busy for a moment is no slower in the long run.
        """
        moments = [(0.0, 0), *self.moments]
        steps = [(end - begin, done - before) for (begin, before), (end, done) in itertools.pairwise(moments)]
        paces = [seconds / units for seconds, units in steps if units]  # a stage that begins anew advances by nothing
        return statistics.median(paces[1:] or paces) if paces else 0.0


@dataclass
class Lap:
    """What one stage took.

    Attributes:
        phases: its progress bars in their order.
        seconds: from the manifest.
        peak_memory_mb: from the manifest, resident memory of the process.
        device_memory_mb: largest allocation on a CUDA device; 0 without one.
        num_bytes: of the artifact.
        scratch_bytes: largest size of caches and checkpoints, seen at the ends of its phases.
    """

    phases: list[Phase] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    device_memory_mb: float = 0.0
    num_bytes: int = 0
    scratch_bytes: int = 0

    def phase(self, unit: str) -> Phase:
        """Return the phase that counts `unit`; an empty one where there is none."""
        return next((phase for phase in self.phases if phase.unit == unit), Phase(unit))

    @property
    def fixed_seconds(self) -> float:
        """Return what does not grow with the work: loading, warming up, writing."""
        return max(0.0, self.seconds - sum(phase.seconds_per_unit * phase.units for phase in self.phases))


class Stopwatch:
    """An observer that passes everything on to another one and keeps a `Lap` per stage."""

    def __init__(self, store: Path, shown: Observer) -> None:
        """Watch the scratch folders below `store`; show progress through `shown`."""
        self.laps: dict[str, Lap] = {}
        self._store, self._shown = store, shown

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Pass it on."""
        self._shown.planned(steps, shares)

    def started(self, step: Step) -> None:
        """Begin the lap of the stage."""
        self.laps.setdefault(step.stage, Lap())
        _reset_device_peak()
        self._shown.started(step)

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """End the lap."""
        lap = self.laps.setdefault(step.stage, Lap())
        lap.seconds, lap.peak_memory_mb = manifest["seconds"], manifest["peak_memory_mb"]
        lap.num_bytes, lap.device_memory_mb = sum(manifest["files"].values()), _device_peak_mb()
        self._shown.finished(step, manifest, reused)

    @contextmanager
    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Time every advance. The steps of a target run are named after their stages."""
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
        """Say nothing: what a few images make a stage warn of need not hold for all."""

    def described(self, message: str) -> None:
        """Show how the data was understood."""
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
