"""Sample an image again with other noise while a judge rejects it; keep the best candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tckr.data.seeds import derive_seed
from tckr.stages.generate.copying import CopyDetector, CopySearch
from tckr.stages.generate.disowned import Disowning, TeacherJudge
from tckr.stages.generate.plan import PlannedImage


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The image that is kept for one index of the plan.

    Attributes:
        image: the planned image, with the seed of the noise that was used.
        pixels: uint8 [H, W, 3].
        number: number of candidates generated for this index.
        recognised: whether the Teacher assigns it to its class; None if not judged.
        probability: of its class, by the Teacher.
        copied: whether it is a near-copy of a member; None if not judged.
        copies: number of candidates for this index that are near-copies.
    """

    image: PlannedImage
    pixels: np.ndarray
    number: int
    recognised: bool | None = None
    probability: float = 1.0
    copied: bool | None = None
    copies: int = 0


def next_candidate(image: PlannedImage, number: int) -> PlannedImage:
    """Return the image with the noise of candidate `number` (0, 1, ...), derived from the image's own seed."""
    return replace(image, seed=derive_seed(image.seed, "candidate", number)) if number else image


def better(found: Candidate, other: Candidate) -> Candidate:
    """Return the candidate to keep. Criteria in order: no near-copy, recognised, more probable, earlier."""
    kept = other if _worth(other) > _worth(found) else found
    return replace(kept, number=other.number, copies=found.copies + other.copies)


def _worth(candidate: Candidate) -> tuple[bool, bool, float]:
    return not candidate.copied, candidate.recognised is not False, candidate.probability


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Picklable description of the judges; a judge that is None is not used."""

    disowning: Disowning | None
    copying: CopySearch | None

    def load(self, device: str) -> Judge:
        """Load the judges onto `device`."""
        return Judge(
            teacher=self.disowning.load(device) if self.disowning else None,
            copies=self.copying.load(device) if self.copying else None,
        )


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges images by a Teacher, which recognises their class, and by a detector of near-copies of members."""

    teacher: TeacherJudge | None
    copies: CopyDetector | None

    @property
    def redraws(self) -> int:
        """Return the maximum number of further candidates per image."""
        return max(judge.redraws for judge in (self.teacher, self.copies) if judge)

    def judge(self, images: Sequence[PlannedImage], pixels: Sequence[np.ndarray], number: int) -> list[Candidate]:
        """Return candidate `number` (0, 1, ...) of every image, judged."""
        found = [Candidate(image=image, pixels=seen, number=number + 1) for image, seen in zip(images, pixels, strict=True)]
        if self.teacher:
            judged = self.teacher.probabilities(pixels, [image.label for image in images])
            found = [
                replace(one, recognised=bool(known), probability=float(own))
                for one, known, own in zip(found, *judged, strict=True)
            ]
        if self.copies:
            copied = self.copies.near_copies(pixels)
            found = [replace(one, copied=bool(near), copies=int(near)) for one, near in zip(found, copied, strict=True)]
        return found

    def rejects(self, found: Candidate, number: int) -> bool:
        """Return whether candidate `number` (1, 2, ...) must be generated to replace `found`."""
        disowned = self.teacher is not None and not found.recognised and number <= self.teacher.redraws
        return disowned or (self.copies is not None and bool(found.copied) and number <= self.copies.redraws)
