"""Run the user's own settings on a few of the user's own images."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tckr.artifacts.data_card import DataCard
from tckr.config import Settings
from tckr.costs.stopwatch import Lap, Stopwatch
from tckr.data.shards import list_shards, write_shard
from tckr.engine.observer import Observer
from tckr.running import run

FIRST_IMAGES, MOST_IMAGES, GROWTH = 16, 1024, 4
"""A probe begins with as few images as may be and takes four times as many while time is left, as `timeit` does."""

IMAGES_PER_CLASS = 8
"""Enough for test, validation and members of a class."""

CAPTIONED_ANEW: dict[str, Any] = {
    "file": "",
    "from_source": False,
    "class_names": {},
    "model": "embedded:captioner",
    "revision": None,
    "prompt": "",
}
"""Settings of `caption` where captions are given: those of the whole set do not fit a few images. The fastest model."""

SHORT_STEPS = 6
"""Of `adapt`."""

SHORT_EPOCHS = 3
"""Of `teach` and `distill`."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the pipeline took for a few images.

    Attributes:
        laps: stage -> what it took.
        num_members: images captioned and learned from, and as many drawn.
    """

    laps: dict[str, Lap]
    num_members: int

    def seconds_of(self, growth: float) -> float:
        """Return how long a probe of `growth` times as many images would take; the steps of `adapt` stay as many."""
        phases = [phase for lap in self.laps.values() for phase in lap.phases]
        paced = sum(phase.seconds_per_unit * phase.units * (1 if phase.unit == "steps" else growth) for phase in phases)
        return paced + sum(lap.fixed_seconds for lap in self.laps.values())


def probe(settings: Settings, data: Path, folder: Path, budget_seconds: float, shown: Observer) -> Probe:
    """Return the largest probe that was begun within `budget_seconds`; a slow machine takes longer for the smallest one.

    Args:
        settings: of the run to estimate.
        data: artifact of its `prepare`.
        folder: for everything that the probe writes; emptied between probes.
        budget_seconds: a larger probe is begun only while its forecast fits into what is left of them.
        shown: sees the progress.
    """
    started, num_images = time.perf_counter(), FIRST_IMAGES
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        found, available = _probe_once(settings, data, folder, num_images, shown)
        left = budget_seconds - (time.perf_counter() - started)
        if num_images >= min(MOST_IMAGES, available) or found.seconds_of(GROWTH) > left:
            return found
        num_images *= GROWTH


def _probe_once(settings: Settings, data: Path, folder: Path, num_images: int, shown: Observer) -> tuple[Probe, int]:
    """Run the pipeline up to the Student on `num_images`; return what it took and how many images there are in all."""
    folder.mkdir(parents=True)
    names, available = _write_source(data, folder / "source.parquet", num_images)
    small = probe_settings(settings, folder, names)
    stopwatch = Stopwatch(small.execution.store, shown)
    result = run(small, "distill", stopwatch)
    num_members = DataCard.read(result.artifacts["prepare"]).num_members
    return Probe(laps=stopwatch.laps, num_members=num_members), available


def probe_settings(settings: Settings, folder: Path, class_names: list[str]) -> Settings:
    """Return `settings` for the images in `folder`/source.parquet: the same models and batches, but short trainings."""
    adapt = settings.adapt
    steps = min(SHORT_STEPS, adapt.steps) if isinstance(adapt.steps, int) else SHORT_STEPS
    descriptions = {name: text for name, text in adapt.descriptions.items() if name in class_names}
    changes: dict[str, dict[str, Any]] = {
        "prepare": {
            "source": str(folder / "source.parquet"),
            "image_size": settings.prepare.image_size,
            "audit_holdout": 0.0,
            "min_images_per_class": 4,
        },
        "caption": CAPTIONED_ANEW if settings.caption.file or settings.caption.from_source else {},
        "adapt": {"descriptions": descriptions, "steps": steps, "epochs": None},
        "generate": {"cardinality": 1.0, "per_class": "balanced", "redraw": [], "redraw_copies": 0},
        "teach": {"epochs": SHORT_EPOCHS, "patience": None},
        # the probe's Teacher has hardly learned: what it disowns says nothing of the run's images
        "distill": {"epochs": SHORT_EPOCHS, "steps": None, "patience": None, "min_teacher_probability": 0.0},
        "execution": {"output": folder, "name": "probe"},
    }
    sections = {
        name: dict(getattr(settings, name)) | changes.get(name, {}) for name in Settings.model_fields if name != "seed"
    }
    return Settings.model_validate(sections | {"prepare": changes["prepare"]})


def _write_source(data: Path, target: Path, num_images: int) -> tuple[list[str], int]:
    """Write a Parquet file of about `num_images` images, classes in turn; return its class names and how many there are."""
    names = DataCard.read(data).class_names
    shards = list_shards(data / "pool")
    labels = np.concatenate([pq.read_table(shard, columns=["label"])["label"].to_numpy() for shard in shards])
    classes = np.unique(labels)[: max(2, num_images // IMAGES_PER_CLASS)]
    per_class = -(-num_images // len(classes))
    rows = np.sort(np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in classes]))
    images = _read_rows(shards, rows)
    kept = [names[label] for label in classes]
    write_shard(target, {"image": images, "label": np.searchsorted(classes, labels[rows])}, kept)
    return kept, len(labels)


def _read_rows(shards: list[Path], rows: np.ndarray) -> list[bytes]:
    """Return the encoded images at `rows` (ascending) of all shards together, reading only what holds them."""
    images: list[bytes] = []
    start = 0
    for shard in shards:
        with pq.ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                inside = rows[(rows >= start) & (rows < start + count)] - start
                if len(inside):
                    column = file.read_row_group(group, columns=["image"]).column("image").combine_chunks().field("bytes")
                    images += column.take(inside).to_pylist()
                start += count
    return images
