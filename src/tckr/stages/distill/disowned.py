"""Leave out images to whose class the Teacher gives a low probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tckr.artifacts.left_out import LeftOut
from tckr.data.images import ImageSet
from tckr.errors import UserError
from tckr.stages.distill.targets import SoftTargets

CHUNK = 4096
"""Number of labels processed at a time."""


def own_probabilities(images: ImageSet, targets: SoftTargets) -> np.ndarray:
    """Return float32 [N], the stored probability of the class of every image's prompt."""
    soft = SoftTargets(labels=targets.labels, rows=targets.rows, columns=targets.columns)
    own = np.empty(len(images), dtype=np.float32)
    for start in range(0, len(images), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(images)))
        own[rows] = soft[rows][np.arange(len(rows)), images.labels[rows]]
    return own


def leave_out(own: np.ndarray, images: ImageSet, class_names: Sequence[str], least: float) -> tuple[np.ndarray, LeftOut]:
    """Return the rows (int64, increasing) of images whose own class has at least probability `least`, and the left-out ones.

    Raises:
        UserError: a class would lose all its images.
    """
    stays = own >= least
    classes = {}
    for label, name in enumerate(class_names):
        of_class = images.labels == label
        n, left_out = int(of_class.sum()), int((of_class & ~stays).sum())
        classes[name] = {"n": n, "left_out": left_out}
        if n and left_out == n:
            raise UserError(
                f"distill.min_teacher_probability={least:g} leaves none of the {n} images generated for class '{name}': the "
                f"Teacher gives that class at most {own[of_class].max():.3f}. Lower the probability, adapt longer or raise "
                "the guidance scale, and check the captions of the class; agreement.json of `label` lists the other classes."
            )
    return np.flatnonzero(stays), LeftOut(
        min_teacher_probability=least, classes=classes, indices=np.sort(images.ids[~stays]).tolist()
    )
