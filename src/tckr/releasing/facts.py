"""Everything that the cards of a release state, collected from artifacts and their public settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.guarantee import Guarantee
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
    """Content of the cards.

    Attributes:
        request: what is released.
        class_names: index = label.
        image_size: side of the images in px.
        day: date on which the newest released part was made, without the time.
        generator: the model that generated the images, before it was adapted.
        method: how it was adapted: `lora` or `full`; empty if it was not adapted.
        student: model that the Student started from; None for random weights.
        temperature: divisor of the Teacher's logits in the soft labels.
        accuracy: of the Student on the locked test split, rounded to the digits that its interval supports.
        guarantee: formal guarantee of the adapter, and so of images, labels and Student; None without one.
        audit: its result; None if these settings were not audited.
        obstacles: reasons of the gate against the release; empty unless somebody accepted the risk.
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
    guarantee: Guarantee | None
    audit: AuditResult | None
    obstacles: list[str]


def gather(request: Request, run: FinishedRun, obstacles: list[str]) -> Facts:
    """Collect the content of the cards from a run."""
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
        guarantee=adapter.guarantee,
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
    """Return the total size in bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
