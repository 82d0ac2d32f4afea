"""Detect images that the Teacher assigns to another class than that of their prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tckr.artifacts.training import MODEL_FOLDER
from tckr.data.transforms import to_device
from tckr.models.classifiers import AnyClassifier, class_columns, load_classifier


@dataclass(frozen=True, kw_only=True)
class Disowning:
    """Picklable description of the Teacher as a judge, equal in all processes.

    Attributes:
        teacher: folder of its artifact.
        class_names: index = label of the images.
        redraws: maximum number of further candidates per image.
    """

    teacher: Path
    class_names: tuple[str, ...]
    redraws: int

    def load(self, device: str) -> TeacherJudge:
        """Load the Teacher."""
        teacher = load_classifier(self.teacher / MODEL_FOLDER).to(device)
        columns = class_columns(teacher.class_names, self.class_names)
        return TeacherJudge(teacher=teacher, columns=columns, redraws=self.redraws)


@dataclass(frozen=True, kw_only=True)
class TeacherJudge:
    """A Teacher that judges whether images show their class; `columns` reorders its output to the order of labels."""

    teacher: AnyClassifier
    columns: np.ndarray
    redraws: int

    def probabilities(self, images: Sequence[np.ndarray], labels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return bool [B], whether the Teacher's most probable class is the image's, and float32 [B], its probability."""
        with torch.inference_mode():
            logits_BK = self.teacher(to_device(np.stack(images), self.teacher.device)).cpu()[:, self.columns]
        own_B = logits_BK.softmax(dim=1)[torch.arange(len(images)), torch.as_tensor(labels)]
        return (logits_BK.argmax(dim=1) == torch.as_tensor(labels)).numpy(), own_B.numpy()
