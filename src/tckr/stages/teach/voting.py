"""Train a Teacher on each part of the private set, and let it vote on images."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tckr.data.images import ImageSet
from tckr.data.npy import write_npy
from tckr.data.seeds import derive_seed
from tckr.disk import write_whole
from tckr.errors import UserError
from tckr.models.classifiers import predict_logits
from tckr.stages.teach.config import VotingConfig
from tckr.stages.teach.records import labelled
from tckr.stages.teach.votes import FEWEST_IMAGES, NO_VOTE
from tckr.training.batches import TrainingData
from tckr.training.fit import Task, fit, new_classifier
from tckr.training.losses import CrossEntropy

VOTES = "votes-*.npy"
"""Names of files of finished votes."""

FAILURES = (UserError, ValueError, RuntimeError, MemoryError)
"""Errors of one Teacher that may depend on its part: divergence, a batch that its network cannot take, too little memory."""


@dataclass(frozen=True, kw_only=True)
class Poll:
    """Teachers on parts of private images vote on other images.

    Attributes:
        config: settings of each training.
        members: private images.
        voted: N images to vote on.
        class_names: index = label of the members, and class of a vote.
        seed: determines all trainings.
        device: torch device name.
        batch_size: images per forward pass of a vote.
        log: called with an event and facts about it: each Teacher that failed, and why.
    """

    config: VotingConfig
    members: ImageSet
    voted: ImageSet
    class_names: Sequence[str]
    seed: int
    device: str
    batch_size: int
    log: Callable[..., object]

    def votes(self, parts: Sequence[np.ndarray], scratch: Path, advance: Callable[[int], None]) -> np.ndarray:
        """Return int64 [T, N], the classes that the Teacher of each part (rows of `members`) votes for; `NO_VOTE` for none.

        Row t depends on part t and on t, and on the attributes, which no part changes. Finished rows are files in `scratch`.
        """
        found = []
        for number, part in enumerate(parts):
            path, work = scratch / VOTES.replace("*", str(number)), scratch / f"teacher-{number}"
            if not path.exists():
                votes = self._vote(number, labelled(self.members, part), work)
                write_whole(path, partial(write_npy, num_rows=len(votes), parts=[votes]))
                shutil.rmtree(work, ignore_errors=True)
                advance(1)
            found.append(np.load(path))
        return np.stack(found)

    def _vote(self, number: int, data: TrainingData, work: Path) -> np.ndarray:
        """Return int64 [N], the votes of Teacher `number`, which is trained on `data`.

        A Teacher that fails does not vote: if its error ended the run, that would reveal something about its part.
        """
        seed = derive_seed(self.seed, "part", number)
        nothing = np.full(len(self.voted), NO_VOTE, dtype=np.int64)
        if len(data) < FEWEST_IMAGES:
            return nothing
        model = new_classifier(self.config, self.class_names, derive_seed(seed, "initialise"))
        task = Task(model, data, None, CrossEntropy(self.config.label_smoothing), self.config)
        work.mkdir(parents=True, exist_ok=True)
        try:
            fit(task, seed=seed, device=self.device, scratch=work)
            logits = predict_logits(model, self.voted.images, batch_size=self.batch_size)
        except FAILURES as error:
            self.log("no_vote", teacher=number, reason=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
            return nothing
        return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), NO_VOTE)
