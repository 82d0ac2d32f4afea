"""The promise of a formal guarantee in words, and the test with the canaries of a run whether it is refuted."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from tckr.artifacts.guarantee import Guarantee, Refutation, TeacherInputs
from tckr.html.numbers import rounded_down, rounded_up
from tckr.membership.canaries import Canaries
from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.one_run import largest_bound, one_run_epsilon
from tckr.metrics.rounding import bound_below
from tckr.privacy.config import UNITS
from tckr.surfaces import surface_title

COVERED = ("adapter", "images", "soft_labels", "student")
"""Surfaces that a guarantee is about: computed from the noisy results alone."""

WHO = MappingProxyType({"record": "one image", "group": "all images of one group"})
"""`privacy.unit` -> words for one unit."""


def try_to_refute(guarantee: Guarantee, canaries: Canaries | None, confidence: float, *, coin_of_group: bool) -> Refutation:
    """Return the largest epsilon that guesses of the canaries' coins refute on anything that the guarantee covers.

    A guarantee that holds is refuted with probability at most 1 - `confidence`, all surfaces and kinds of canaries together
    (Bonferroni). `coin_of_group`: whether a canary is a group of records, which cannot refute a guarantee for one record.
    """
    tried = {} if canaries is None else _guessed_from(canaries)
    if canaries is None or not tried:
        return _open(guarantee, "the run has no canaries (prepare.num_canaries)")
    if coin_of_group and guarantee.unit == "record":
        return _open(guarantee, "a canary is a group of images, and the guarantee is for one image")
    level, delta = 1 - (1 - confidence) / len(tried), guarantee.delta
    most = max(largest_bound(len(coins), confidence=level, delta=delta) for _, coins in tried.values())
    if most == 0:
        sizes = max(len(coins) for _, coins in tried.values())
        return _open(guarantee, f"{sizes} canaries of a kind: even if all guesses were right, nothing would be refuted")
    bounds = {key: one_run_epsilon(*each, confidence=level, delta=delta) for key, each in tried.items()}
    surface, kind = max(bounds, key=lambda key: bounds[key].value)
    return Refutation(
        claimed=guarantee,
        bound=bounds[surface, kind],
        refuted=bounds[surface, kind].value > guarantee.epsilon,
        surface=surface,
        canaries=kind,
        most=most,
        confidence=confidence,
    )


def promise_text(guarantee: Guarantee) -> str:
    """Return what a guarantee promises, and of what."""
    labels = "the classes of their prompts" if guarantee.labels_are_prompts else "their labels"
    return (
        f"Formal guarantee: ({rounded_up(guarantee.epsilon)}, {guarantee.delta:g}) differential privacy for "
        f"{WHO[guarantee.unit]}. It covers images with {labels}, adapter and Student, whatever attack is tried."
        + (f" But it hardly protects: {warning}." if (warning := describe_delta_of(guarantee)) else "")
    )


def describe_delta_of(guarantee: Guarantee) -> str:
    """Return `describe_large_delta` of the noisy number of units, the only one that a guarantee knows."""
    return describe_large_delta(guarantee.delta, guarantee.unit, guarantee.noisy_count)


def describe_large_delta(delta: float, unit: str, num_units: int) -> str:
    """Return a warning if delta is not below 1 / number of units; else an empty text."""
    most = 1 / num_units
    if delta < most:
        return ""
    return (
        f"privacy.delta={delta:g} is not below 1 / number of {UNITS[unit]}, which is about {most:.2g}: "
        "a program that publishes each of them with probability delta would also have this guarantee. Set "
        f"privacy.delta={most / 10:.0e} or less"
    )


def accounting_text(guarantee: Guarantee) -> str:
    """Return every input of the accountant."""
    labels, units, central = "", UNITS[guarantee.unit], ""
    if guarantee.central_noise is not None:
        central = (
            f" Sums of the images of each class: noise of {guarantee.central_noise:.3g} times what one unit adds at most."
        )
    if guarantee.teacher:
        labels = f" Teacher that labels: {_training_text(guarantee.teacher, units)}."
    if guarantee.votes:
        labels = (
            f" Votes: {guarantee.votes.teachers:,} Teachers, each trained on other {units}, on {guarantee.votes.images:,} "
            f"image{'s' * (guarantee.votes.images != 1)}, noise of {guarantee.votes.noise:.3g} on each number of votes."
        )
    return (
        f"Inputs of the accountant. Adapter: {_training_text(guarantee, units)}. Number of {units}: noise of "
        f"{guarantee.count_noise:.3g}.{central}{labels}"
    )


def steps_text(steps: int, sampling_rate: float, units: str) -> str:
    """Return e.g. `5 steps, each with a share of 0.1 of the images`, or `1 step with all images`."""
    share = f"{sampling_rate:.4g}"
    taken = f"all {units}" if share == "1" else f"a share of {share} of the {units}"
    return f"1 step with {taken}" if steps == 1 else f"{steps:,} steps, each with {taken}"


def _training_text(training: Guarantee | TeacherInputs, units: str) -> str:
    return (
        f"{steps_text(training.steps, training.sampling_rate, units)}, gradients clipped to {training.clip:g}, noise of "
        f"{training.noise_multiplier:.3g} times that"
    )


def refutation_text(found: Refutation) -> str:
    """Return a sentence with the result of the canaries for the guarantee.

    The bound is rounded as in a shareable report: two decimals would tell how many guesses were right.
    """
    epsilon = rounded_up(found.claimed.epsilon)
    claimed = f"epsilon {epsilon}, delta {found.claimed.delta:g}"
    if isinstance(found.bound, NotMeasurable):
        return f"Guarantee ({claimed}) not tested, because {found.bound.reason}."
    bound = bound_below(found.bound.value)
    at = f"epsilon is at least {bound:g}" if bound else "the guesses show nothing"
    where = f"{surface_title(found.surface)}, {found.canaries} canaries, {100 * (found.confidence or 0):g} % confidence"
    if found.refuted:
        at = at if bound > found.claimed.epsilon else f"epsilon is more than {epsilon}"
        return f"GUARANTEE REFUTED: {at} ({where}), and {claimed} is claimed. Somewhere too little noise is added."
    powerless = " So these canaries could not refute it." if found.most <= found.claimed.epsilon else ""
    most = f"if all guesses were right, they would show {rounded_down(found.most)}"
    return f"Guarantee ({claimed}) not refuted: {at} ({where}; {most}).{powerless}"


def _guessed_from(canaries: Canaries) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """Return (surface, kind) -> scores and coins of its canaries, where there are some."""
    return {
        (surface, kind): (canaries.scores[surface][chosen], canaries.coins[chosen])
        for surface in COVERED
        if surface in canaries.scores
        for kind, chosen in canaries.kinds.items()
        if chosen.any()
    }


def _open(guarantee: Guarantee, reason: str) -> Refutation:
    return Refutation(claimed=guarantee, bound=NotMeasurable(reason))
