"""Put drawn batches together to shards; batches may come in any order, from several shards at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tckr.artifacts.synthetic import SyntheticRows, write_synthetic_shard
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
        rows = SyntheticRows(
            images=[png for _, png in drawn],
            labels=[image.label for image in images],
            prompts=[image.prompt for image in images],
            seeds=[image.seed for image in images],
            indices=[image.index for image in images],
        )
        write_synthetic_shard(self._folder, name, rows, self._class_names)
