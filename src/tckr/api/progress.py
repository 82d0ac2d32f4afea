"""Progress of a run in a script: warnings as Python warnings, and on request a line per finished step."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from tckr.engine.observer import Silent
from tckr.engine.step import Role, Step
from tckr.errors import printable


class Warnings(Silent):
    """Forward warnings to Python's `warnings`; ignore all other events."""

    def warned(self, message: str) -> None:
        """Issue a warning without a code line, because the message states what to do."""
        warnings.warn_explicit(message, UserWarning, filename="tckr", lineno=1)


class Lines(Warnings):
    """Also write a line to standard error for each finished step of the target run, and how the data was interpreted."""

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Write the time of a step of the target run. Reference runs and controls are included in the time of the audit."""
        if step.role is Role.TARGET:
            took = "already complete" if reused else f"{manifest['seconds']:.1f} s"
            sys.stderr.write(f"tckr {step.name}: {took}\n")

    def described(self, message: str) -> None:
        """Write how the data was interpreted."""
        sys.stderr.writelines(f"tckr data: {printable(line)}\n" for line in message.splitlines())
