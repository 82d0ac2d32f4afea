"""Compare what was asked for in the prompt with what the Teacher sees, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

LOW_AGREEMENT = 0.5
"""Below it a class's images are more often something else than what was asked for."""

Agreement = dict[str, dict[str, int]]
"""`{class: {"n": images made for it, "agree": those that the Teacher takes for it}}`."""


def count_agreement(soft_labels: Path, class_names: Sequence[str]) -> Agreement:
    """Return the agreement over the rows of a soft-label file, reading it batch by batch."""
    seen = np.zeros((len(class_names), len(class_names)), dtype=np.int64)
    with pq.ParquetFile(soft_labels) as file:
        for batch in file.iter_batches(columns=["label", "soft_label"]):
            probabilities = batch.column("soft_label").flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)
            np.add.at(seen, (batch.column("label").to_numpy(), probabilities.argmax(axis=1)), 1)
    return agreement_of(seen, class_names)


def agreement_of(confusion_KK: np.ndarray, class_names: Sequence[str]) -> Agreement:
    """Return the agreement that counts [class of the prompt, class the Teacher sees] imply."""
    return {
        name: {"n": int(confusion_KK[index].sum()), "agree": int(confusion_KK[index, index])}
        for index, name in enumerate(class_names)
    }


def low_agreement(counts: Agreement) -> list[str]:
    """Return the classes with images of which fewer than LOW_AGREEMENT agree."""
    return [name for name, count in counts.items() if count["n"] and count["agree"] / count["n"] < LOW_AGREEMENT]
