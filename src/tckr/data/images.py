"""Read images from shards: decoded once into a memory map, decoded on access, or streamed in order."""

from __future__ import annotations

import hashlib
import io
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tckr import disk
from tckr.data.encoded import EncodedImages, write_encoded
from tckr.data.npy import write_npy
from tckr.data.shards import list_shards, read_columns
from tckr.disk import write_whole
from tckr.errors import UserError

DECODE_BATCH = 64
"""Images decoded at a time while a memory map is filled."""

SPARE_BYTES = 2**30
"""Disk space that is kept free for checkpoints and artifacts when images are decoded."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images of one size.

    Attributes:
        images: uint8 [N, H, W, 3], RGB, 0 to 255; may be a read-only memory map, or `EncodedImages`, which is used in the
            same way.
        labels: int64 [N], index into the class names.
        ids: int64 [N], unique: the `record` of a real image or the `index` of a synthetic one.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def select(self, ids: np.ndarray) -> ImageSet:
        """Return the images with these ids, in the order of `ids`.

        A memory-mapped set gives a memory-mapped selection (written beside the map, O(batch) memory), an encoded set an
        encoded selection, and other sets a copy.

        Raises:
            KeyError: an id is not in the set.
        """
        rows = self.rows_of(ids)
        images = self.images
        if isinstance(images, np.memmap) and isinstance(images.base, mmap.mmap):  # a complete map, not a slice of one
            selected = _select_mapped(images, rows)
        elif isinstance(images, EncodedImages):
            selected = images.take(rows)
        else:
            selected = images[rows]
        return ImageSet(selected, self.labels[rows], self.ids[rows])

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """Return int64 [len(ids)], the position of each id in this set; raise a KeyError for a missing id."""
        ids = np.asarray(ids, dtype=np.int64)
        order = np.argsort(self.ids, kind="stable")
        found = np.searchsorted(self.ids, ids, sorter=order)
        rows = order[np.minimum(found, max(len(order) - 1, 0))] if len(order) else np.zeros(len(ids), dtype=np.int64)
        missing = ids if not len(order) else ids[self.ids[rows] != ids]
        if len(missing):
            raise KeyError(f"{len(missing)} ids are not in this image set, first {int(missing[0])}")
        return rows.astype(np.int64)


def load_images(folder: Path, cache: Path | None, id_column: str = "record") -> ImageSet:
    """Decode every image in the shards of `folder`.

    Args:
        folder: Parquet shards with `image`, `label` and `id_column`, all images of one size.
        cache: folder for a memory map of the decoded pixels, created once and reused; None keeps them in RAM. If the disk
            is too full, the encoded images are copied there and decoded on every access: slower, but with the same pixels.
        id_column: `record` for real images, `index` for synthetic ones.

    Raises:
        UserError: the disk is too full even for the encoded images.
    """
    columns = read_columns(folder, ["label", id_column])
    labels, ids = (columns[name].astype(np.int64) for name in ("label", id_column))
    if cache is None:
        images = np.concatenate([batch["image"] for batch in iterate_images(folder, DECODE_BATCH, columns=())])
        return ImageSet(images, labels, ids)
    path = cache / f"images-{shards_digest(folder)}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        encoded = path.with_suffix(".encoded")
        if encoded.exists() or _decoded_bytes(folder, len(ids)) > free_bytes(cache):
            return ImageSet(cast(np.ndarray, _open_encoded(folder, encoded)), labels, ids)
        write_whole(path, lambda partial: _decode_into(partial, folder, len(ids)))
    return ImageSet(np.load(path, mmap_mode="r"), labels, ids)


def free_bytes(folder: Path) -> int:
    """Return the bytes that may be written to the disk of `folder`, after subtracting SPARE_BYTES."""
    return disk.free_bytes(folder) - SPARE_BYTES


def _decoded_bytes(folder: Path, count: int) -> int:
    return int(next(iterate_images(folder, 1, columns=()))["image"].nbytes) * count


def _open_encoded(folder: Path, path: Path) -> EncodedImages:
    if not path.exists():
        needed = sum(shard.stat().st_size for shard in list_shards(folder))
        if needed > free_bytes(path.parent):
            raise UserError(disk.no_room(path, disk.size_text(needed), SPARE_BYTES))
        write_whole(path, lambda partial: write_encoded(partial, _encoded_images(folder)))
    return EncodedImages(path, decode_image)


def _encoded_images(folder: Path) -> Iterator[bytes]:
    for shard in list_shards(folder):
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=DECODE_BATCH, columns=["image"]):
                yield from batch.column("image").field("bytes").to_pylist()


def iterate_images(folder: Path, batch_size: int, columns: Sequence[str] = ("label", "record")) -> Iterator[dict[str, Any]]:
    """Yield the images in the shards of `folder` in order, one batch in memory.

    Yields:
        `{"image": uint8 [B, H, W, 3], name: array [B] for each of columns}` with B <= batch_size.
    """
    for shard in list_shards(folder):
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=batch_size, columns=["image", *columns]):
                encoded = batch.column("image").field("bytes").to_pylist()
                images = np.stack([decode_image(data) for data in encoded])
                yield {"image": images} | {name: batch.column(name).to_numpy(zero_copy_only=False) for name in columns}


def decode_image(data: bytes) -> np.ndarray:
    """Return uint8 [H, W, 3] (RGB) of an image written by TCKR; invalid input is handled earlier, by `prepare`."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def encode_png(pixels: np.ndarray) -> bytes:
    """Return the PNG of uint8 [H, W, 3]."""
    assert pixels.dtype == np.uint8, pixels.dtype
    assert pixels.ndim == 3, pixels.shape
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def has_colour(pixels: np.ndarray) -> bool:
    """Return whether the three channels of uint8 [H, W, 3] differ in any pixel."""
    return bool((pixels[..., :1] != pixels[..., 1:]).any())


def without_colour(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 [H, W, 3] with the luma in all three channels (ITU-R BT.601, as Pillow's mode L)."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _decode_into(path: Path, folder: Path, count: int) -> None:
    write_npy(path, count, (batch["image"] for batch in iterate_images(folder, DECODE_BATCH, columns=())))


def _select_mapped(images: np.memmap, rows: np.ndarray) -> np.ndarray:
    source = Path(str(images.filename))
    path = source.with_name(f"{source.stem}-{hashlib.sha256(rows.tobytes()).hexdigest()[:16]}.npy")
    if not path.exists():
        write_whole(path, lambda partial: _copy_rows(partial, images, rows))
    return np.load(path, mmap_mode="r")


def _copy_rows(path: Path, images: np.ndarray, rows: np.ndarray) -> None:
    starts = range(0, max(1, len(rows)), DECODE_BATCH)  # no rows also need one part, which gives type and shape
    write_npy(path, len(rows), (images[rows[start : start + DECODE_BATCH]] for start in starts))


def shards_digest(folder: Path) -> str:
    """Return 16 hex digits that change when a shard of `folder` is written again."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in list_shards(folder)]
    return hashlib.sha256(repr((str(folder.resolve()), stats)).encode()).hexdigest()[:16]
