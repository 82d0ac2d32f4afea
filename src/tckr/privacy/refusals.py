"""Settings that would spend outside the budget, and what each would reveal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Refusal = tuple[str, Callable[[Any], bool], str, str]
"""Setting, whether its value is refused, what it would reveal, what to set."""

REFUSALS: tuple[Refusal, ...] = (
    (
        "prepare.intensity",
        lambda value: value == "range",
        "the range of all pictures is a fact of each of them",
        "prepare.intensity=full or window",
    ),
    (
        "adapt.prompt_form",
        lambda value: "c" in value,
        "prompts hold captions of private images",
        "adapt.prompt_form=n, or n: d",
    ),
    (
        "adapt.lora",
        lambda value: value is not None,
        "an adapter that was trained elsewhere keeps no budget",
        "adapt.lora=null",
    ),
    (
        "adapt.selection",
        lambda value: value == "best",
        "private validation images choose the weights",
        "adapt.selection=last",
    ),
    (
        "adapt.fraction",
        lambda value: value < 1,
        "the share of each class is counted without noise",
        "adapt.fraction=1",
    ),
    (
        "generate.per_class",
        lambda value: value == "data",
        "the number of images of each class is that of the private set",
        "generate.per_class=balanced, or a number for each class",
    ),
    (
        "generate.redraw_disowned",
        lambda value: value > 0,
        "a Teacher without a budget chooses the images",
        "generate.redraw_disowned=0",
    ),
    (
        "generate.redraw_copies",
        lambda value: value > 0,
        "private images choose which images are generated again",
        "generate.redraw_copies=0",
    ),
    ("generate.redraw", bool, "the audit's look at private images chooses the images", "generate.redraw=[]"),
    (
        "distill.labels",
        lambda value: value == "online",
        "a Teacher without a budget labels the images",
        "distill.labels=hard",
    ),
)


def refuse_spending(config: Any) -> None:
    """Raise for settings of a run configuration that would reveal something the budget does not pay for.

    Raises:
        ValueError: names every such setting, what it would reveal, and what to set instead; or nothing is trained.
    """
    if config.adapt.steps == 0:
        raise ValueError(
            "privacy.epsilon is set, and adapt.steps=0 trains nothing; set adapt.steps=200, or privacy.epsilon=null"
        )
    found = []
    for name, is_refused, reveals, instead in REFUSALS:
        section, setting = name.split(".")
        value = getattr(getattr(config, section), setting)
        if is_refused(value):
            found.append(f"{name}: {reveals}; set {instead}")
    if found:
        raise ValueError(f"privacy.epsilon={config.privacy.epsilon:g} does not pay for: " + ". ".join(found))
