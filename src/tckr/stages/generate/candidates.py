"""Draw an image again, with other noise, while one of the judges rejects it; keep the best of what was drawn."""

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
    """The image that is kept of one place in the plan.

    Attributes:
        image: as it was drawn; its seed is that of the noise.
        pixels: uint8 [H, W, 3].
        number: candidates that were drawn for the place.
        recognised: whether the Teacher takes it for its class; None where it was not asked.
        probability: that the Teacher gives its class.
        copied: whether it is a near-copy of a member; None where nobody looked.
        copies: candidates drawn for the place that are near-copies.
    """

    image: PlannedImage
    pixels: np.ndarray
    number: int
    recognised: bool | None = None
    probability: float = 1.0
    copied: bool | None = None
    copies: int = 0


def next_candidate(image: PlannedImage, number: int) -> PlannedImage:
    """Return the image with the noise of its candidate `number` (0, 1, ...), which follows from the image's own seed."""
    return replace(image, seed=derive_seed(image.seed, "candidate", number)) if number else image


def better(found: Candidate, other: Candidate) -> Candidate:
    """Return the one to keep after both were drawn: no near-copy, then recognised, then the more probable, the earlier."""
    kept = other if _worth(other) > _worth(found) else found
    return replace(kept, number=other.number, copies=found.copies + other.copies)


def _worth(candidate: Candidate) -> tuple[bool, bool, float]:
    return not candidate.copied, candidate.recognised is not False, candidate.probability


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What a process needs to judge images as any other one would; None = nobody looks for that."""

    disowning: Disowning | None
    copying: CopySearch | None

    def load(self, device: str) -> Judge:
        """Return the judges at work."""
        return Judge(
            teacher=self.disowning.load(device) if self.disowning else None,
            copies=self.copying.load(device) if self.copying else None,
        )


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A Teacher that says whether an image shows its class, and what finds near-copies of members."""

    teacher: TeacherJudge | None
    copies: CopyDetector | None

    @property
    def redraws(self) -> int:
        """Return how often an image may be drawn again."""
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
        """Return whether candidate `number` (1, 2, ...) is to be drawn in place of what was found so far."""
        disowned = self.teacher is not None and not found.recognised and number <= self.teacher.redraws
        return disowned or (self.copies is not None and bool(found.copied) and number <= self.copies.redraws)
