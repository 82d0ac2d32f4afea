"""Data, settings, times and trainings in a shareable report: an explicit list of fields, with rounded numbers."""

from __future__ import annotations

from typing import Any

from tckr.artifacts.data_card import DataCard
from tckr.metrics.rounding import significant
from tckr.sharing.allowed_settings import allowed_settings, allowed_values
from tckr.stages.report.privacy import shown_name
from tckr.stages.report.report_json import CaptionSummary, StageRecord, Training

METRICS = ("epochs", "seconds", "best_epoch", "num_train")
EPOCH = {"epoch": None, "step": None, "learning_rate": None, "loss": 3, "validation_accuracy": 2}
"""Numbers of a history that may be shared -> significant digits; None = all digits."""


def shareable_card(card: DataCard) -> DataCard:
    """Return the card without the name of the source, its class names as given, and the lock of the test split."""
    return DataCard(
        name=shown_name(card),
        source=shown_name(card),
        class_names=card.class_names,
        image_size=card.image_size,
        counts=card.counts,
        num_pool=card.num_pool,
        num_validation=card.num_validation,
        num_test=card.num_test,
        num_members=card.num_members,
        rejected=card.rejected,
        normalised=card.normalised,
        duplicates=card.duplicates,
        test_sha256="",
        audit_holdout=card.audit_holdout,
        groups=card.groups,
        canaries=card.canaries,
        grey=card.grey,
        sizes=card.sizes,
        public=card.public,
        source_kind=card.source_kind,
    )


def shareable_record(record: StageRecord) -> StageRecord:
    """Return the cost of a stage without its fingerprint, from which private settings could be found by trial."""
    return StageRecord(
        stage=record.stage,
        sensitivity=record.sensitivity,
        seconds=significant(record.seconds),
        peak_memory_mb=significant(record.peak_memory_mb),
        size_mb=significant(record.size_mb),
        created=record.created,
        fingerprint="",
        version=record.version,
        config=allowed_settings(record.stage, record.config),
        became=allowed_values(record.stage, record.became),
    )


def shareable_training(training: Training) -> Training:
    """Return a training's numbers with few digits: an exact accuracy would reveal the number of wrong images."""
    metrics = {name: value for name, value in training.metrics.items() if name in METRICS}
    return Training(history=shareable_history(training.history), metrics=metrics)


def shareable_history(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of a history with few digits."""
    return [{name: _few_digits(name, value) for name, value in entry.items() if name in EPOCH} for entry in history]


def shareable_captions(captions: CaptionSummary) -> CaptionSummary:
    """Return counts over the captions with few digits."""
    return CaptionSummary(
        num_captions=captions.num_captions,
        num_distinct=int(significant(captions.num_distinct)),
        median_words=captions.median_words,
    )


def _few_digits(name: str, value: float | None) -> float | None:
    digits = EPOCH[name]
    return value if value is None or digits is None else significant(value, digits)
