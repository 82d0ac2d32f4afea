"""A process that makes the same small runs as another one, at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tckr import running
from tckr.config import load_settings
from tckr.errors import UserError
from tests.engine.fakes import FakeConfig, step


def steps(seed: int) -> list[Any]:
    """Return three small steps that depend on the seed."""
    first = step("prepare", FakeConfig(value=seed))
    second = step("generate", source=first)
    return [first, second, step("report", source=second)]


def make_runs(output: Path, seed: int, num_rounds: int, meet: Any, outcomes: Any) -> None:
    """Run once per round under one name, starting together with the other process; print how each ended."""
    running.pipeline = lambda config, secret: steps(config.seed)  # type: ignore[assignment]
    running.REPORT_FILES = ("sum.txt",)  # type: ignore[assignment]
    for number in range(num_rounds):
        overrides = [f"execution.output={output / str(number)}", "execution.device=cpu", "execution.workers=1"]
        settings = load_settings(overrides=[*overrides, f"seed={seed}"])
        meet.wait(600)
        try:
            running.run(settings)
            outcomes.put((number, seed, ""))
        except UserError as error:
            outcomes.put((number, seed, str(error)))
        except BaseException as error:
            outcomes.put((number, seed, f"crashed: {error!r}"))
