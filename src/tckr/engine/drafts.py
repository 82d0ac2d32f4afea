"""Drafts of an artifact: each writer fills a folder of its own, and takes over what dead writers left.

FINAL.work/draft.<id>.writer   the mark of a writer (`tckr.engine.presence`)
FINAL.work/<id>/out/           what it fills
FINAL.work/<id>/scratch/       its checkpoints and caches

Who finds a writer at work waits for it. That saves work and guards nothing: where marks are not seen in time, both fill a
draft, the first to rename its own to FINAL wins, and the other adopts that one.
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

from tckr.engine.presence import Mark, marks_at, present
from tckr.engine.private import make_private
from tckr.errors import UserError

WRITER, WORK = "writer", ".work"
SECONDS_BETWEEN = 0.2
"""Of two looks at what another process is doing."""
TEMPORARY = ".*.partial"
"""Names of files that were being written; a killed process leaves them behind."""


@dataclass(frozen=True)
class Draft:
    """An artifact being filled.

    Attributes:
        folder: of this writer alone.
        mark: of this writer.
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
    """Yield a draft of `final`, with what dead writers left; wait for a living one, and yield None once it is whole."""
    with ExitStack() as stack:
        while not is_whole():
            if mark := _begin(stack, final):
                yield _take_over(final, mark)
                return
            time.sleep(SECONDS_BETWEEN * random.uniform(0.5, 1))
        yield None


def commit(draft: Draft, final: Path, is_whole: Callable[[], bool]) -> bool:
    """Rename the draft to `final`; return whether it became the artifact. If another one did, that one stays.

    Raises:
        UserError: `final` is there and not whole; another writer took this one for dead and died itself.
    """
    if draft.mark.is_there():
        try:
            draft.out.rename(final)
            return True
        except FileNotFoundError:  # another writer has the draft by now
            pass
        except OSError:
            if final.exists() and not is_whole():
                raise UserError(f"{final} is there and not whole. Delete it, and give the same command again") from None
            if not final.exists():
                raise
    adopt(final, is_whole)
    return False


def adopt(final: Path, is_whole: Callable[[], bool]) -> None:
    """Wait until `final` is whole by the hand of the writer that took over this one's draft.

    Raises:
        UserError: that writer ended before.
    """
    while not is_whole():
        if not _writers(final):
            raise UserError(
                f"{final} was taken over by another process, because this one had not been heard of for minutes, and that "
                "one ended too. Give the same command again: it goes on"
            )
        time.sleep(SECONDS_BETWEEN)


def drop_drafts(final: Path) -> None:
    """Delete the drafts of `final`, which is whole, but for those of living writers, who do it themselves."""
    work = work_folder(final)
    if work.is_dir():
        for folder in _left_behind(final):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # somebody is at work in it
            work.rmdir()


def work_folder(final: Path) -> Path:
    """Return the folder of the drafts of `final`."""
    return final.with_name(final.name + WORK)


def _writers(final: Path) -> list[Mark]:
    return marks_at(work_folder(final) / "draft", WRITER)


def _begin(stack: ExitStack, final: Path) -> Mark | None:
    """Return a mark of this process that lasts as long as `stack`; None while another writer is at work."""
    make_private(work_folder(final))
    if _writers(final):
        return None
    try:
        mark = stack.enter_context(present(work_folder(final) / "draft", WRITER))
    except FileNotFoundError:  # the folder went, because the artifact has just become whole
        return None
    if _writers(final)[:1] == [mark]:
        return mark
    stack.close()  # of two that begin at once, the later steps back
    return None


def _take_over(final: Path, mark: Mark) -> Draft:
    """Return this writer's draft: the fullest of those without a living writer, or a new one."""
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
    living = {mark.id for mark in _writers(final)}
    return [path for path in work_folder(final).iterdir() if path.is_dir() and path.name not in living]


def _num_files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))
