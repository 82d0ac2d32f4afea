"""Put drawn batches together to shards; batches may come in any order, from several shards at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tckr.data.shards import write_shard
from tckr.stages.generate.plan import Batch, PlannedImage


class Assembly:
    """The shards in progress: each file is written once all its images are there."""

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self._folder = folder
        self._class_names = class_names
        self._drawn: dict[str, list[tuple[PlannedImage, bytes]]] = {}

    def add(self, batch: Batch, pngs: Sequence[bytes]) -> None:
        """Take the images of a batch (PNG), and write its shard if they were the last ones missing."""
        drawn = self._drawn.setdefault(batch.shard, [])
        drawn.extend(zip(batch.images, pngs, strict=True))
        if len(drawn) == batch.shard_images:
            self._write(batch.shard, sorted(self._drawn.pop(batch.shard), key=lambda pair: pair[0].index))

    def _write(self, name: str, drawn: Sequence[tuple[PlannedImage, bytes]]) -> None:
        images = [image for image, _ in drawn]
        columns = {
            "image": [png for _, png in drawn],
            "label": np.array([image.label for image in images], dtype=np.int64),
            "prompt": [image.prompt for image in images],
            "seed": np.array([image.seed for image in images], dtype=np.int64),
            "index": np.array([image.index for image in images], dtype=np.int64),
        }
        write_shard(self._folder / name, columns, class_names=self._class_names)
