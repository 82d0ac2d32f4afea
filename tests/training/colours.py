"""A classification task that a network learns in a second: which colour a noisy image has; and artifacts made of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from transformers import ViTConfig

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import MEMBERSHIP_NAME
from tckr.data.images import encode_png
from tckr.data.shards import write_shard
from tckr.models.classifiers import load_classifier
from tckr.training.batches import TrainingData
from tckr.training.config import AugmentConfig, TrainingConfig
from tckr.training.fit import FitResult

COLOURS = ["red", "green", "blue"]
SIZE = 32
FAST = TrainingConfig(epochs=4, batch_size=16, learning_rate=3e-3, augment=AugmentConfig(shift=0.05, rotation_degrees=5))


def draw_colours(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [count, 32, 32, 3] and int64 labels [count]; the labelled colour is 60 grey levels above the others."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % len(COLOURS)
    images = random.integers(0, 180, (count, SIZE, SIZE, 3))
    images[np.arange(count), :, :, labels] += 60
    return images.astype(np.uint8), labels


def colour_data(count: int, seed: int = 0) -> TrainingData:
    """Return the task as hard-labelled training data."""
    images, labels = draw_colours(count, seed)
    return TrainingData(images, np.arange(count), labels)


def write_prepared(folder: Path, num_pool: int = 60, num_validation: int = 12) -> Path:
    """Write a `prepare` artifact: even records are members of run 0, odd ones of run 1; its test split is one file."""
    splits = {"pool": (num_pool, 0), "validation": (num_validation, num_pool), "test": (6, num_pool + num_validation)}
    for seed, (name, (count, first)) in enumerate(splits.items()):
        images, labels = draw_colours(count, seed)
        records = np.arange(first, first + count)
        columns = {"image": [encode_png(image) for image in images], "label": labels, "record": records}
        if count:
            write_shard(folder / name / "part-00000.parquet", columns, COLOURS)
    parity = np.arange(num_pool) % 2
    np.save(folder / MEMBERSHIP_NAME, np.stack([parity == 0, parity == 1]))
    _card(num_pool, num_validation).write(folder)
    return folder


def write_synthetic(folder: Path, count: int = 48, shards: int = 2, seed: int = 7) -> Path:
    """Write a `generate` artifact of `count` images."""
    images, labels = draw_colours(count, seed)
    for shard, rows in enumerate(np.array_split(np.arange(count), shards)):
        columns = {
            "image": [encode_png(images[row]) for row in rows],
            "label": labels[rows],
            "prompt": [f"{COLOURS[labels[row]]}: a field" for row in rows],
            "seed": rows,
            "index": rows,
        }
        write_shard(folder / "data" / f"train-{shard:05d}-of-{shards:05d}.parquet", columns, COLOURS)
    return folder


def write_labels(folder: Path, soft_labels: np.ndarray, indices: np.ndarray, class_names: list[str]) -> Path:
    """Write a `label` artifact."""
    columns = {"index": indices, "label": soft_labels.argmax(axis=1), "soft_label": soft_labels.astype(np.float16)}
    write_shard(folder / "soft_labels.parquet", columns, class_names)
    return folder


def _card(num_pool: int, num_validation: int) -> DataCard:
    return DataCard(
        name="colours",
        source="tests",
        class_names=COLOURS,
        image_size=SIZE,
        counts={},
        num_pool=num_pool,
        num_validation=num_validation,
        num_test=6,
        num_members=num_pool // 2,
        rejected={},
        normalised={},
        duplicates=0,
        test_sha256="",
        audit_holdout=0.5,
        sizes={"min": SIZE, "median": SIZE, "max": SIZE},
    )


def write_vit(folder: Path) -> Path:
    """Save the configuration of a ViT of a few thousand weights for 32 px, without batch normalisation and dropout."""
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ViTConfig(image_size=SIZE, patch_size=8, **shape).save_pretrained(folder)
    return folder


def assert_same_training(out: Path, expected: Path) -> None:
    """Check that two trainings gave the same result up to rounding, and that the weights changed."""
    histories = [json.loads((folder / "history.json").read_text()) for folder in (out, expected)]
    for record, wanted in zip(*histories, strict=True):
        assert record == pytest.approx(wanted, rel=1e-4)
    weights, wanted = (load_classifier(folder / "model").state_dict() for folder in (out, expected))
    for name, tensor in wanted.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)


def note_gpus(monkeypatch: pytest.MonkeyPatch, stage: ModuleType) -> list[int]:
    """Return a list that will hold how many GPUs each training of `stage` was given; each then has one."""
    given: list[int] = []
    fit_together = stage.fit_together

    def alone(*arguments: Any, gpus: int, **named: Any) -> FitResult:
        given.append(gpus)
        return fit_together(*arguments, gpus=1, **named)

    monkeypatch.setattr(stage, "fit_together", alone)
    return given
