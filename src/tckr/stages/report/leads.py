"""First sentence of each chapter: what the stage did in this run, which depends on the formal guarantee and the labels."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tckr.artifacts.guarantee import Guarantee
from tckr.stages.report.report_json import Leads

Settings = Mapping[str, Mapping[str, Any]]
"""Stage -> its settings."""

CAPTION = "Describe every member image in words. No caption of a hold-out image is used for training or in a prompt."
GIVEN_CAPTIONS = "Read the captions that came with the images. None of a hold-out image is used for training or in a prompt."
CLASS_NAMES = "No caption was written: under the formal guarantee, no prompt contains one."
LABEL = "Compute the Teacher's class probabilities of every synthetic image."

PROMPTS = MappingProxyType({True: "Prompts come from private captions", False: "Prompts contain no captions"})
"""Whether prompts contain captions -> what the gallery says of them."""


def leads_of(guarantee: Guarantee | None, settings: Settings) -> Leads:
    """Return the sentences for a run with these settings; `guarantee` is that of its adapter, if any."""
    labels = settings["distill"].get("labels", "soft")
    of_prompts = labels == "hard" or bool(guarantee and guarantee.labels_are_prompts)
    truth = "the class of the prompt" if of_prompts else "the Teacher's label"
    given = settings["caption"].get("file") or settings["caption"].get("from_source")
    return Leads(
        caption=CLASS_NAMES if guarantee else GIVEN_CAPTIONS if given else CAPTION,
        label=_labelling(guarantee) if guarantee else LABEL,
        distill=f"Train the Student on synthetic images and {_targets(guarantee, labels)}, without any private image.",
        prompts=PROMPTS["c" in settings["adapt"].get("prompt_form", "c")],
        truth="the class by votes or of the prompt" if guarantee and guarantee.votes and labels != "hard" else truth,
    )


def label_sense(guarantee: Guarantee | None) -> str:
    """Return what the file of labels contains for each image."""
    if guarantee is None:
        return "probabilities of all classes"
    if guarantee.teacher:
        return "probabilities of all classes, from a Teacher trained with noise"
    return "the class by votes or of its prompt" if guarantee.votes else "the class of its prompt"


def _labelling(guarantee: Guarantee) -> str:
    if guarantee.teacher:
        return "Compute the class probabilities of every synthetic image, by a Teacher that was trained with noise (DP-SGD)."
    if guarantee.votes is None:
        return "Write the class of its prompt as the label of every synthetic image; no Teacher labels them."
    return (
        f"Write classes as labels: for at most {guarantee.votes.images:,} synthetic images the one that noisy votes of "
        f"{guarantee.votes.teachers:,} Teachers chose, for the others that of the prompt."
    )


def _targets(guarantee: Guarantee | None, labels: str) -> str:
    if labels == "hard" or (guarantee and guarantee.labels_are_prompts):
        return "the classes of their prompts"
    if guarantee and guarantee.votes:
        return "their classes by votes or of the prompts"
    return "the Teacher's labels of every augmented view" if labels == "online" else "soft labels"
