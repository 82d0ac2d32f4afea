"""Send the numbers of a training to the trackers that the settings name, with accelerate's tracker classes."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tckr.engine.execution import TrackerName
from tckr.engine.private import make_private
from tckr.errors import UserError

PACKAGES: dict[TrackerName, tuple[str, ...]] = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}
"""Tracker -> packages of which one must be installed."""

PROJECT = "tckr"
FOLDER = "tensorboard"
"""In the run's folder: the event files of a step are in a subfolder with its name."""


def require_trackers(names: Sequence[TrackerName]) -> None:
    """Raise a UserError when the package of a tracker is not installed."""
    for name in names:
        if not any(importlib.util.find_spec(package) for package in PACKAGES[name]):
            raise UserError(
                f"execution.trackers names {name}, whose package is not installed; pip install {PACKAGES[name][0]}, "
                "or leave it out"
            )


class Trackers:
    """The trackers of one step, opened with its first number. A tracker that fails is not used again, with a warning."""

    def __init__(self, names: Sequence[TrackerName], run: Path, step: str, warn: Callable[[str], object]) -> None:
        """Store the names, the run's folder and the step's name; `warn` receives a message when a tracker fails."""
        self._names: list[str] = list(names)
        self._run, self._step, self._warn = run, step, warn
        self._open: dict[str, Any] = {}

    def note(self, number: int, **values: float | None) -> None:
        """Send the numbers that were measured at step or epoch `number`, except those that are None."""
        measured = {name: value for name, value in values.items() if value is not None}
        self._give(self._names, lambda tracker: tracker.log(measured, step=number))

    def show(self, name: str, images_BHWC: np.ndarray) -> None:
        """Send images, uint8, only to TensorBoard, whose files stay in the run's folder."""
        given = {name: images_BHWC}
        local = [one for one in self._names if one == "tensorboard"]
        self._give(local, lambda tracker: tracker.log_images(given, step=0, dataformats="NHWC"))

    def close(self) -> None:
        """Write everything that is not written yet."""
        self._give(list(self._open), lambda tracker: tracker.finish())

    def _give(self, names: Sequence[str], give: Callable[[Any], object]) -> None:
        for name in list(names):
            try:
                give(self._opened(name))
            except Exception as error:  # an error of another service does not end a run
                self._names.remove(name)
                self._open.pop(name, None)
                self._warn(f"execution.trackers: {name} gets no more numbers: {type(error).__name__}: {error}")

    def _opened(self, name: str) -> Any:
        if name not in self._open:
            self._open[name] = _tracker(name, self._run, self._step)
            self._open[name].start()
        return self._open[name]


def _tracker(name: str, run: Path, step: str) -> Any:
    from accelerate import tracking  # imported here: most runs have no tracker, and it takes a second

    logging.getLogger("accelerate.tracking").setLevel(logging.WARNING)
    kind = tracking.LOGGER_TYPE_TO_CLASS[name]
    if name == "tensorboard":
        make_private(run / FOLDER)
        return kind(step, logging_dir=run / FOLDER)
    if name == "mlflow":
        return kind(PROJECT, run_name=f"{run.name}/{step}")
    return kind(PROJECT, name=f"{run.name}/{step}")
