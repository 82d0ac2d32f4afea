"""Settings that would use private data outside the budget, and what each would reveal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tckr.privacy.accountant import voting_of

Refusal = tuple[str, Callable[[Any], bool], str, str]
"""Setting, function that tells whether its value is refused, what it would reveal, what to set instead."""

LEAST_TEACHERS = 4.0
"""Least number of Teachers over the noise of votes. Unanimous votes then lose against one other class in 0.2 % of images."""

REFUSALS: tuple[Refusal, ...] = (
    (
        "prepare.intensity",
        lambda value: value == "range",
        "the range of intensities over all images depends on each private image",
        "prepare.intensity=full or window",
    ),
    (
        "adapt.prompt_form",
        lambda value: "c" in value,
        "prompts contain captions of private images",
        "adapt.prompt_form=n, or n: d",
    ),
    (
        "adapt.lora",
        lambda value: value is not None,
        "an adapter that was trained elsewhere has no budget",
        "adapt.lora=null",
    ),
    (
        "adapt.selection",
        lambda value: value == "best",
        "private validation images select the weights",
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
        "the number of images per class is that of the private set",
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
    ("generate.redraw", bool, "the audit selects images by comparing them with private images", "generate.redraw=[]"),
    (
        "distill.labels",
        lambda value: value == "online",
        "a Teacher without a budget labels the images",
        "distill.labels=hard",
    ),
)


def refuse_spending(config: Any) -> None:
    """Raise an error for settings of a run configuration that would use private data outside the budget.

    Raises:
        ValueError: the message names every such setting, what it would reveal, and what to set instead; or nothing would be
            trained.
    """
    if config.adapt.steps == 0:
        raise ValueError(
            "privacy.epsilon is set, but adapt.steps=0 trains nothing; set adapt.steps=200, or privacy.epsilon=null"
        )
    found = []
    for name, is_refused, reveals, instead in REFUSALS:
        section, setting = name.split(".")
        value = getattr(getattr(config, section), setting)
        if is_refused(value):
            found.append(f"{name}: {reveals}; set {instead}")
    if found:
        raise ValueError(f"privacy.epsilon={config.privacy.epsilon:g} does not pay for: " + ". ".join(found))
    _refuse_vain_votes(config)


def _refuse_vain_votes(config: Any) -> None:
    """Raise an error for votes that cost a part of the budget and give nothing; this depends on settings alone."""
    privacy, voting = config.privacy, voting_of(config.privacy)
    if voting is None:
        return
    if config.distill.labels != "soft":
        raise ValueError(
            f"privacy.labels=votes pays for labels that distill.labels={config.distill.labels} does not use; set "
            "distill.labels=soft, or privacy.labels=prompt"
        )
    if privacy.num_teachers < LEAST_TEACHERS * voting.noise:
        most = math.floor(privacy.votes * (privacy.num_teachers / (LEAST_TEACHERS * voting.noise)) ** 2)
        fewer = f"privacy.votes={most} or fewer, " if most else ""
        raise ValueError(
            f"for {privacy.votes} images, each number of votes gets noise of {voting.noise:.3g}, too much for "
            f"privacy.num_teachers={privacy.num_teachers}: even if all agreed, some labels would be wrong; set {fewer}"
            f"privacy.num_teachers={math.ceil(LEAST_TEACHERS * voting.noise)} or more, or privacy.labels=prompt"
        )
