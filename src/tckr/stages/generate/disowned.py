"""Draw an image again, with other noise, while the Teacher takes it for another class than that of its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tckr.artifacts.training import MODEL_FOLDER
from tckr.data.seeds import derive_seed
from tckr.data.transforms import to_device
from tckr.models.classifiers import AnyClassifier, class_columns, load_classifier
from tckr.stages.generate.plan import PlannedImage


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What a process needs to judge images as any other one would.

    Attributes:
        teacher: its artifact.
        class_names: index = label of the images.
        redraws: how often an image may be drawn again.
    """

    teacher: Path
    class_names: tuple[str, ...]
    redraws: int

    def load(self, device: str) -> Judge:
        """Return the Teacher at work."""
        teacher = load_classifier(self.teacher / MODEL_FOLDER).to(device)
        return Judge(teacher=teacher, columns=class_columns(teacher.class_names, self.class_names), redraws=self.redraws)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A Teacher that says of an image whether it shows its class; `columns` put its answers into the order of labels."""

    teacher: AnyClassifier
    columns: np.ndarray
    redraws: int

    def probabilities(self, images: Sequence[np.ndarray], labels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return bool [B], whether its own class is an image's likeliest one, and float32 [B], the probability of it."""
        with torch.inference_mode():
            logits_BK = self.teacher(to_device(np.stack(images), self.teacher.device)).cpu()[:, self.columns]
        own_B = logits_BK.softmax(dim=1)[torch.arange(len(images)), torch.as_tensor(labels)]
        return (logits_BK.argmax(dim=1) == torch.as_tensor(labels)).numpy(), own_B.numpy()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The image that is kept of one place in the plan.

    Attributes:
        image: as it was drawn; its seed is that of the noise.
        pixels: uint8 [H, W, 3].
        number: candidates that were drawn for the place.
        recognised: whether the Teacher takes it for its class.
        probability: that the Teacher gives its class.
    """

    image: PlannedImage
    pixels: np.ndarray
    number: int
    recognised: bool
    probability: float


def next_candidate(image: PlannedImage, number: int) -> PlannedImage:
    """Return the image with the noise of its candidate `number` (0, 1, ...), which follows from the image's own seed."""
    return replace(image, seed=derive_seed(image.seed, "candidate", number)) if number else image


def better(found: Candidate, other: Candidate) -> Candidate:
    """Return the one to keep after both were drawn: one that is recognised, else the more probable, else the earlier."""
    kept = other if (other.recognised, other.probability) > (found.recognised, found.probability) else found
    return replace(kept, number=other.number)
