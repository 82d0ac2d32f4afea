"""`mistakes.parquet`: test images that the Student gets wrong, the surest first. Private, as the test split is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tckr.data.images import ImageSet, encode_png
from tckr.data.shards import write_shard

FILE_NAME = "mistakes.parquet"

MOST = 48
"""Images that are kept: enough to see a pattern, few enough to leave the test split locked."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One image with its class, the Student's answer (index of a class) and how sure the Student is of it."""

    image: bytes
    label: int
    answer: int
    confidence: float


def write_mistakes(folder: Path, test: ImageSet, answers: np.ndarray, confidences: np.ndarray) -> None:
    """Write the surest of the answers (int64 [T], their probabilities float64 [T]) that are not the image's class."""
    wrong = np.flatnonzero(answers != test.labels)
    kept = wrong[np.argsort(-confidences[wrong], kind="stable")][:MOST]
    columns = {
        "image": [encode_png(np.asarray(test.images[row])) for row in kept],
        "label": test.labels[kept],
        "answer": answers[kept].astype(np.int64),
        "confidence": confidences[kept].astype(np.float64),
    }
    write_shard(folder / FILE_NAME, columns)


def read_mistakes(folder: Path) -> list[Mistake]:
    """Return the images in the order in which they were written; none in an older artifact."""
    path = folder / FILE_NAME
    rows = pq.read_table(path).to_pylist() if path.is_file() else []
    return [
        Mistake(image=row["image"]["bytes"], label=row["label"], answer=row["answer"], confidence=row["confidence"])
        for row in rows
    ]
