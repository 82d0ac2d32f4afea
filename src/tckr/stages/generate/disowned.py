"""Find images that the Teacher takes for another class than that of their prompt."""

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
    """What a process needs to ask the Teacher as any other one would.

    Attributes:
        teacher: its artifact.
        class_names: index = label of the images.
        redraws: how often an image may be drawn again.
    """

    teacher: Path
    class_names: tuple[str, ...]
    redraws: int

    def load(self, device: str) -> TeacherJudge:
        """Return the Teacher at work."""
        teacher = load_classifier(self.teacher / MODEL_FOLDER).to(device)
        columns = class_columns(teacher.class_names, self.class_names)
        return TeacherJudge(teacher=teacher, columns=columns, redraws=self.redraws)


@dataclass(frozen=True, kw_only=True)
class TeacherJudge:
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
