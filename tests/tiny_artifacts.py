"""A tiny private set and a step context without a runner, for tests of single stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.manifest import Manifest
from tckr.artifacts.membership import CANARIES_NAME, MEMBERSHIP_NAME
from tckr.data.groups import GROUPS_NAME
from tckr.data.images import encode_png
from tckr.data.shards import write_shard
from tckr.engine.execution import ExecutionConfig
from tckr.engine.step import StepContext, Workers

CLASS_NAMES = ["alpha", "beta", "gamma"]
NUM_POOL = 15
MEMBERS = {0: list(range(9)), 1: list(range(6, 15))}


@dataclass
class Recorder:
    """Progress and log of a step, kept for the test to look at."""

    advanced: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    became: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Keep every advance, and what was done before."""
        self.done.append(done)
        yield self.advanced.append

    def log(self, event: str, **fields: Any) -> None:
        """Keep every event."""
        self.events.append({"event": event, **fields})


def make_context(
    folder: Path,
    inputs: dict[str, Path],
    *,
    seed: int = 0,
    run: int = 0,
    batch_size: int = 4,
    gpus: int = 1,
    recorder: Recorder | None = None,
    opened: dict[str, Path] | None = None,
    workers: Workers | None = None,
    elsewhere: bool = False,
) -> StepContext:
    """Return a context that fills `folder/out`; called again it finds there what a killed step wrote.

    With `elsewhere` it looks as if `workers` were on other machines.
    """
    recorder = recorder or Recorder()
    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return StepContext(
        inputs=inputs,
        out=folder / "out",
        scratch=folder / "scratch",
        seed=seed,
        run=run,
        execution=ExecutionConfig(
            device="cpu",
            inference_batch_size=batch_size,
            workers=2 if workers else 1,
            gpus=gpus,
            executor="ray" if elsewhere else "local",
        ),
        track=recorder.track,
        log=recorder.log,
        became=recorder.became.update,
        opened=opened or {},
        workers=workers,
    )


def write_private_set(folder: Path, image_size: int = 16) -> Path:
    """Write a `prepare` artifact: 15 pool records in two parts, records 0-8 members of run 0 and 6-14 of run 1."""
    images = np.random.default_rng(0).integers(0, 256, (NUM_POOL, image_size, image_size, 3), dtype=np.uint8)
    for part, rows in enumerate((range(10), range(10, NUM_POOL))):
        columns = {
            "image": [encode_png(images[row]) for row in rows],
            "label": np.array([row % len(CLASS_NAMES) for row in rows], dtype=np.int64),
            "record": np.array(rows, dtype=np.int64),
        }
        write_shard(folder / "pool" / f"part-{part:05d}.parquet", columns, CLASS_NAMES)
    membership = np.zeros((len(MEMBERS), NUM_POOL), dtype=bool)
    for run, records in MEMBERS.items():
        membership[run, records] = True
    np.save(folder / MEMBERSHIP_NAME, membership)
    np.save(folder / CANARIES_NAME, np.zeros(NUM_POOL, dtype=np.int8))
    np.save(folder / GROUPS_NAME, np.arange(NUM_POOL))
    _card(image_size).write(folder)
    return folder


def write_captions(folder: Path, run: int = 0) -> Path:
    """Write a `caption` artifact for the members of `run`; every caption names its record."""
    records = np.array(MEMBERS[run], dtype=np.int64)
    texts = [f"mark {record}" for record in records]
    CaptionTable(records=records, labels=records % len(CLASS_NAMES), texts=texts, class_names=CLASS_NAMES).write(folder)
    return folder


def _card(image_size: int) -> DataCard:
    return DataCard(
        name="tiny",
        source="tests",
        class_names=CLASS_NAMES,
        image_size=image_size,
        counts={name: {"pool": 5, "validation": 0, "test": 0} for name in CLASS_NAMES},
        num_pool=NUM_POOL,
        num_validation=0,
        num_test=0,
        num_members=len(MEMBERS[0]),
        rejected={},
        normalised={},
        duplicates=0,
        test_sha256="",
        audit_holdout=0.4,
        sizes={"min": image_size, "median": image_size, "max": image_size},
    )


def write_manifest(folder: Path, **changes: object) -> None:
    """Write what the engine writes last into an artifact."""
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    manifest = Manifest(
        stage="generate",
        sensitivity="private",
        seconds=1.0,
        peak_memory_mb=310,
        created="2026-11-24T03:00:00+00:00",
        fingerprint="0123456789abcdef" * 4,
        version=1,
        config={},
        files=files,
        libraries={"torch": "2.13.0", "numpy": "2.3.0", "tckr": "0.1.0"},
    )
    manifest.model_copy(update=changes).write(folder)
