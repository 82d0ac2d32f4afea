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


def features_of_pool(classifier: AnyClassifier, data: Path, *, batch_size: int, cache: Path) -> FeatureSet:
    """Return the pool in order of record. `data` is the artifact of `prepare`."""
    seen = features_of(classifier, load_images(data / "pool", cache), batch_size)
    order = np.argsort(seen.ids)
    return FeatureSet(seen.vectors[order], seen.ids[order], groups_of_pool(data, len(order)))


def members_and_holdout(pool: FeatureSet, data: Path, run: int) -> tuple[FeatureSet, FeatureSet]:
    """Return the members of `run` and its hold-out records, canaries apart. `pool` is in order of record."""
    members, ordinary = np.array(read_membership(data)[run]), read_canaries(data) == 0
    inside, outside = (
        FeatureSet(pool.vectors[records], records, None if pool.groups is None else pool.groups[records])
        for records in (np.flatnonzero(members & ordinary), np.flatnonzero(~members & ordinary))
    )
    return inside, outside


def features_of_records(
    classifier: AnyClassifier, data: Path, run: int, *, batch_size: int, cache: Path
) -> tuple[FeatureSet, FeatureSet]:
    """Return the features of both sides of `run`, as `members_and_holdout`."""
    return members_and_holdout(features_of_pool(classifier, data, batch_size=batch_size, cache=cache), data, run)
