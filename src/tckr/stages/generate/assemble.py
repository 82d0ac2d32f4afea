"""Put drawn batches together to shards; batches may come in any order, from several shards at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from tckr.artifacts.synthetic import SyntheticRows, write_synthetic_shard
from tckr.stages.generate.candidates import Candidate
from tckr.stages.generate.draw import Drawn
from tckr.stages.generate.plan import PlannedImage


class Finished(NamedTuple):
    """An image of a shard, with the candidate that it is where candidates were judged."""

    image: PlannedImage
    png: bytes
    candidate: Candidate | None


class Assembly:
    """The shards in progress: each file is written once all its images are there."""

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self._folder = folder
        self._class_names = class_names
        self._drawn: dict[str, list[Finished]] = {}

    def add(self, drawn: Drawn) -> None:
        """Take the images of a batch, and write its shard if they were the last ones missing."""
        batch, found = drawn.batch, self._drawn.setdefault(drawn.batch.shard, [])
        candidates = drawn.candidates or repeat(None, len(drawn.pngs))
        found.extend(Finished(*parts) for parts in zip(batch.images, drawn.pngs, candidates, strict=True))
        if len(found) == batch.shard_images:
            self._write(batch.shard, sorted(self._drawn.pop(batch.shard), key=lambda finished: finished.image.index))

    def _write(self, name: str, drawn: Sequence[Finished]) -> None:
        images = [finished.image for finished in drawn]
        candidates = [finished.candidate for finished in drawn if finished.candidate]
        recognised = [candidate.recognised for candidate in candidates if candidate.recognised is not None]
        copies = [candidate.copies for candidate in candidates if candidate.copied is not None]
        rows = SyntheticRows(
            images=[finished.png for finished in drawn],
            labels=[image.label for image in images],
            prompts=[image.prompt for image in images],
            seeds=[image.seed for image in images],
            indices=[image.index for image in images],
            candidates=[candidate.number for candidate in candidates] if candidates else None,
            recognised=recognised or None,
            copies=copies or None,
        )
        write_synthetic_shard(self._folder, name, rows, self._class_names)
