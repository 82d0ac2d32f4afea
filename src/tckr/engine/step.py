"""A step: one computation with declared inputs, and the context that its stage function receives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel

from tckr.engine.execution import ExecutionConfig
from tckr.engine.fingerprint import fingerprint
from tckr.process import Gang


class Sensitivity(StrEnum):
    """Who may see an artifact."""

    PRIVATE = "private"
    RELEASABLE = "releasable after audit"
    SHAREABLE = "shareable"


class Role(StrEnum):
    """Which run a step belongs to."""

    TARGET = "target"
    """The run whose images, labels and Student may be released and are reported on."""
    REFERENCE = "reference"
    """A run of the audit on other records, attacked in the same way as the target."""
    CONTROL = "control"
    """Made once for the audit: attacks on the target, and runs that memorize nothing or everything."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One computation with declared inputs.

    `function` is the import path `package.module:name` of the stage function, so that a step can be sent to another process
    as plain data. `run` is the row of the membership matrix (0 = target), `seed` the step's root seed, `reads` the digest of
    everything that the step reads from outside the store (the data source, a checkpoint). `donors` are steps whose artifacts
    contain a part of this step's artifact, computed in the same way: the stage may copy this part from complete donors. They
    change the speed but not the result, so they are not part of the fingerprint.

    `checks`: fingerprint of an earlier step, which need not be an input, -> function of the folder of its artifact that
    raises a UserError if this step would refuse it. The run asks as soon as that artifact is complete.

    `seals` names subfolders of the artifact that only a step can read that lists this input in `opens`. Neither enters the
    fingerprint, because both concern where data is stored, not its content. Not in the fingerprint either: `role`; `checks`;
    `prefers_alone`: the step gets the machine alone unless other runs repeat it; `uses_device`: it computes on a GPU;
    `trains_together`: several processes may train its model.
    """

    name: str
    stage: str
    function: str
    version: int
    sensitivity: Sensitivity
    config: BaseModel
    seed: int
    run: int = 0
    role: Role = Role.TARGET
    inputs: Mapping[str, Step] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)
    donors: Sequence[Step] = ()
    checks: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    seals: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    prefers_alone: bool = False
    uses_device: bool = True
    trains_together: bool = False

    def __post_init__(self) -> None:
        """Check that every name in `opens` is an input with sealed folders."""
        assert all(self.inputs[name].seals for name in self.opens), self.opens

    @cached_property
    def fingerprint(self) -> str:
        """Return the identity of the artifact: stage, version, config, seed, run, reads, and the inputs' fingerprints."""
        return fingerprint(
            {
                "stage": self.stage,
                "version": self.version,
                "config": self.config,
                "seed": self.seed,
                "run": self.run,
                "reads": self.reads,
                "inputs": {name: step.fingerprint for name, step in self.inputs.items()},
            }
        )


class Tracker(Protocol):
    """Show the progress of one step."""

    def __call__(self, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar of `total` units, `done` of them already finished; the yielded function advances it."""
        ...


class Workers(Protocol):
    """Map a pure function over independent items in separate processes."""

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any], num_workers: int) -> Iterator[Any]:
        """Yield results as they finish, in any order; function, items and results must be picklable."""
        ...


class Log(Protocol):
    """Write one event with its fields."""

    def __call__(self, event: str, **fields: Any) -> None:
        """Write the event."""
        ...


class Note(Protocol):
    """Take the numbers of one step or epoch of a training."""

    def __call__(self, number: int, **values: float | None) -> None:
        """Take the values; None is left out."""
        ...


class Show(Protocol):
    """Take images."""

    def __call__(self, name: str, images_BHWC: np.ndarray) -> None:
        """Take images, uint8."""
        ...


class Became(Protocol):
    """Take values that settings leave open."""

    def __call__(self, **values: Any) -> None:
        """Take values by name; a later one replaces an earlier one."""
        ...


def take_nothing(*_: Any, **__: Any) -> None:
    """Ignore it."""


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """Everything that a stage function receives besides its config.

    Attributes:
        inputs: folder of the finished artifact of each declared input, without its sealed folders.
        opened: folder of the sealed content of each input that the step opens; readable while the step runs.
        out: folder to fill. After a kill it contains what was written before; on return it is committed.
        final: path of `out` after the commit, for messages that name one of its files; None = `out` stays.
        scratch: folder for checkpoints and caches; survives a kill, deleted on commit.
        seed: root seed of this step; differs between reference runs.
        run: row of the membership matrix (0 = target).
        execution: where to compute; never changes what is computed.
        track: opens a progress bar.
        log: writes one line of the run's log.
        donors: folders of complete artifacts that contain a part of this one's content; may be empty.
        workers: maps over the step's own processes; None if it has none.
        gang: starts processes that train together, on several machines; None where they are all on this one.
        note: passes numbers of a training to the trackers.
        show: passes images to the trackers.
        became: keeps in the manifest what settings such as `auto` became, and sizes that fit the machine.
        fingerprint: identity of what the step computes; equal only for equal steps.
    """

    inputs: Mapping[str, Path]
    out: Path
    scratch: Path
    seed: int
    run: int
    execution: ExecutionConfig
    track: Tracker
    log: Log
    opened: Mapping[str, Path] = field(default_factory=dict)
    final: Path | None = None
    donors: Sequence[Path] = ()
    workers: Workers | None = None
    gang: Gang | None = None
    note: Note = take_nothing
    show: Show = take_nothing
    became: Became = take_nothing
    fingerprint: str = ""

    @property
    def spread(self) -> Workers | None:
        """Return `workers` where they are on other machines too, which is worth it for work that is short on one."""
        return self.workers if self.execution.executor == "ray" else None
