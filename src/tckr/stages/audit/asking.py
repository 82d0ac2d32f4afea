"""Query one run, in this process or in others. The answers to each question are stored in a separate file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import WITH_COINS, read_members
from tckr.data.images import ImageSet, load_images
from tckr.disk import write_whole
from tckr.membership.queries.questions import QUESTIONS, Answers, Asked
from tckr.stages.audit.config import SignalConfig


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Everything that a process needs to query a run, so that all processes get the same answers.

    Attributes:
        folders: input name and artifact.
        settings: how to query.
        device: torch device name.
        batch_size: records per forward pass.
        cache: folder for decoded images, and for the answers.
        only_canaries: whether to query about canaries alone, and the records whose coin is that of a canary.
    """

    folders: tuple[tuple[str, Path], ...]
    settings: SignalConfig
    device: str
    batch_size: int
    cache: Path
    only_canaries: bool = False

    @property
    def questions(self) -> list[str]:
        """Return the questions that the artifacts of the run can answer."""
        there = dict(self.folders)
        return [name for name, question in QUESTIONS.items() if set(question.needs) <= set(there)]

    def file(self, question: str) -> Path:
        """Return the file of the answers to a question."""
        return self.cache / f"{question}.npz"

    def open(self, advance: Callable[[int], None]) -> Asked:
        """Return the run, ready for queries; `advance` is called with the number of finished queries of records."""
        folders = dict(self.folders)
        pool = in_order(load_images(folders["data"] / "pool", self.cache))
        return Asked(
            folders=folders,
            records=pool.select(read_members(folders["data"], WITH_COINS)) if self.only_canaries else pool,
            class_names=DataCard.read(folders["data"]).class_names,
            settings=self.settings,
            device=self.device,
            batch_size=self.batch_size,
            cache=self.cache,
            advance=advance,
        )

    def ask(self, question: str, asked: Asked) -> None:
        """Write the answers to a question."""
        write_whole(self.file(question), partial(_save, QUESTIONS[question].ask(asked)))

    def answers(self) -> Answers:
        """Return the answers to all questions, which must have been stored."""
        found: Answers = {}
        for question in self.questions:
            with np.load(self.file(question), allow_pickle=False) as file:
                found |= {name: file[name] for name in file.files}
        return found


def ask_alone(question: str, *, asking: Asking) -> str:
    """Write the answers to a question and return its name; a process opens the run only once."""
    if not asking.file(question).exists():  # another attempt may have written it before it was lost
        asking.ask(question, _opened(asking))
    return question


@lru_cache(maxsize=1)
def _opened(asking: Asking) -> Asked:
    return asking.open(lambda amount: None)


def in_order(pool: ImageSet) -> ImageSet:
    """Return the pool in order of record number."""
    order = np.arange(len(pool))
    return pool if np.array_equal(pool.ids, order) else pool.select(order)


def _save(answers: Answers, path: Path) -> None:
    with path.open("wb") as file:  # a file object: numpy would add another suffix to a name
        np.savez(file, allow_pickle=False, **answers)
