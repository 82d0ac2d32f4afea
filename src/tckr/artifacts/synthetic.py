"""The synthetic set: its shards `data/train-*.parquet`, its facts in `plan.json`, what was copied in `copied.json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq

from tckr.artifacts.document import Document
from tckr.artifacts.manifest import Manifest
from tckr.data.class_names import read_class_names
from tckr.data.images import ImageSet, decode_image, load_images
from tckr.data.shards import list_shards, read_columns, write_shard

DATA_FOLDER = "data"


class SyntheticFacts(Document):
    """What was generated.

    Attributes:
        num_images: of the complete set.
        num_classes: how many classes.
        image_size: side of the images in px.
        shard_size: images per shard; the last one may have fewer.
        precision: number type that the images were computed in; no set mixes two.
    """

    file_name: ClassVar[str] = "plan.json"

    num_images: int
    num_classes: int
    image_size: int
    shard_size: int
    precision: str


class CopiedImages(Document):
    """Images that were copied from other sets instead of being generated.

    Attributes:
        images: how many were copied.
        of: images of the sets they came from.
        seconds: what those sets took.
    """

    file_name: ClassVar[str] = "copied.json"

    images: int
    of: int
    seconds: float


class Candidates(Document):
    """What drawing images again, while the Teacher disowned them, came to.

    Attributes:
        redraws: how often an image was drawn again at most.
        classes: class name -> {"n": images of the set, "candidates": images drawn for them, "recognised": images of the set
            that the Teacher takes for the class}.
    """

    file_name: ClassVar[str] = "candidates.json"

    redraws: int
    classes: dict[str, dict[str, int]]

    @property
    def total(self) -> dict[str, int]:
        """Return the three counts over all classes."""
        return {key: sum(counts[key] for counts in self.classes.values()) for key in ("n", "candidates", "recognised")}


class ReplacedCopies(Document):
    """What drawing near-copies of members again came to.

    Attributes:
        redraws: how often an image was drawn again at most.
        replaced: images of the set that were drawn again and are no near-copies.
        left: images of the set that are near-copies after all.
    """

    file_name: ClassVar[str] = "replaced_copies.json"

    redraws: int
    replaced: int
    left: int


def count_replaced(folder: Path, redraws: int) -> ReplacedCopies:
    """Return the counts of the synthetic set in `folder`, whose shards are complete and were searched for near-copies."""
    columns = read_columns(folder / DATA_FOLDER, ["candidates", "copies"])
    left = columns["copies"] == columns["candidates"]
    return ReplacedCopies(redraws=redraws, replaced=int((columns["copies"][~left] > 0).sum()), left=int(left.sum()))


def count_candidates(folder: Path, redraws: int) -> Candidates:
    """Return the counts of the judged synthetic set in `folder`, whose shards are complete."""
    columns = read_columns(folder / DATA_FOLDER, ["label", "candidates", "recognised"])
    classes = {}
    for label, name in enumerate(synthetic_class_names(folder)):
        own = columns["label"] == label
        counts = {"candidates": columns["candidates"][own].sum(), "recognised": columns["recognised"][own].sum()}
        classes[name] = {"n": int(own.sum())} | {key: int(count) for key, count in counts.items()}
    return Candidates(redraws=redraws, classes=classes)


@dataclass(frozen=True, kw_only=True)
class SyntheticRows:
    """Rows of a shard.

    Attributes:
        images: n PNG files.
        labels: n classes of the prompts.
        prompts: n texts, which hold captions of private images.
        seeds: n seeds of the images' noise.
        indices: n numbers of the images in the set.
        candidates: n numbers of images drawn for each place, of which one was kept; None where each is the first.
        recognised: whether the Teacher takes each image for its class; None where it was not asked.
        copies: n numbers of the candidates that are near-copies of members; None where nobody looked.
    """

    images: Sequence[bytes]
    labels: Sequence[int] | np.ndarray
    prompts: Sequence[str]
    seeds: Sequence[int] | np.ndarray
    indices: Sequence[int] | np.ndarray
    candidates: Sequence[int] | None = None
    recognised: Sequence[bool] | None = None
    copies: Sequence[int] | None = None


def shards(num_images: int, shard_size: int) -> Iterator[tuple[str, range]]:
    """Yield the file name of each shard of a set and the indices of its images."""
    count = -(-num_images // shard_size)
    for shard in range(count):
        indices = range(shard * shard_size, min((shard + 1) * shard_size, num_images))
        yield f"train-{shard:05d}-of-{count:05d}.parquet", indices


def synthetic_shards(folder: Path) -> list[Path]:
    """Return the complete shards of the synthetic set in `folder`, in order."""
    return list_shards(folder / DATA_FOLDER)


def write_synthetic_shard(folder: Path, name: str, rows: SyntheticRows, class_names: Sequence[str]) -> None:
    """Write shard `name` of the synthetic set in `folder`, complete or not at all."""
    columns = {
        "image": rows.images,
        "label": np.asarray(rows.labels, dtype=np.int64),
        "prompt": rows.prompts,
        "seed": np.asarray(rows.seeds, dtype=np.int64),
        "index": np.asarray(rows.indices, dtype=np.int64),
    }
    judged = {"candidates": rows.candidates, "recognised": rows.recognised, "copies": rows.copies}
    columns |= {name: np.asarray(values) for name, values in judged.items() if values is not None}
    write_shard(folder / DATA_FOLDER / name, columns, class_names=class_names)


def load_synthetic(folder: Path, cache: Path | None) -> ImageSet:
    """Return the images of the synthetic set in `folder`; their ids are the indices. `cache` as for `load_images`."""
    return load_images(folder / DATA_FOLDER, cache, id_column="index")


def read_synthetic_shard(shard: Path, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield images uint8 [B, H, W, 3], labels int64 [B] and indices int64 [B] of one shard, in order."""
    with pq.ParquetFile(shard) as file:
        for batch in file.iter_batches(batch_size=batch_size, columns=["image", "label", "index"]):
            images = np.stack([decode_image(data) for data in batch.column("image").field("bytes").to_pylist()])
            yield images, batch.column("label").to_numpy(), batch.column("index").to_numpy()


def synthetic_class_names(folder: Path) -> list[str]:
    """Return the class names of the synthetic set in `folder`, index = label."""
    return read_class_names(folder / DATA_FOLDER)


def synthetic_column(folder: Path, name: str) -> np.ndarray:
    """Return column `label`, `prompt`, `seed` or `index` of the synthetic set in `folder`."""
    return read_columns(folder / DATA_FOLDER, [name])[name]


def seconds_alone(folder: Path) -> float:
    """Return what a complete synthetic set would have taken without copies: its own time and its share of theirs."""
    seconds = Manifest.read(folder).seconds
    copied = CopiedImages.read_if_there(folder)
    return seconds + (copied.seconds * copied.images / copied.of if copied else 0.0)
