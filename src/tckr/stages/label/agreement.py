"""Compare what was asked for in the prompt with what the Teacher sees, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tckr.artifacts.agreement import Agreement, agreement_of_counts
from tckr.artifacts.soft_labels import lists_of


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
