"""Run the user's settings on a few of the user's images to measure their cost."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.data_card import DataCard
from tckr.config import Settings
from tckr.costs.stopwatch import Lap, Stopwatch
from tckr.data.shards import list_shards, write_shard
from tckr.engine.observer import Observer
from tckr.privacy.config import without_idle
from tckr.running import run

FIRST_IMAGES, MOST_IMAGES, GROWTH = 16, 1024, 4
"""A probe starts with as few images as possible and repeats with four times as many while time is left, like `timeit`."""

IMAGES_PER_CLASS = 8
"""Images per class, enough for test, validation and members."""

OF_LABELS: Mapping[str, Mapping[str, Any]] = {
    "votes": {"labels": "prompt"},
    "teacher": {"teacher_epochs": 1.0},
    "prompt": {},
}
"""`privacy.labels` -> settings of `privacy`: these images are too few for many Teachers; one that labels is a real one."""

CAPTIONED_ANEW: dict[str, Any] = {
    "file": "",
    "from_source": False,
    "class_names": {},
    "model": "embedded:captioner",
    "revision": None,
    "prompt": "",
}
"""Settings of `caption` if captions are given: those of the complete set do not fit a few images. The fastest model."""

SHORT_STEPS = 6
"""Settings of `adapt`."""

SHORT_EPOCHS = 3
"""Settings of `teach` and `distill`."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Measured cost of the pipeline on a few images.

    Attributes:
        laps: step -> its measured cost.
        num_members: number of images captioned and trained on, and of images generated.
        step_share: expected images of a step of `adapt` over `adapt.batch_size`; below 1 under a formal guarantee, where a
            step has each image at most once.
    """

    laps: dict[str, Lap]
    num_members: int
    step_share: float = 1.0

    def seconds_of(self, growth: float) -> float:
        """Return the predicted seconds of a probe with `growth` times as many images; `adapt` keeps its number of steps."""
        phases = [phase for lap in self.laps.values() for phase in lap.phases]
        of_steps = min(growth, 1 / self.step_share)
        paced = sum(
            phase.seconds_per_unit * phase.units * (of_steps if phase.unit == "steps" else growth) for phase in phases
        )
        return paced + sum(lap.fixed_seconds for lap in self.laps.values())


def probe(settings: Settings, data: Path, folder: Path, budget_seconds: float, shown: Observer) -> Probe:
    """Return the largest probe that started within `budget_seconds`; on a slow machine even the smallest may take longer.

    Args:
        settings: of the run to estimate.
        data: artifact of its `prepare`.
        folder: for all files of the probe; emptied between probes.
        budget_seconds: a larger probe starts only if its predicted time fits into the remaining budget.
        shown: receives the progress.
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
    """Run the pipeline up to the Student on `num_images`; return its cost and the number of available images."""
    folder.mkdir(parents=True)
    names, available = _write_source(data, folder / "source.parquet", num_images)
    small = probe_settings(settings, folder, names)
    stopwatch = Stopwatch(small.execution.store, shown)
    result = run(small, "distill", stopwatch)
    if "teach" not in stopwatch.laps:  # under a formal guarantee, the Student does not depend on the Teacher
        run(small, "teach", stopwatch)
    num_members = DataCard.read(result.artifacts["prepare"]).num_members
    guarantee = AdapterCard.read(result.artifacts["adapt"]).guarantee
    share = guarantee.sampling_rate * num_members / small.adapt.batch_size if guarantee else 1.0
    return Probe(laps=stopwatch.laps, num_members=num_members, step_share=share), available


def probe_settings(settings: Settings, folder: Path, class_names: list[str]) -> Settings:
    """Return `settings` for the images in `folder`/source.parquet: the same models and batch sizes, but short trainings."""
    adapt = settings.adapt
    steps = min(SHORT_STEPS, adapt.steps) if isinstance(adapt.steps, int) else SHORT_STEPS
    descriptions = {name: text for name, text in adapt.descriptions.items() if name in class_names}
    of_labels = OF_LABELS[settings.privacy.labels] if settings.privacy.is_on else {}
    changes: dict[str, dict[str, Any]] = {
        "prepare": {
            "source": str(folder / "source.parquet"),
            "image_size": settings.prepare.image_size,
            "audit_holdout": 0.0,
            "min_images_per_class": 4,
        },
        # the groups of the images are not copied, and a few images are too few for mean images of the classes
        "privacy": {"unit": "record", "central_images": False, **of_labels},
        "caption": CAPTIONED_ANEW if settings.caption.file or settings.caption.from_source else {},
        "adapt": {"descriptions": descriptions, "steps": steps, "epochs": None},
        "generate": {"cardinality": 1.0, "per_class": "balanced", "redraw": [], "redraw_copies": 0},
        "teach": {"epochs": SHORT_EPOCHS, "patience": None},
        # the probe's Teacher is hardly trained, so its rejections would not be those of the run
        "distill": {"epochs": SHORT_EPOCHS, "steps": None, "patience": None, "min_teacher_probability": 0.0},
        "execution": {"output": folder, "name": "probe"},
    }
    known = {name: dict(getattr(settings, name)) for name in Settings.model_fields if name != "seed"}
    known |= {"privacy": without_idle(of_labels, known["privacy"]), "prepare": {}}
    return Settings.model_validate({name: values | changes.get(name, {}) for name, values in known.items()})


def _write_source(data: Path, target: Path, num_images: int) -> tuple[list[str], int]:
    """Write a Parquet file of about `num_images` images, taking classes in turn; return class names and available images."""
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
    """Return the encoded images at `rows` (ascending indices over all shards), reading only shards that contain them."""
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
