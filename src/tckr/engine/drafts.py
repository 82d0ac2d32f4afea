"""Drafts of an artifact: each writer fills a separate folder and continues drafts of dead writers.

FINAL.work/draft.<id>.writer   the mark of a writer (`tckr.engine.liveness`)
FINAL.work/<id>/out/           the folder that it fills
FINAL.work/<id>/scratch/       its checkpoints and caches

A process that finds a living writer waits for it. This saves work but is not needed for safety: if marks are not visible in
time, both processes fill a draft. The first to rename its draft to FINAL wins, and the other uses that artifact.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tckr.engine.liveness import Mark, look_at, marks_at, present
from tckr.engine.private import make_private
from tckr.errors import UserError

WRITER, WORK = "writer", ".work"
SECONDS_BETWEEN = 0.2
"""Seconds between two checks of another process."""
TEMPORARY = ".*.partial"
"""Names of files in the middle of being written; a killed process leaves them behind."""


@dataclass(frozen=True)
class Draft:
    """An artifact that is being filled.

    Attributes:
        folder: used only by this writer.
        mark: the mark of this writer.
    """

    folder: Path
    mark: Mark

    @property
    def out(self) -> Path:
        """Return the folder to fill."""
        return self.folder / "out"

    @property
    def scratch(self) -> Path:
        """Return the folder of checkpoints and caches."""
        return self.folder / "scratch"


@contextmanager
def drafting(final: Path, is_whole: Callable[[], bool]) -> Iterator[Draft | None]:
    """Yield a draft of `final` with the files of dead writers; wait for a living writer, then yield None if it finished."""
    with ExitStack() as stack:
        while not is_whole():
            if (mark := _begin(stack, final)) is None:
                time.sleep(SECONDS_BETWEEN * random.uniform(0.5, 1))
            elif is_whole():  # another writer has completed it since the last look
                stack.close()
            else:
                yield _take_over(final, mark)
                return
        yield None


def commit(draft: Draft, final: Path, is_whole: Callable[[], bool]) -> bool:
    """Rename the draft to `final`; return whether it became the artifact. An existing artifact is kept.

    Raises:
        UserError: `final` exists but is incomplete, or another writer took this draft over and died.
    """
    if draft.mark.is_there():
        try:
            draft.out.rename(final)
            return True
        except FileNotFoundError:  # another writer has taken the draft over
            pass
        except OSError:
            if final.exists() and not is_whole():
                raise UserError(f"{final} exists but is incomplete. Delete it and run the same command again") from None
            if not final.exists():
                raise
    adopt(final, is_whole)
    return False


def adopt(final: Path, is_whole: Callable[[], bool]) -> None:
    """Wait until the writer that took over this draft has completed `final`.

    Raises:
        UserError: that writer ended without completing it.
    """
    while not is_whole():
        if not _writers(final):
            raise UserError(
                f"{final} was taken over by another process, because this one had not responded for minutes, and then that "
                "process ended, too. Run the same command again: it continues"
            )
        time.sleep(SECONDS_BETWEEN)


def drop_drafts(final: Path) -> None:
    """Delete the drafts of the complete artifact `final`, except those of living writers, which delete theirs themselves."""
    work = work_folder(final)
    if work.is_dir():
        for folder in _left_behind(final):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another process is using it
            work.rmdir()


def work_folder(final: Path) -> Path:
    """Return the folder of the drafts of `final`."""
    return final.with_name(final.name + WORK)


def is_at_work(final: Path) -> bool:
    """Return whether a living process fills a draft of `final`. Nothing is written."""
    return bool(look_at(work_folder(final) / "draft", WRITER))


def _writers(final: Path) -> list[Mark]:
    return marks_at(work_folder(final) / "draft", WRITER)


def _begin(stack: ExitStack, final: Path) -> Mark | None:
    """Return a mark of this process that is held until `stack` is closed; None while another writer is at work."""
    make_private(work_folder(final))
    if _writers(final):
        return None
    try:
        mark = stack.enter_context(present(work_folder(final) / "draft", WRITER))
    except FileNotFoundError:  # the folder was deleted, because the artifact was just completed
        return None
    if _writers(final)[:1] == [mark]:
        return mark
    stack.close()  # if two start at once, the later one gives up
    return None


def _take_over(final: Path, mark: Mark) -> Draft:
    """Return this writer's draft: the one with the most files among drafts without a living writer, or a new one."""
    draft = Draft(work_folder(final) / mark.id, mark)
    for left in sorted(_left_behind(final), key=_num_files, reverse=True):
        try:
            left.rename(draft.folder)
            break
        except FileNotFoundError:
            continue  # another writer was faster
    for folder in (draft.folder, draft.out, draft.scratch):
        make_private(folder)
    for path in draft.folder.rglob(TEMPORARY):
        path.unlink()
    return draft


def _left_behind(final: Path) -> list[Path]:
    folders = [path for path in work_folder(final).iterdir() if path.is_dir()]
    living = {mark.id for mark in _writers(final)}  # after the folders: a writer makes its mark before its folder
    return [path for path in folders if path.name not in living]


def _num_files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))
