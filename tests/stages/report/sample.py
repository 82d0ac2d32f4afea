"""A finished run in folders, with plausible numbers: what the report reads, made without a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.agreement import ClassAgreement, write_agreement
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.guarantee import Guarantee
from tckr.artifacts.membership import MEMBERSHIP_NAME
from tckr.artifacts.mistakes import write_mistakes
from tckr.artifacts.synthetic import SyntheticRows, write_synthetic_shard
from tckr.artifacts.training import TrainingSummary, write_history
from tckr.data.images import ImageSet, encode_png
from tckr.data.layouts.description import Layout, LayoutPart, write_layout
from tckr.data.shards import write_shard
from tests.stages.report.sample_audit import LEAKS, audit_of
from tests.tiny_artifacts import write_manifest

STAGES = {
    "data": ("prepare", "private", 4.1, 310),
    "captions": ("caption", "private", 41.7, 1150),
    "adapter": ("adapt", "private", 212.4, 1720),
    "synthetic": ("generate", "releasable after audit", 388.0, 1480),
    "teacher": ("teach", "private", 96.2, 880),
    "labels": ("label", "releasable after audit", 3.3, 700),
    "student": ("distill", "releasable after audit", 104.9, 900),
    "audit": ("audit", "private", 22.8, 760),
}
SECRET_CAPTION = "confidential finding"
LAYOUT = Layout(
    kind="class folders in folders of splits",
    labels_from="column 'befund_ann' of patients_ann.csv",
    parts=[LayoutPart(name="train_ann", use="train", images=1437), LayoutPart(name="test_ann", use="test", images=360)],
    classes={},
    notes=["patients_ann.csv: not UTF-8"],
)
"""With names that its owner gave, each with `ann` in it."""


@dataclass(kw_only=True)
class Sample:
    """What kind of run to write."""

    class_names: list[str] = field(default_factory=lambda: [str(digit) for digit in range(10)])
    per_class: int = 12
    image_size: int = 32
    adapter_steps: int = 300
    measured: bool = True
    valid: bool = True
    depth: str = "distill"
    copy_excess: float = 0.004
    redrawn: list[int] = field(default_factory=list)
    canaries: bool = True
    largest_share: float = 0.1
    leak: float = 1.0
    image_leak: float = LEAKS["images"]
    images_tell: bool = False
    num_non_members: int = 647
    num_test: int = 360
    groups: dict[str, int] = field(default_factory=dict)
    source: str = "/home/ann/patients/digits"
    name: str = "digits"
    public: bool = False
    source_kind: str = "folder"
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    became: dict[str, dict[str, Any]] = field(default_factory=dict)
    fidelity_features: str = "Teacher"
    guarantee: Guarantee | None = None

    def write(self, folder: Path) -> dict[str, Path]:
        """Write the artifacts below `folder`; return the report's inputs."""
        inputs = {name: folder / name for name in STAGES}
        for path in inputs.values():
            path.mkdir(parents=True, exist_ok=True)
        self._write_data(inputs["data"])
        self._write_captions(inputs["captions"])
        self._write_adapter(inputs["adapter"])
        self._write_synthetic(inputs["synthetic"])
        self._write_labels(inputs["labels"])
        write_training(inputs["teacher"], loss=1.9, best=0.991)
        write_training(inputs["student"], loss=2.1, best=0.978)
        self.audit().write(inputs["audit"])
        self._write_mistakes(inputs["audit"])
        for name, path in inputs.items():
            stage, sensitivity, seconds, memory_mb = STAGES[name]
            made = {"stage": stage, "sensitivity": sensitivity, "seconds": seconds, "peak_memory_mb": memory_mb}
            on = {"device": "cpu", "threads": 3, "machine": "x86_64"}
            write_manifest(path, config=self._config(name), computed_on=on, became=self.became.get(name, {}), **made)
        return inputs

    @property
    def labels(self) -> np.ndarray:
        """Return the labels of the pool: every class in turn."""
        return np.arange(self.per_class * len(self.class_names)) % len(self.class_names)

    def audit(self) -> AuditResult:
        """Return the audit of a Student that leaks less than its Teacher."""
        return audit_of(self)

    def _config(self, name: str) -> dict[str, Any]:
        configs: dict[str, dict[str, Any]] = {
            "data": {"source": self.source, "image_size": self.image_size, "test_fraction": 0.2, "audit_holdout": 0.5},
            "adapter": {
                "model": "embedded:generator",
                "rank": 8,
                "steps": self.adapter_steps,
                "descriptions": {},
                "revision": None,
            },
            "synthetic": {"cardinality": 1.0, "steps": 20, "guidance_scale": 2.0, "redraw": self.redrawn},
            "teacher": {"model": "embedded:teacher", "epochs": 40, "selection": "best"},
            "student": {"labels": "soft", "selection": "last", "epochs": 40, "learning_rate": 1e-3, "flip": False},
        }
        return configs.get(name, {"model": f"embedded:{name}", "epochs": 40}) | self.settings.get(name, {})

    def _write_data(self, folder: Path) -> None:
        labels = self.labels
        rng = np.random.default_rng(1)
        images = [encode_png(glyph(self.class_names[label], self.image_size, rng, private=True)) for label in labels]
        write_shard(
            folder / "pool" / "part-00000.parquet",
            {"image": images, "label": labels, "record": np.arange(len(labels))},
            self.class_names,
        )
        membership = np.zeros((9, len(labels)), dtype=bool)
        membership[:, : len(labels) // 2] = True
        np.save(folder / MEMBERSHIP_NAME, membership)
        self._card().write(folder)
        write_layout(folder, LAYOUT)

    def _write_mistakes(self, folder: Path) -> None:
        """Write two test images of class 0 that the Student takes for class 1."""
        rng, labels = np.random.default_rng(4), np.zeros(2, dtype=np.int64)
        images = np.stack([glyph("T", self.image_size, rng, private=True) for _ in labels])
        test = ImageSet(images, labels, np.arange(2))
        write_mistakes(folder, test, np.ones(2, dtype=np.int64), np.array([0.75, 0.875]))

    def _card(self) -> DataCard:
        return DataCard(
            name=self.name,
            source=self.source,
            public=self.public,
            source_kind=self.source_kind,
            class_names=self.class_names,
            image_size=self.image_size,
            counts={name: {"pool": 129, "validation": 14, "test": self.num_test // 10} for name in self.class_names},
            num_pool=1294,
            num_validation=143,
            num_test=self.num_test,
            num_members=647,
            groups=self.groups,
            rejected={"corrupt": 3, "duplicate": 12, "zero_bytes": 1},
            normalised={"greyscale": 1781, "exif_rotation": 4},
            duplicates=12,
            test_sha256="5f2c" * 16,
            audit_holdout=0.5,
            sizes={"min": 8, "median": 8, "max": 8},
        )

    def _write_captions(self, folder: Path) -> None:
        records = np.arange(len(self.labels) // 2)
        words = ["a thin white stroke", "a bold shape on black", "a slanted mark"]
        captions = [f"{words[record % 3]}, {SECRET_CAPTION}" for record in records]
        labels, names = self.labels[records], self.class_names
        CaptionTable(records=records, labels=labels, texts=captions, class_names=names).write(folder)

    def _write_adapter(self, folder: Path) -> None:
        AdapterCard(
            model="embedded:generator", revision=None, method="full", rank=None, steps=400, prompt_form="n: c",
            descriptions={}, image_size=32, guarantee=self.guarantee,
        ).write(folder)  # fmt: skip
        noise = np.random.default_rng(2).normal(0, 0.02, self.adapter_steps)
        losses = [
            {"step": step + 1, "loss": float(0.11 + 0.2 * np.exp(-step / 60) + noise[step])}
            for step in range(self.adapter_steps)
        ]
        write_history(folder, losses)

    def _write_synthetic(self, folder: Path) -> None:
        labels, rng = self.labels, np.random.default_rng(3)
        images = [encode_png(glyph(self.class_names[label], self.image_size, rng, private=False)) for label in labels]
        prompts = [f"{self.class_names[label]}: a thin white stroke, {SECRET_CAPTION}" for label in labels]
        index = np.arange(len(labels))
        rows = SyntheticRows(images=images, labels=labels, prompts=prompts, seeds=index, indices=index)
        write_synthetic_shard(folder, "train-00000-of-00001.parquet", rows, self.class_names)

    def _write_labels(self, folder: Path) -> None:
        if self.guarantee:
            return  # no Teacher labels images
        counts = {name: 64 - 3 * (number % 7) for number, name in enumerate(self.class_names)}
        found = {name: ClassAgreement(n=64, agree=agree, low=0.0, high=1.0) for name, agree in counts.items()}
        write_agreement(folder, found)


def glyph(text: str, size: int, rng: np.random.Generator, *, private: bool) -> np.ndarray:
    """Return an image of a character with noise: private ones white on black, synthetic ones tinted."""
    big = 4 * size
    image = Image.new("RGB", (big, big), (8, 8, 12))
    ink = (240, 240, 240) if private else (190 + int(rng.integers(50)), 220, 235)
    position = tuple(int(value) for value in rng.integers(big // 5, big // 3, 2))
    ImageDraw.Draw(image).text(position, text[:1], fill=ink, font_size=int(big * 0.62))
    image = image.rotate(float(rng.normal(0, 9))).resize((size, size))
    noisy = np.asarray(image, dtype=np.float64) + rng.normal(0, 4, (size, size, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def write_training(folder: Path, *, loss: float, best: float) -> None:
    """Write the history of 40 epochs that approach `best` validation accuracy."""
    epochs = range(1, 41)
    history = [
        {
            "epoch": epoch,
            "loss": 0.5 + loss * float(np.exp(-epoch / 6)),
            "validation_accuracy": best - 0.7 * float(np.exp(-epoch / 4)),
            "learning_rate": 1e-3,
        }
        for epoch in epochs
    ]
    write_history(folder, history)
    TrainingSummary(epochs=40, seconds=95.0, best_epoch=34, num_train=647).write(folder)
