"""Find near-copies of members among images as they are drawn, in the features and by the rule of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tckr.artifacts.training import MODEL_FOLDER
from tckr.metrics.copies import NEAR_QUANTILE, FeatureSet, near_copies, near_threshold
from tckr.models.classifiers import AnyClassifier, load_classifier
from tckr.models.classifiers.features import predict_features


@dataclass(frozen=True, kw_only=True)
class CopySearch:
    """What a process needs to find near-copies as any other one would.

    Attributes:
        classifier: artifact of one that saw no record of the pool.
        members, holdout: files of their features [M, D] and [H, D].
        threshold: distance up to which an image is near a record.
        redraws: how often an image may be drawn again.
    """

    classifier: Path
    members: Path
    holdout: Path
    threshold: float
    redraws: int

    def load(self, device: str) -> CopyDetector:
        """Return the search at work; the features are memory maps."""
        members, holdout = (np.load(path, mmap_mode="r", allow_pickle=False) for path in (self.members, self.holdout))
        classifier = load_classifier(self.classifier / MODEL_FOLDER).to(device)
        return CopyDetector(
            classifier=classifier, members=members, holdout=holdout, threshold=self.threshold, redraws=self.redraws
        )


@dataclass(frozen=True, kw_only=True)
class CopyDetector:
    """A classifier with the features of members [M, D] and hold-out records [H, D]."""

    classifier: AnyClassifier
    members: np.ndarray
    holdout: np.ndarray
    threshold: float
    redraws: int

    def near_copies(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return bool [B]: near a member, and closer to it than to any hold-out record."""
        vectors_BD = predict_features(self.classifier, np.stack(images), batch_size=len(images))
        return near_copies(vectors_BD, self.members, self.holdout, self.threshold)


def prepare_search(classifier: Path, members: FeatureSet, holdout: FeatureSet, *, folder: Path, redraws: int) -> CopySearch:
    """Return the search for copies of `members`; their features are written to `folder`."""
    paths = {"members": folder / "members.npy", "holdout": folder / "holdout.npy"}
    for path, side in zip(paths.values(), (members, holdout), strict=True):
        np.save(path, side.vectors, allow_pickle=False)
    threshold = near_threshold(members.vectors, holdout.vectors, NEAR_QUANTILE)
    return CopySearch(classifier=classifier, **paths, threshold=threshold, redraws=redraws)
