"""A process that makes the same artifact as another one, at the same moment, on a file system with other locks."""

from __future__ import annotations

import errno
import fcntl
import os
import traceback
from pathlib import Path
from typing import Any

from tckr.engine import drafts
from tckr.engine.execution import ExecutionConfig
from tckr.engine.runner import Runner
from tckr.engine.step import Step
from tckr.engine.store import Store


def refuse(handle: int, how: int) -> None:
    """Fail as on a network disk without locks."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def lie(handle: int, how: int) -> None:
    """Give everybody the lock, as some network disks do."""


LOCKS = {"refuse": refuse, "lie": lie}


def make(folder: Path, steps: list[Step], how: tuple[str, bool], meet: Any, outcomes: Any) -> None:
    """Run `steps` at the same time as the other process; blind, without seeing its marks; say how it ended."""
    locks, blind = how
    fcntl.flock = LOCKS[locks]  # type: ignore[assignment]
    fcntl.lockf = LOCKS[locks]  # type: ignore[assignment]
    if blind:
        drafts._begin = _begin_blindly  # type: ignore[assignment]
    runner = Runner(
        store=Store(folder / "store"),
        execution=ExecutionConfig(output=folder, device="cpu", workers=1),
        log_file=folder / "log.jsonl",
    )
    meet.wait(600)
    try:
        runner.run(steps)
        outcomes.put("")
    except BaseException as error:
        outcomes.put("".join(traceback.format_exception(error)))


def _begin_blindly(stack: Any, final: Path) -> Any:
    """Do as `drafts._begin` where a network disk does not show the marks of others yet."""
    drafts.make_private(drafts.work_folder(final))
    return stack.enter_context(drafts.present(drafts.work_folder(final) / "draft", drafts.WRITER))
