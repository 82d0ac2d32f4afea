"""Read the artifacts of a run into `Contents`; remove what may not be shared, unless it is requested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.agreement import Agreement, read_agreement
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.manifest import Manifest
from tckr.artifacts.synthetic import ReplacedCopies, synthetic_column
from tckr.artifacts.training import TrainingSummary, read_history
from tckr.data.layouts.description import read_layout
from tckr.membership.coverage import coverage_of
from tckr.membership.rows import canary_rows, surface_rows
from tckr.privacy.config import without_idle
from tckr.sharing.allowed_settings import allowed_settings
from tckr.stages.report.classes import advised, confused_pairs
from tckr.stages.report.config import ReportConfig
from tckr.stages.report.copies import copies_summary, redrawn_sentence
from tckr.stages.report.decision import decision_of
from tckr.stages.report.glossary import GLOSSARY
from tckr.stages.report.headline import headline_of, low_agreement_of, origin_of
from tckr.stages.report.leads import leads_of
from tckr.stages.report.measures import agreement_number, class_rows, headline_rows
from tckr.stages.report.packages import package_rows
from tckr.stages.report.report_json import CaptionSummary, Contents, StageRecord, Training
from tckr.stages.report.shared import (
    shareable_captions,
    shareable_card,
    shareable_history,
    shareable_record,
    shareable_training,
)
from tckr.stages.report.shared_audit import shareable_audit
from tckr.stages.report.understood import understood_lines
from tckr.stages.report.utility import calibration_rows, fidelity_summary, paired_summary

Folders = Mapping[str, Path]

ON = ("device", "threads")
"""Entries of a manifest's `computed_on` that the report shows."""

ORDER = ("data", "captions", "adapter", "synthetic", "teacher", "labels", "student", "audit")
"""The report's inputs in the order in which they were made."""


def collect(folders: Folders, config: ReportConfig) -> Contents:
    """Return the content of the report. `folders` are the finished artifacts by the names in `ORDER`, and `labelling`.

    What may not be shared is removed before anything is derived from it, unless `config.include_private` is set.
    """
    private = config.include_private
    audit, card = AuditResult.read(folders["audit"]), DataCard.read(folders["data"])
    audit, card = (audit, card) if private else (shareable_audit(audit), shareable_card(card))
    agreement = read_agreement(folders["labels"])
    num_synthetic = count_synthetic(folders["synthetic"], card)
    classes = advised(class_rows(audit, card, agreement, num_synthetic), audit)
    stages = [stage_record(folders[name], private) for name in ORDER]
    replaced = ReplacedCopies.read_if_there(folders["synthetic"])
    redrawn = redrawn_sentence(Manifest.read(folders["synthetic"]).config.get("redraw", []), replaced, private)
    history, guarantee = read_history(folders["adapter"]), AdapterCard.read(folders["adapter"]).guarantee
    labelling = stage_record(folders["labelling"], private) if "labelling" in folders else None
    if labelling and guarantee:
        labelling = labelling.model_copy(update={"stage": "votes" if guarantee.votes else "dp_teacher"})
    return Contents(
        title=config.title or card.name,
        created=max(stage.created for stage in stages),
        contains_private=private,
        decision=decision_of(audit, card, sum(num_synthetic.values()), guarantee),
        verdict=headline_of(audit, redrawn, agreement),
        origin=origin_of(audit.declared, audit.measured),
        headline=headline_rows(audit),
        paired=paired_summary(audit),
        calibration=calibration_rows(audit),
        fidelity=fidelity_summary(audit),
        surfaces=surface_rows(audit),
        coverage=coverage_of(audit),
        packages=package_rows(audit),
        copies=copies_summary(audit, replaced, private),
        redrawn=redrawn,
        canaries=canary_rows(audit),
        classes=classes,
        confused=confused_pairs(audit, card.class_names),
        data=card,
        understood=understood_lines(read_layout(folders["data"]), card, private),
        leads=leads_of(guarantee, {stage.stage: stage.config for stage in stages}),
        captions=caption_summary(folders["captions"], private),
        adaptation=history if private else shareable_history(history),
        num_synthetic=num_synthetic,
        teacher=read_training(folders["teacher"], private),
        student=read_training(folders["student"], private),
        agreement=agreement_number(*_total(agreement)),
        low_agreement=low_agreement_of(classes),
        stages=stages,
        labelling=labelling,
        dp_teacher=read_training(folders["labelling"], private) if labelling and guarantee and guarantee.teacher else None,
        libraries=Manifest.read(folders["audit"]).libraries,
        settings=privacy_settings(folders["adapter"])
        | shown_settings([*stages, *([labelling] if labelling else [])], config),
        glossary=GLOSSARY,
        audit=audit,
    )


def shown_settings(stages: list[StageRecord], config: ReportConfig) -> dict[str, dict[str, Any]]:
    """Return the settings of every stage, including the report's."""
    own = config.model_dump(mode="json")
    own = own if config.include_private else allowed_settings("report", own)
    return {stage.stage: stage.config for stage in stages} | {"report": own}


def privacy_settings(adapter: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of the formal guarantee that have an effect, numbers and fixed words; empty without one."""
    found = Manifest.read(adapter).config.get("privacy")
    return {"privacy": without_idle({"labels": found["labels"]}, found)} if found else {}


def stage_record(folder: Path, private: bool) -> StageRecord:
    """Return the entries of the engine's manifest about one artifact."""
    manifest = Manifest.read(folder)
    record = StageRecord(
        stage=manifest.stage,
        sensitivity=manifest.sensitivity,
        seconds=manifest.seconds,
        peak_memory_mb=manifest.peak_memory_mb,
        size_mb=manifest.num_bytes / 1e6,
        created=manifest.created,
        fingerprint=manifest.fingerprint,
        version=manifest.version,
        config=manifest.config,
        became={name: manifest.computed_on[name] for name in ON if name in manifest.computed_on} | manifest.became,
    )
    return record if private else shareable_record(record)


def read_training(folder: Path, private: bool) -> Training:
    """Return history and summary of a training; both are empty if the stage wrote none."""
    summary = TrainingSummary.read_if_there(folder)
    training = Training(history=read_history(folder), metrics=summary.model_dump() if summary else {})
    return training if private else shareable_training(training)


def count_synthetic(folder: Path, card: DataCard) -> dict[str, int]:
    """Return the number of synthetic images of each class."""
    labels = synthetic_column(folder, "label").astype(np.int64)
    counts = np.bincount(labels, minlength=len(card.class_names))
    return {name: int(count) for name, count in zip(card.class_names, counts, strict=True)}


def caption_summary(folder: Path, private: bool) -> CaptionSummary:
    """Return counts over the captions, without their texts."""
    captions = CaptionTable.read(folder).texts
    summary = CaptionSummary(
        num_captions=len(captions),
        num_distinct=len(set(captions)),
        median_words=float(np.median([len(caption.split()) for caption in captions])) if len(captions) else 0.0,
    )
    return summary if private else shareable_captions(summary)


def _total(agreement: Agreement) -> tuple[int, int]:
    """Return the number of images of all classes, and how many of them agree."""
    return sum(found.n for found in agreement.values()), sum(found.agree for found in agreement.values())
