"""What a script hears of a run: warnings as Python's warnings, and if asked for a line per finished step."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from tckr.engine.observer import Silent
from tckr.engine.step import Role, Step
from tckr.errors import printable


class Warnings(Silent):
    """Give warnings to Python's `warnings`; the rest is silent."""

    def warned(self, message: str) -> None:
        """Warn, of no line of code: the message says what to do about it."""
        warnings.warn_explicit(message, UserWarning, filename="tckr", lineno=1)


class Lines(Warnings):
    """Write a line to standard error for each finished step of the target run, and how the data was understood."""

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Write what the step took; reference runs and controls are many, and are counted with the audit."""
        if step.role is Role.TARGET:
            took = "whole already" if reused else f"{manifest['seconds']:.1f} s"
            sys.stderr.write(f"tckr {step.name}: {took}\n")

    def described(self, message: str) -> None:
        """Write how the data was understood."""
        sys.stderr.writelines(f"tckr data: {printable(line)}\n" for line in message.splitlines())
