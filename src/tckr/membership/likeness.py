"""How a classifier that saw no record of the pool sees synthetic images, members and hold-out records: where copies show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tckr.artifacts.membership import read_canaries, read_membership
from tckr.data.groups import groups_of_pool
from tckr.data.images import ImageSet, load_images
from tckr.metrics.copies import FeatureSet
from tckr.models.classifiers import AnyClassifier
from tckr.models.classifiers.features import predict_features


def features_of(classifier: AnyClassifier, images: ImageSet, batch_size: int) -> FeatureSet:
    """Return all images as points of the classifier's feature space."""
    return FeatureSet(predict_features(classifier, images.images, batch_size=batch_size), images.ids)


def features_of_records(
    classifier: AnyClassifier, data: Path, run: int, *, batch_size: int, cache: Path
) -> tuple[FeatureSet, FeatureSet]:
    """Return the members of `run` and its hold-out records, canaries apart. `data` is the artifact of `prepare`."""
    seen = features_of(classifier, load_images(data / "pool", cache), batch_size)
    order = np.argsort(seen.ids)
    members, ordinary = np.array(read_membership(data)[run]), read_canaries(data) == 0
    sides = (np.flatnonzero(members & ordinary), np.flatnonzero(~members & ordinary))
    groups = groups_of_pool(data, len(ordinary))
    inside, outside = (
        FeatureSet(seen.vectors[order[records]], records, None if groups is None else groups[records]) for records in sides
    )
    return inside, outside
