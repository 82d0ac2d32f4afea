"""Small real stages for the engine's tests."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tckr.engine.step import Sensitivity, Step, StepContext
from tckr.errors import UserError


class FakeConfig(BaseModel):
    model_config = ConfigDict(frozen=True)

    value: int = 1
    mode: Literal["write", "fail", "die", "refuse", "exit", "tell", "meet"] = "write"
    journal: str = ""
    error: int = 0


def run(config: FakeConfig, context: StepContext) -> None:
    """Write the sum of the inputs and `value` in two shards, noting every shard written in a journal."""
    if config.mode == "refuse":
        raise UserError("planted refusal")
    if config.error:
        raise OSError(config.error, os.strerror(config.error))
    if config.mode == "exit" and not (context.scratch / "tried").exists():
        (context.scratch / "tried").touch()
        os._exit(1)
    if config.mode == "tell":
        _tell(context)
    if config.mode == "meet":
        _meet(Path(config.journal).parent / "meeting")
    total = config.value + sum(int((folder / "sum.txt").read_text()) for folder in context.inputs.values())
    for shard in range(2):
        part = context.out / f"part{shard}.txt"
        if not part.exists():
            _note(config, f"{context.run}:{shard}")
            part.write_text(str(total))
        if shard == 0 and config.mode == "fail" and not (context.scratch / "tried").exists():
            (context.scratch / "tried").touch()
            raise RuntimeError("planted failure")
        if shard == 0 and config.mode == "die" and not (context.scratch / "tried").exists():
            (context.scratch / "tried").touch()
            (context.out / ".part1.txt.0123.partial").touch()
            time.sleep(60)
    (context.out / "sum.txt").write_text(str(total))
    context.became(total=total)


def _tell(context: StepContext) -> None:
    with context.track(1000, "looks") as advance:
        for _ in range(1000):
            advance(1)
    context.log("warning", message="planted warning")
    context.log("layout", message=f"planted layout of seed {context.seed}")


def _meet(folder: Path) -> None:
    """Wait until another step that meets in `folder` is at work too."""
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2:
        if time.monotonic() > deadline:
            raise UserError("nobody came")
        time.sleep(0.01)


def _note(config: FakeConfig, text: str) -> None:
    if config.journal:
        with Path(config.journal).open("a") as file:
            file.write(f"{text} pid={os.getpid()}\n")


def step(
    name: str, config: BaseModel | None = None, *, stage: str | None = None, run: int = 0, seed: int = 0, **inputs: Step
) -> Step:
    return Step(
        name=name,
        stage=stage or name,
        function="tests.engine.fakes:run",
        version=1,
        sensitivity=Sensitivity.PRIVATE,
        config=config or FakeConfig(),
        seed=seed,
        run=run,
        inputs=inputs,
    )


def hide(config: FakeConfig, context: StepContext) -> None:
    """Write something for all to see, and a folder that is sealed."""
    (context.out / "sum.txt").write_text(str(config.value))
    (context.out / "hidden").mkdir(exist_ok=True)
    if not (context.out / "hidden" / "secret.txt").exists():
        _note(config, "hidden")
        (context.out / "hidden" / "secret.txt").write_text("secret")


def look(config: FakeConfig, context: StepContext) -> None:
    """Copy what was sealed; in mode `die` wait for a kill meanwhile."""
    text = (context.opened["source"] / "hidden" / "secret.txt").read_text()
    if config.mode == "die" and not (context.scratch / "tried").exists():
        (context.scratch / "tried").touch()
        time.sleep(60)
    (context.out / "seen.txt").write_text(text)
