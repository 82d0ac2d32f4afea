"""The published results (Resmini et al. 2025, arXiv 2504.04582), as shares, not percent."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources

REAL = "real"
"""Cardinality in the row of the Teacher, which was trained on the real images."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the results: the Teacher (`cardinality` None) or the Student at a cardinality."""

    model: str
    cardinality: float | None
    cas: float
    auc: float
    aop: float


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the ablation, at cardinality 0.1: `prompt` in the notation of `adapt.prompt_form`."""

    prompt: str
    labels: str
    fraction: float
    cas: float


PROMPTS = {"class name: class description": "n: d", "class name: BLIP-2 caption": "n: c"}


def results(dataset: str) -> list[Figure]:
    """Return the published results of a data set; empty if there are none."""
    return [
        Figure(
            model=row["model"],
            cardinality=None if row["cardinality"] == REAL else float(row["cardinality"]),
            cas=float(row["cas_percent"]) / 100,
            auc=float(row["auc_mia_percent"]) / 100,
            aop=float(row["aop_lambda2"]) / 100,
        )
        for row in _rows("results.csv")
        if row["dataset"] == dataset
    ]


def ablation(dataset: str) -> list[Cell]:
    """Return the published ablation of a data set; empty if there is none."""
    return [
        Cell(
            prompt=PROMPTS[row["prompt"]],
            labels=row["labels"],
            fraction=float(Fraction(row["finetune_ratio"])),
            cas=float(row["cas_percent"]) / 100,
        )
        for row in _rows("ablation.csv")
        if row["dataset"] == dataset
    ]


def _rows(name: str) -> list[dict[str, str]]:
    text = (resources.files("tckr.reproduction") / "published" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
