"""A finished run in folders, with plausible numbers: what the report reads, made without a model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tckr.data.card import MEMBERSHIP_NAME, DataCard, write_card
from tckr.data.images import encode_png
from tckr.data.shards import write_shard
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.results import (
    AuditResult,
    Control,
    CopiesResult,
    Declared,
    Differences,
    EpsilonBound,
    FlaggedImage,
    LeaveOneOut,
    OneRunBound,
    Strongest,
    SurfaceResult,
)
from tckr.stages.audit.packages import packages

DECLARED = "lira_online_fixed_variance"
PLAIN = "global_threshold"
SEPARATION = {
    PLAIN: 0.35,
    "lira_online": 0.7,
    DECLARED: 0.8,
    "lira_offline": 0.62,
    "lira_offline_fixed_variance": 0.68,
}
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
LEAKS = {"captions": 0.05, "adapter": 0.7, "images": 0.1, "soft_labels": 0.25, "teacher": 1.0, "student": 0.3}
"""Surface -> how far its attacks' normal scores are apart, in units of SEPARATION."""

OTHERS = {"images": {"images_pixels": 0.6}, "student": {"student_indirect": 1.3}}
"""Surface -> further signals and how far they are apart, in units of the declared one."""

REPEATED = {
    "captions": ("full",),
    "adapter": ("full",),
    "images": ("full",),
    "soft_labels": ("distill", "full"),
    "teacher": ("teacher", "distill", "full"),
    "student": ("distill", "full"),
}
"""Surface -> the depths at which reference runs repeat it."""

CANARIES: dict[str, dict[str, OneRunBound | NotMeasurable]] = {
    "student": {
        "natural": NotMeasurable("5 canaries: even right guesses throughout would refute nothing", 5),
        "mislabelled": OneRunBound(
            value=0.4375,
            confidence=0.95,
            delta=1e-5,
            num_canaries=250,
            guesses=124,
            correct=91,
            method="Steinke et al. 2023",
        ),
    },
    "teacher": {
        "mislabelled": OneRunBound(
            value=2.375,
            confidence=0.95,
            delta=1e-5,
            num_canaries=250,
            guesses=250,
            correct=239,
            method="Steinke et al. 2023",
        )
    },
}


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
    canaries: bool = True
    image_leak: float = LEAKS["images"]
    num_non_members: int = 647
    source: str = "/home/ann/patients/digits"

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
        (inputs["audit"] / "audit.json").write_text(self.audit().model_dump_json())
        for name, path in inputs.items():
            write_manifest(path, *STAGES[name], config=self._config(name))
        return inputs

    @property
    def labels(self) -> np.ndarray:
        """Return the labels of the pool: every class in turn."""
        return np.arange(self.per_class * len(self.class_names)) % len(self.class_names)

    def audit(self) -> AuditResult:
        """Return the audit of a Student that leaks less than its Teacher."""
        differences = Differences(cas=Estimate(-0.014, -0.031, 0.003, 360, "paired bootstrap"))
        if not self.measured:
            reason = "prepare.audit_holdout is 0, so there are no non-members"
            return AuditResult(
                measured=False,
                reason=reason,
                valid=False,
                verdict=f"not measured: {reason}",
                declared=self._declared(),
                surfaces={name: classifier(cas, self) for name, cas in (("teacher", 0.992), ("student", 0.978))},
                differences=differences,
            )
        paired: Measured = Estimate(-0.131, -0.162, -0.1, 1294, "paired DeLong over records")
        if self.depth == "teacher":
            paired = NotMeasurable(why_alone("student", self.depth))
        surfaces = {name: attacked(name, self) for name in LEAKS}
        return AuditResult(
            measured=True,
            valid=self.valid,
            verdict="audit valid" if self.valid else "audit invalid: null (teacher)",
            declared=self._declared(),
            surfaces=surfaces,
            differences=differences.model_copy(update={"auc": paired}),
            controls=controls(self),
            packages=packages(surfaces, copies(self)),
            copies=copies(self),
            canaries=CANARIES if self.canaries else {},
        )

    def _declared(self) -> Declared:
        return Declared(
            scorer=DECLARED,
            depth=self.depth,
            num_reference_runs=8,
            num_members=647,
            num_non_members=self.num_non_members,
            num_test=360,
            num_queries=5,
            confidence=0.95,
            delta=1e-5,
            aop_lambda=2,
        )

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
            "synthetic": {"cardinality": 1.0, "steps": 20, "guidance_scale": 2.0, "shard_size": 256},
            "teacher": {"model": "embedded:teacher", "epochs": 40, "selection": "best"},
            "student": {"labels": "soft", "selection": "last", "epochs": 40, "learning_rate": 1e-3, "flip": False},
        }
        return configs.get(name, {"model": f"embedded:{name}", "epochs": 40})

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
        write_card(folder, self._card())

    def _card(self) -> DataCard:
        return DataCard(
            name="digits",
            source=self.source,
            class_names=self.class_names,
            image_size=self.image_size,
            counts={name: {"pool": 129, "validation": 14, "test": 36} for name in self.class_names},
            num_pool=1294,
            num_validation=143,
            num_test=360,
            num_members=647,
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
        write_shard(folder / "captions.parquet", {"record": records, "label": self.labels[records], "caption": captions})
        (folder / "classes.json").write_text(json.dumps(self.class_names))

    def _write_adapter(self, folder: Path) -> None:
        noise = np.random.default_rng(2).normal(0, 0.02, self.adapter_steps)
        losses = [
            {"step": step + 1, "loss": float(0.11 + 0.2 * np.exp(-step / 60) + noise[step])}
            for step in range(self.adapter_steps)
        ]
        (folder / "history.json").write_text(json.dumps(losses))

    def _write_synthetic(self, folder: Path) -> None:
        labels, rng = self.labels, np.random.default_rng(3)
        images = [encode_png(glyph(self.class_names[label], self.image_size, rng, private=False)) for label in labels]
        prompts = [f"{self.class_names[label]}: a thin white stroke, {SECRET_CAPTION}" for label in labels]
        index = np.arange(len(labels))
        columns = {"image": images, "label": labels, "prompt": prompts, "seed": index, "index": index}
        write_shard(folder / "data" / "train-00000-of-00001.parquet", columns, self.class_names)

    def _write_labels(self, folder: Path) -> None:
        counts = {name: {"n": 64, "agree": 64 - 3 * (number % 7)} for number, name in enumerate(self.class_names)}
        (folder / "agreement.json").write_text(json.dumps(counts))


def classifier(cas: float, sample: Sample) -> SurfaceResult:
    """Return what the audit says of a classifier that nobody attacked."""
    names = sample.class_names
    return SurfaceResult(
        cas=around(cas, 0.009, 360),
        per_class={name: around(cas - 0.01 * (number % 4), 0.05, 36) for number, name in enumerate(names)},
        confusion=[[36 if row == column else 0 for column in range(len(names))] for row in range(len(names))],
        ece=around(0.021, 0.008, 360),
    )


def attacked(name: str, sample: Sample) -> SurfaceResult:
    """Return a surface with its attacks; without references where the depth repeats nothing of it."""
    leak = sample.image_leak if name == "images" else LEAKS[name]
    cas = 0.992 if name == "teacher" else 0.978
    bare = classifier(cas, sample) if name in ("teacher", "student") else SurfaceResult(cas=around(cas, 0.009, 360))
    has_references = sample.depth in REPEATED[name]
    scorers = SEPARATION if has_references else {PLAIN: SEPARATION[PLAIN]}
    separation = {scorer: leak * distance for scorer, distance in scorers.items()}
    auc = aucs(separation)
    others = {
        signal: aucs({scorer: share * distance for scorer, distance in separation.items()})
        for signal, share in OTHERS.get(name, {}).items()
    }
    found = {
        "signal": name,
        "attack": DECLARED if has_references else PLAIN,
        "aop": NotMeasurable(why_alone(name, sample.depth)),
        "strongest": strongest(cas, {name: auc} | others),
        "auc": auc,
        "other_signals": others,
        "tpr": {scorer: rates(distance, sample.num_non_members) for scorer, distance in separation.items()},
        "balanced_accuracy": NotMeasurable("no reference runs"),
        "roc": {scorer: roc(distance, sample.num_non_members) for scorer, distance in separation.items()},
    }
    return bare.model_copy(update=found | (with_references(cas, leak, auc, sample) if has_references else {}))


def why_alone(name: str, depth: str) -> str:
    """Return what the audit says of a surface that no reference run repeats."""
    return f"no reference runs of this surface at depth {depth}; use audit.depth={REPEATED[name][0]}"


def aucs(separation: dict[str, float]) -> dict[str, Measured]:
    """Return the AUC of normal scores so far apart."""
    return {scorer: around(NormalDist().cdf(distance / 2**0.5), 0.03, 1294) for scorer, distance in separation.items()}


def strongest(cas: float, by_signal: dict[str, dict[str, Any]]) -> Strongest:
    """Return the highest of all."""
    every = {(signal, scorer): auc for signal, found in by_signal.items() for scorer, auc in found.items()}
    signal, scorer = max(every, key=lambda pair: every[pair].value)
    auc = every[signal, scorer]
    note = f"strongest of {len(every)}, chosen on the evaluation labels"
    return Strongest(signal=signal, scorer=scorer, auc=auc, aop=around(cas / (2 * auc.value) ** 2, 0.05, 1294), note=note)


def with_references(cas: float, leak: float, auc: dict[str, Any], sample: Sample) -> dict[str, Any]:
    """Return what only reference runs can give."""
    return {
        "aop": around(cas / (2 * auc[DECLARED].value) ** 2, 0.05, 1294),
        "leave_one_out": {
            scorer: LeaveOneOut(mean=around(estimate.value - 0.004, 0.012, 9), spread=0.011, runs=[estimate.value] * 9)
            for scorer, estimate in auc.items()
        },
        "balanced_accuracy": around(0.5 + leak * 0.13, 0.03, 1294),
        "epsilon_lower_bound": EpsilonBound(
            value=0.9 * leak,
            confidence=0.95,
            delta=1e-5,
            threshold=1.2,
            true_positives=int(40 * leak) + 4,
            false_positives=4,
            num_members=647,
            num_non_members=sample.num_non_members,
            method="Clopper-Pearson at a threshold fixed in advance",
        ),
        "auc_by_class": {
            name: around(auc[DECLARED].value + 0.02 * (number % 3 - 1), 0.09, 129)
            for number, name in enumerate(sample.class_names)
        },
    }


def controls(sample: Sample) -> list[Control]:
    """Return some of each kind: a null that fails in an invalid audit, and two for information that do not hold."""

    def delong(value: float, half: float) -> Estimate:
        return Estimate(value, value - half, value + half, 1294, "DeLong")

    null = delong(0.508, 0.032) if sample.valid else delong(0.566, 0.03)
    level = "AUC interval covers 0.5 at 99.38% (all null checks together: 95%)"
    above = "lower end of the AUC interval above 0.5"
    rows: list[tuple[Any, ...]] = [
        ("null", "teacher", "teacher", PLAIN, True, True, level, delong(0.497, 0.033)),
        ("null", "teacher", "teacher", DECLARED, sample.valid, True, level, null),
        ("null", "student", "student_indirect", PLAIN, True, True, level, delong(0.511, 0.034)),
        ("shared generator", "student", "student", DECLARED, True, False, level, delong(0.489, 0.034)),
        ("positive", "teacher", "teacher", DECLARED, True, True, above, delong(0.941, 0.012)),
        ("positive", "soft_labels", "soft_labels", DECLARED, False, False, above, delong(0.512, 0.031)),
        (
            "planted",
            "student",
            "student",
            DECLARED,
            True,
            True,
            "lower end above 0.63; a perfect attack reaches 0.76",
            delong(0.742, 0.027),
        ),
        ("parity", "teacher", "teacher", "accuracy", True, True, "0.978 to 1", Estimate(0.992, 0.992, 0.992, 360, "point")),
        (
            "parity",
            "student",
            "student",
            "mean",
            False,
            False,
            "at least 4 reference runs",
            NotMeasurable("2 reference runs", 2),
        ),
    ]
    keys = ("name", "surface", "signal", "measure", "passed", "decides", "expected", "found")
    return [Control(**dict(zip(keys, row, strict=True))) for row in rows]


def copies(sample: Sample) -> CopiesResult:
    """Return three flagged images, the first two as near as copies are."""
    half = len(sample.labels) // 2
    places = [(2, 1.2, 9.5), (3, 2.25, 8.125), (1, 6.5, 7.75)]
    return CopiesResult(
        excess=Estimate(sample.copy_excess, sample.copy_excess - 0.009, sample.copy_excess + 0.009, 647, "Bonett-Price"),
        near_member=around(0.031 + sample.copy_excess, 0.012, 647),
        near_holdout=around(0.031, 0.011, 647),
        closer=around(0.512, 0.04, 647),
        threshold=7.125,
        quantile=0.05,
        num_synthetic=647,
        num_members=647,
        num_holdout=647,
        flagged=[
            FlaggedImage(synthetic=index, member=index, member_distance=near, holdout=half + index, holdout_distance=far)
            for index, near, far in places
        ],
        num_flagged=14,
        num_mirrored=11,
    )


def around(value: float, half: float, n: int) -> Estimate:
    """Return an estimate between 0 and 1."""
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), n, "95 % interval")


def rates(separation: float, num_non_members: int) -> dict[str, Measured]:
    """Return the TPR at three FPRs; not measurable with fewer than 1 / FPR non-members."""
    found: dict[str, Measured] = {}
    for fpr in ("0.1", "0.01", "0.001"):
        tpr = NormalDist().cdf(NormalDist().inv_cdf(float(fpr)) + separation)
        few = num_non_members < 1 / float(fpr)
        found[fpr] = (
            NotMeasurable(f"{num_non_members} non-members, needs {1 / float(fpr):.0f}", num_non_members)
            if few
            else around(tpr, 0.02, 647)
        )
    return found


def roc(separation: float, num_non_members: int) -> list[tuple[float, float]]:
    """Return the ROC curve of normal scores, in steps of one false alarm."""
    normal = NormalDist()
    inner = [count / num_non_members for count in range(1, num_non_members, max(1, num_non_members // 300))]
    return [(0.0, 0.0), *[(fpr, normal.cdf(normal.inv_cdf(fpr) + separation)) for fpr in inner], (1.0, 1.0)]


def glyph(text: str, size: int, rng: np.random.Generator, *, private: bool) -> np.ndarray:
    """Return a drawn character with noise: private ones white on black, synthetic ones tinted."""
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
    (folder / "history.json").write_text(json.dumps(history))
    (folder / "metrics.json").write_text(json.dumps({"epochs": 40, "seconds": 95.0, "best_epoch": 34, "num_train": 647}))


def write_manifest(
    folder: Path, stage: str, sensitivity: str, seconds: float, memory_mb: int, *, config: dict[str, Any]
) -> None:
    """Write what the engine writes last."""
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    manifest = {
        "step": stage,
        "stage": stage,
        "fingerprint": "0123456789abcdef" * 4,
        "version": 1,
        "config": config,
        "seed": 0,
        "run": 0,
        "inputs": {},
        "sensitivity": sensitivity,
        "seconds": seconds,
        "peak_memory_mb": memory_mb,
        "created": "2026-11-24T03:00:00+00:00",
        "libraries": {"torch": "2.13.0", "numpy": "2.3.0", "tckr": "0.1.0"},
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
