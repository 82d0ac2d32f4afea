"""Compute soft labels of complete shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from tckr.artifacts.soft_labels import STORED_TYPE, LabelRecipe, take_top
from tckr.artifacts.synthetic import read_synthetic_shard, synthetic_class_names, synthetic_column
from tckr.artifacts.voted_labels import VotedLabels
from tckr.data.shards import write_shard
from tckr.data.transforms import to_device
from tckr.data.views import make_views
from tckr.errors import UserError
from tckr.models.classifiers import AnyClassifier, class_columns, load_classifier
from tckr.training.losses import soften


@dataclass(frozen=True)
class Labeller:
    """A Teacher whose classes are converted to another order.

    Attributes:
        teacher: in evaluation mode, on its device.
        class_names: the order of the soft labels, index = label of the synthetic images.
        recipe: temperature and views of the labels.
        top_k: number of probabilities to keep; None = all.
        batch_size: images per forward pass.
    """

    teacher: AnyClassifier
    class_names: Sequence[str]
    recipe: LabelRecipe
    top_k: int | None
    batch_size: int

    def soft_labels(self, images: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Return float16 [B, V, K], probabilities of every view of uint8 images [B, H, W, 3] with these indices."""
        columns = class_columns(self.teacher.class_names, self.class_names)
        views = []
        with torch.inference_mode():
            pixels = to_device(images, self.teacher.device)
            for view in range(self.recipe.views.num_views):
                seen = make_views(pixels, indices, np.full(len(indices), view), self.recipe.views)
                ordered = self.teacher(seen).cpu()[:, columns]
                views.append(soften(ordered, self.recipe.temperature).numpy().astype(STORED_TYPE))
        return np.stack(views, axis=1)

    def columns(self, indices: np.ndarray, labels: np.ndarray, soft_labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns of the file: a row for every image and view."""
        num_views = soft_labels.shape[1]
        columns = {"index": np.repeat(indices, num_views), "label": np.repeat(labels, num_views)}
        if num_views > 1:
            columns["view"] = np.tile(np.arange(num_views, dtype=np.int16), len(indices))
        flat = soft_labels.reshape(-1, soft_labels.shape[2])
        if self.top_k is None or self.top_k >= flat.shape[1]:
            return columns | {"soft_label": flat}
        values, classes = take_top(flat, self.top_k)
        return columns | {"soft_label": values, "soft_label_class": classes}


@dataclass(frozen=True, kw_only=True)
class LabelTask:
    """Everything that a process needs to label images, so that all processes compute the same labels.

    Attributes:
        teacher: folder of the Teacher.
        device: torch device name.
        class_names: for `Labeller`; so are the others.
        recipe: how labels are made.
        top_k: how many probabilities to keep.
        batch_size: images per forward pass.
    """

    teacher: Path
    device: str
    class_names: tuple[str, ...]
    recipe: LabelRecipe
    top_k: int | None
    batch_size: int

    def load(self) -> Labeller:
        """Return the Teacher, ready to label."""
        teacher = load_classifier(self.teacher).to(self.device)
        return Labeller(teacher, self.class_names, self.recipe, self.top_k, self.batch_size)


def label_alone(item: tuple[Path, Path], *, task: LabelTask) -> int:
    """Write the labels of a shard into a file; return the number of its images. A process loads the Teacher only once."""
    shard, target = item
    if not target.exists():  # another attempt may have written it before it was lost
        label_shard(_loaded(task), shard, target, lambda amount: None)
    return count_rows(shard)


@lru_cache(maxsize=1)
def _loaded(task: LabelTask) -> Labeller:
    return task.load()


def label_shard(labeller: Labeller, shard: Path, target: Path, advance: Callable[[int], None]) -> None:
    """Write the soft labels of every image in `shard` to the file `target`, completely or not at all.

    Raises:
        UserError: the Teacher's output is not finite.
    """
    indices, labels, soft_labels = [], [], []
    for images, own_labels, own_indices in read_synthetic_shard(shard, labeller.batch_size):
        labels.append(own_labels)
        indices.append(own_indices)
        soft_labels.append(labeller.soft_labels(images, own_indices))
        if not np.isfinite(soft_labels[-1]).all():
            raise UserError(
                f"the Teacher's output for synthetic image {own_indices[0]} or one soon after it is not a number; "
                "its training probably diverged: lower teach.learning_rate or teach.gradient_clip"
            )
        advance(len(images))
    columns = labeller.columns(*(np.concatenate(parts) for parts in (indices, labels, soft_labels)))
    write_shard(target, columns, labeller.class_names)


def label_by_prompt(synthetic: Path, target: Path, voted: VotedLabels | None = None) -> None:
    """Write labels with probability 1 for one class to the file `target`: for the `voted` class, else that of the prompt."""
    class_names = synthetic_class_names(synthetic)
    labels, indices = (synthetic_column(synthetic, name) for name in ("label", "index"))
    chosen = labels.copy()
    if voted:
        assert np.isin(voted.indices, indices).all(), "votes on other images"
        place = np.argsort(indices, kind="stable")
        chosen[place[np.searchsorted(indices, voted.indices, sorter=place)]] = voted.labels
    certain = np.eye(len(class_names), dtype=STORED_TYPE)[chosen]
    columns = {"index": indices, "label": labels, "soft_label": certain}
    write_shard(target, columns, class_names)


def count_rows(shard: Path) -> int:
    """Return the number of rows of a Parquet file without reading them."""
    return pq.read_metadata(shard).num_rows


def join_shards(shards: Sequence[Path], target: Path, recipe: LabelRecipe) -> None:
    """Copy the rows of `shards`, in order, into one file with the recipe as metadata, one row group at a time."""
    schema = pq.read_schema(shards[0])
    schema = schema.with_metadata(recipe.into(schema.metadata))
    with pq.ParquetWriter(target, schema) as writer:
        for shard in shards:
            with pq.ParquetFile(shard) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group).replace_schema_metadata(schema.metadata))
