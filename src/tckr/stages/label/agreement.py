"""Compare what was asked for in the prompt with what the Teacher sees, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tckr.artifacts.agreement import (
    Agreement,
    agreement_of_counts,
    guessing_rate,
    is_mostly_wrong,
    low_classes,
    total_agreement,
)
from tckr.artifacts.soft_labels import lists_of

SHOWN = 3
"""Classes that a message names."""

WAY_OUT = "use a larger model (adapt.model), adapt it longer (adapt.steps) or on a GPU (docs/generators.md)"


def count_agreement(soft_labels: Path, class_names: Sequence[str]) -> Agreement:
    """Return the agreement over the images of a soft-label file as they are, reading it batch by batch."""
    seen = np.zeros((len(class_names), len(class_names)), dtype=np.int64)
    with pq.ParquetFile(soft_labels) as file:
        names = [name for name in ("label", "view", "soft_label", "soft_label_class") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=names):
            choices = lists_of(batch.column("soft_label")).argmax(axis=1)
            if "soft_label_class" in names:
                choices = lists_of(batch.column("soft_label_class"))[np.arange(len(batch)), choices]
            plain = batch.column("view").to_numpy() == 0 if "view" in names else slice(None)
            np.add.at(seen, (batch.column("label").to_numpy()[plain], choices[plain]), 1)
    return agreement_of(seen, class_names)


def agreement_of(confusion_KK: np.ndarray, class_names: Sequence[str]) -> Agreement:
    """Return the agreement that counts [class of the prompt, class the Teacher sees] imply."""
    counts = zip(class_names, confusion_KK.sum(axis=1).tolist(), confusion_KK.diagonal().tolist(), strict=True)
    return {name: agreement_of_counts(n, agree) for name, n, agree in counts}


def describe_low(agreement: Agreement, validation_accuracy: float | None) -> str:
    """Return in one sentence what the generator cannot draw, with the way out; empty where it draws every class.

    Args:
        agreement: of the synthetic images.
        validation_accuracy: of the Teacher, in [0, 1], where known: it tells a generator that cannot draw from a Teacher
            that does not know the classes.
    """
    low, total = low_classes(agreement), total_agreement(agreement)
    worst = ", ".join(f"'{name}' {found.agree} of {found.n}" for name, found in list(low.items())[:SHOWN])
    if is_mostly_wrong(agreement):
        known = "" if validation_accuracy is None else f", and {validation_accuracy:.0%} of the private validation images"
        lowest = f", lowest {worst}" if worst else ""
        return (
            f"the Teacher recognises {total.rate:.0%} of the {total.n:,} synthetic images as the class they were made for "
            f"({guessing_rate(agreement):.0%} is guessing{lowest}){known}: most images do not show their class; {WAY_OUT}"
        )
    if not low:
        return ""
    more = " and others" if len(low) > SHOWN else ""
    return (
        f"the Teacher recognises fewer than half of the images made for {len(low)} of {len(agreement)} classes "
        f"({worst}{more}): the generator draws something else there; {WAY_OUT}, and check these classes' captions"
    )
