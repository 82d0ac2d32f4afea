"""Settings that would use private data outside the budget, and what each would reveal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tckr.errors import UserError
from tckr.privacy.accountant import voting_of
from tckr.privacy.config import MOST_TEACHERS, UNITS, PrivacyConfig

Refusal = tuple[str, Callable[[Any], bool], str, str]
"""Setting, function that tells whether its value is refused, what it would reveal, what to set instead."""

LEAST_TEACHERS = 4.0
"""Least number of Teachers over the noise of votes. Unanimous votes then lose against one other class in 0.2 % of images."""

LEAST_BATCH = 3
"""Least `teach.batch_size` with which no batch of two or more images is a single one, however many images a Teacher has."""

LEAST_UNITS = 2
"""Least mean number of units of a Teacher that votes. With fewer, two of five Teachers or more get at most one unit."""

FEW_UNITS = 25
"""Least mean number of units without a warning: of Teachers of 26 MNIST images, 58 % of the votes were right."""

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
        "adapt.prompt_form=n, or 'n: d'",
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
        "distill.labels=soft",
    ),
)

USELESS_LABELS: tuple[Refusal, ...] = (
    (
        "distill.labels",
        lambda value: value != "soft",
        "the Student does not use these labels",
        "distill.labels=soft",
    ),
    (
        "distill.hard_weight",
        lambda value: value == 1,
        "the Student uses only the classes of the prompts",
        "distill.hard_weight=0",
    ),
)
"""As `REFUSALS`, with what makes labels useless that cost a part of the budget."""

USELESS_VOTES: tuple[Refusal, ...] = (
    *USELESS_LABELS,
    (
        "distill.min_teacher_probability",
        lambda value: value > 0,
        "images whose class the votes change are left out",
        "distill.min_teacher_probability=0",
    ),
    (
        "teach.batch_size",
        lambda value: value < LEAST_BATCH,
        "a batch of one image ends the training of a Teacher, which then does not vote",
        f"teach.batch_size={LEAST_BATCH} or more",
    ),
)
"""As `USELESS_LABELS`, for votes."""


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
    if found := _refused(config, REFUSALS):
        raise ValueError(f"privacy.epsilon={config.privacy.epsilon:g} does not pay for: {found}")
    if config.privacy.takes_votes:
        _refuse_useless_votes(config)
    elif config.privacy.has_teacher and (found := _refused(config, USELESS_LABELS)):
        raise ValueError(f"privacy.labels=teacher pays for labels that would be useless: {found}, or privacy.labels=prompt")


def _refused(config: Any, refusals: tuple[Refusal, ...]) -> str:
    """Return every refused setting, the reason and what to set instead; empty if there is none."""
    found = []
    for name, is_refused, reason, instead in refusals:
        section, setting = name.split(".")
        if is_refused(getattr(getattr(config, section), setting)):
            found.append(f"{name}: {reason}; set {instead}")
    return ". ".join(found)


def _refuse_useless_votes(config: Any) -> None:
    """Raise an error for votes that cost a part of the budget and give nothing; this depends on settings alone."""
    if found := _refused(config, USELESS_VOTES):
        raise ValueError(f"privacy.labels=votes pays for votes that would be useless: {found}, or privacy.labels=prompt")
    privacy, voting = config.privacy, voting_of(config.privacy)
    assert voting is not None
    if privacy.num_teachers < LEAST_TEACHERS * voting.noise:
        raise ValueError(
            f"for {privacy.votes} images, each number of votes gets noise of {voting.noise:.3g}, too much for "
            f"privacy.num_teachers={privacy.num_teachers}: even if all agreed, some labels would be wrong; set "
            f"{_ways_to_less_noise(privacy, voting.noise)}privacy.labels=prompt"
        )


def _ways_to_less_noise(privacy: PrivacyConfig, noise: float) -> str:
    """Return the settings with which the noise is small enough, each followed by a word that joins it with the next way."""
    fewest = math.ceil(LEAST_TEACHERS * noise)
    most = math.floor(privacy.votes * (privacy.num_teachers / (LEAST_TEACHERS * noise)) ** 2)
    ways = [f"privacy.votes={most} or fewer, "] if most else []
    ways += [f"privacy.num_teachers={fewest} or more, "] if fewest <= MOST_TEACHERS else []
    return "".join(ways) + ("or " if ways else "")


def refuse_few_units(privacy: PrivacyConfig, num_units: int) -> None:
    """Raise an error if labels are votes and there are too many Teachers for `num_units`; a run gives the noisy number.

    Raises:
        UserError: Teachers would get fewer than `LEAST_UNITS` units on average.
    """
    if privacy.takes_votes and num_units < LEAST_UNITS * privacy.num_teachers:
        raise UserError(
            f"privacy.num_teachers={privacy.num_teachers}, but the set has about {num_units:,} {UNITS[privacy.unit]}: fewer "
            f"than {LEAST_UNITS} for each Teacher on average. Many would not vote and others would know few classes, so "
            f"labels would be noise; expected are at least {LEAST_UNITS}, better {FEW_UNITS}; set a lower "
            "privacy.num_teachers, with fewer privacy.votes if their noise is then too large, or privacy.labels=prompt"
        )
