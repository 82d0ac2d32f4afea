"""Everything that the cards of a release say, gathered once from artifacts and their public settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.manifest import Manifest
from tckr.metrics.estimate import Estimate
from tckr.metrics.rounding import rounded
from tckr.releasing.licences import BaseModel, base_model
from tckr.releasing.request import Request
from tckr.releasing.run import FinishedRun
from tckr.sharing.allowed_models import shown_model
from tckr.sharing.allowed_settings import allowed_settings

DAY = len("2026-11-29")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the cards say.

    Attributes:
        request: what is released.
        class_names: index = label.
        image_size: side of the images in px.
        day: on which the newest released part was made; nothing finer.
        generator: the model that drew the images, before it was adapted.
        method: how it was adapted: `lora`, `full`, or nothing where it was not.
        student: model that the Student started from, None where its weights were random.
        temperature: divided the Teacher's logits for the soft labels.
        accuracy: of the Student on the locked test split, with the digits that its interval supports.
        audit: None where there is none for these settings.
        obstacles: what the gate found; not empty only where somebody accepted the risk.
    """

    request: Request
    class_names: list[str]
    image_size: int
    day: str
    generator: BaseModel
    method: str
    student: BaseModel | None
    temperature: float
    accuracy: Estimate | None
    audit: AuditResult | None
    obstacles: list[str]


def gather(request: Request, run: FinishedRun, obstacles: list[str]) -> Facts:
    """Read what the cards say of a run."""
    adapter, data = AdapterCard.read(run.artifacts["adapt"]), DataCard.read(run.artifacts["prepare"])
    manifests = {stage: Manifest.read(folder) for stage, folder in run.artifacts.items()}
    label = allowed_settings("label", manifests["label"].config) if "label" in manifests else {}
    return Facts(
        request=request,
        class_names=data.class_names,
        image_size=data.image_size,
        day=max(manifest.created for manifest in manifests.values())[:DAY],
        generator=base_model(shown_model(adapter.model)),
        method=adapter.method if adapter.has_weights else "",
        student=_student(manifests["distill"]) if "distill" in manifests else None,
        temperature=float(label.get("temperature", 1.0)),
        accuracy=_accuracy(run.audit),
        audit=run.audit,
        obstacles=obstacles,
    )


def _student(manifest: Manifest) -> BaseModel | None:
    """Return the checkpoint that the Student started from."""
    settings: dict[str, Any] = allowed_settings("distill", manifest.config)
    name = settings.get("model", "")
    return None if not settings.get("pretrained", True) or name.startswith("embedded:") else base_model(name)


def _accuracy(audit: AuditResult | None) -> Estimate | None:
    found = audit.surfaces["student"].cas if audit and "student" in audit.surfaces else None
    return rounded(found) if isinstance(found, Estimate) else None


def size_of(folder: Path) -> int:
    """Return the bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
