"""Queries of one run about every record, one function per signal.

A signal is queried only if everything it needs was computed separately for that run, because parts shared by all runs
contain no information about a single one. Shape suffixes: N pool records, S synthetic images, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.synthetic import load_synthetic, synthetic_column
from tckr.artifacts.training import MODEL_FOLDER
from tckr.data.images import ImageSet, load_images
from tckr.membership.config import QueryConfig
from tckr.membership.queries.classifiers import record_answers
from tckr.membership.queries.confidence import logit_confidence
from tckr.membership.queries.denoising import denoising_losses
from tckr.membership.queries.prompts import count_among, prompts_of
from tckr.membership.queries.views import num_queries
from tckr.metrics.neighbours import k_nearest, nearest
from tckr.models.classifiers import AnyClassifier, class_columns, load_classifier, predict_logits
from tckr.models.classifiers.features import predict_features
from tckr.models.diffusion.load import load_generator

SMALL_DISTANCE = 1e-3
"""Multiple of the mean distance that is added to distances before their logarithm, so that an exact copy has one."""

Answers = dict[str, np.ndarray]
"""Column name -> one value per record, [N]."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A run to query, and the records to query it about.

    Attributes:
        folders: artifacts by input name.
        records: the pool, or only canaries, in order of record number.
        class_names: index = label.
        settings: settings of the queries.
        device: torch device name.
        batch_size: records per forward pass.
        cache: folder for decoded images.
        advance: called with the number of finished queries; each record has `Question.looks` of them.
    """

    folders: Mapping[str, Path]
    records: ImageSet
    class_names: list[str]
    settings: QueryConfig
    device: str
    batch_size: int
    cache: Path
    advance: Callable[[int], None]

    def classifier(self, name: str) -> AnyClassifier:
        """Return the classifier of input `name`."""
        return load_classifier(self.folders[name] / MODEL_FOLDER).to(self.device)

    @cached_property
    def synthetic(self) -> ImageSet:
        """Return the synthetic images of the run."""
        return load_synthetic(self.folders["synthetic"], self.cache)

    @cached_property
    def unseen(self) -> ImageSet | None:
        """Return the validation images, on which no run's generator was trained; None if there are none."""
        data = self.folders["data"]
        return load_images(data / "validation", self.cache) if DataCard.read(data).num_validation else None

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return float32 [., D], features of a model that was trained on none of the records."""
        return predict_features(self.classifier("features"), images, batch_size=self.batch_size)

    @cached_property
    def features_ND(self) -> np.ndarray:  # noqa: N802
        """Return the features of the records."""
        return self.features(self.records.images)

    @cached_property
    def features_SD(self) -> np.ndarray:  # noqa: N802
        """Return the features of the synthetic images."""
        return self.features(self.synthetic.images)


@dataclass(frozen=True)
class Question:
    """A signal: the inputs that must be the run's own, its function, and the number of queries per record."""

    needs: tuple[str, ...]
    ask: Callable[[Asked], Answers]
    looks: Callable[[QueryConfig], int]


def ask_model(asked: Asked, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a classifier's logit-scaled confidence in every record's label, and whether its prediction was right."""
    settings = asked.settings
    return record_answers(
        asked.classifier(name),
        asked.records,
        asked.class_names,
        logit_confidence,
        shift=settings.shift,
        flip=settings.flip,
        batch_size=asked.batch_size,
        advance=lambda records: asked.advance(records * _views(settings)),
    )


def ask_teacher(asked: Asked) -> Answers:
    """Query the Teacher about every record."""
    signals, correct = ask_model(asked, "teacher")
    return {"teacher": signals, "teacher_correct": correct}


def ask_student(asked: Asked) -> Answers:
    """Query the Student about every record."""
    signals, correct = ask_model(asked, "student")
    return {"student": signals, "student_correct": correct}


def ask_attacker(asked: Asked) -> Answers:
    """Query the student that an attacker trained on the released images and soft labels."""
    return {"soft_labels": ask_model(asked, "attacker")[0]}


def ask_student_indirectly(asked: Asked) -> Answers:
    """Query the Student on the synthetic images nearest to a record instead of the record (Jagielski et al. 2023).

    "Students Parrot Their Teachers": what a Teacher memorized about a record affects its labels of similar images, on which
    the Student was trained. The signal is the mean confidence in the record's label over those images.
    """
    count = min(asked.settings.num_neighbours, len(asked.synthetic))
    neighbours_NJ = k_nearest(asked.features_ND, asked.features_SD, count)[1]
    logits_SK = asked_logits(asked, "student", asked.synthetic.images)
    labels = asked.records.labels
    each = [logit_confidence(logits_SK[neighbours_NJ[:, place]], labels) for place in range(count)]
    asked.advance(len(labels))
    return {"student_indirect": np.mean(each, axis=0)}


def asked_logits(asked: Asked, name: str, images: np.ndarray) -> np.ndarray:
    """Return logits of `images` in the order of the data's classes."""
    classifier = asked.classifier(name)
    logits = predict_logits(classifier, images, batch_size=asked.batch_size)
    return logits[:, class_columns(classifier.class_names, asked.class_names)]


def ask_images(asked: Asked) -> Answers:
    """Return minus the distance from every record to the nearest synthetic image, in features and in pixels (0 to 1).

    With validation images, on which no generator was trained, also return how much nearer the nearest synthetic image is
    than the nearest of them: the log of the ratio of distances in features. A record in a dense region is near to both (van
    Breugel et al. 2023, "Membership Inference Attacks against Synthetic Data through Overfitting Detection": the ratio of
    two densities).
    """
    flat_N, flat_S = (
        np.asarray(images).reshape(len(images), -1) for images in (asked.records.images, asked.synthetic.images)
    )
    by_features, _ = nearest(asked.features_ND, asked.features_SD)
    by_pixels, _ = nearest(flat_N, flat_S)
    asked.advance(len(flat_N))
    answers = {"images": -by_features, "images_pixels": -by_pixels / 255}
    if asked.unseen is None:
        return answers
    usual, _ = nearest(asked.features_ND, asked.features(asked.unseen.images))
    small = SMALL_DISTANCE * (float(usual.mean()) or 1.0)
    return {**answers, "images_relative": np.log(usual + small) - np.log(by_features + small)}


def ask_captions(asked: Asked) -> Answers:
    """Return log(1 + number of released prompts equal to the record's own prompt from the public captioner)."""
    released = synthetic_column(asked.folders["synthetic"], "prompt")
    adapter = AdapterCard.read(asked.folders["adapter"])
    own = prompts_of(asked.folders["captions"], adapter, asked.records, asked.class_names)
    asked.advance(len(own))
    return {"captions": np.log1p(count_among(own, released))}


def ask_adapter(asked: Asked) -> Answers:
    """Return minus the denoising loss of every record, averaged over fixed noise and noise levels, equal for all runs."""
    adapter = AdapterCard.read(asked.folders["adapter"])
    # float32, because differences of losses are small
    generator = load_generator(adapter.model, asked.device, torch.float32, adapter.revision)
    if adapter.has_weights:
        generator.load_adapter(asked.folders["adapter"])
    losses = denoising_losses(
        generator,
        asked.records.images,
        prompts_of(asked.folders["captions"], adapter, asked.records, asked.class_names),
        num_draws=asked.settings.loss_draws,
        batch_size=asked.batch_size,
        numbers=asked.records.ids,
        advance=asked.advance,
    )
    return {"adapter": -losses}


def _views(settings: QueryConfig) -> int:
    return num_queries(settings.shift, settings.flip)


QUESTIONS: dict[str, Question] = {
    "captions": Question(("captions", "adapter", "synthetic"), ask_captions, lambda settings: 1),
    "adapter": Question(("captions", "adapter"), ask_adapter, lambda settings: settings.loss_draws),
    "images": Question(("adapter", "synthetic", "features"), ask_images, lambda settings: 1),
    "attacker": Question(("attacker",), ask_attacker, _views),
    "teacher": Question(("teacher",), ask_teacher, _views),
    "student": Question(("student",), ask_student, _views),
    "student_indirect": Question(("student", "synthetic", "features"), ask_student_indirectly, lambda settings: 1),
}
