"""Soft labels of whole shards. Knows neither the run nor where its artifacts lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from tckr.data.images import decode_image
from tckr.data.shards import write_shard
from tckr.models.classifiers import Classifier, class_columns, predict_logits
from tckr.training.losses import soften


@dataclass(frozen=True)
class Labeller:
    """A Teacher that speaks in another class order.

    Attributes:
        teacher: where it is to compute.
        class_names: the order of the soft labels, index = label of the synthetic images.
        temperature: divides the logits.
        batch_size: images per forward pass.
    """

    teacher: Classifier
    class_names: Sequence[str]
    temperature: float
    batch_size: int

    def soft_labels(self, images: np.ndarray) -> np.ndarray:
        """Return float16 [N, K] probabilities of uint8 images [N, H, W, 3]."""
        logits = predict_logits(self.teacher, images, batch_size=self.batch_size)
        ordered = logits[:, class_columns(self.teacher.class_names, self.class_names)]
        return soften(torch.from_numpy(ordered), self.temperature).numpy().astype(np.float16)


def label_shard(labeller: Labeller, shard: Path, target: Path, advance: Callable[[int], None]) -> None:
    """Write index, label and soft_label of every image in `shard` to the file `target`, whole or not at all."""
    indices, labels, soft_labels = [], [], []
    with pq.ParquetFile(shard) as file:
        for batch in file.iter_batches(batch_size=labeller.batch_size, columns=["image", "label", "index"]):
            images = np.stack([decode_image(data) for data in batch.column("image").field("bytes").to_pylist()])
            soft_labels.append(labeller.soft_labels(images))
            indices.append(batch.column("index").to_numpy())
            labels.append(batch.column("label").to_numpy())
            advance(len(images))
    columns = {
        "index": np.concatenate(indices),
        "label": np.concatenate(labels),
        "soft_label": np.concatenate(soft_labels),
    }
    write_shard(target, columns, labeller.class_names)


def count_images(shard: Path) -> int:
    """Return the rows of a Parquet file without reading them."""
    return pq.read_metadata(shard).num_rows


def join_shards(shards: Sequence[Path], target: Path) -> None:
    """Copy the rows of `shards`, in order, into one file, a row group at a time."""
    with pq.ParquetWriter(target, pq.read_schema(shards[0])) as writer:
        for shard in shards:
            with pq.ParquetFile(shard) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
