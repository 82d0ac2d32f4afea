"""Canaries refute a guarantee that a planted bug breaks, and none that holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch

from tckr.artifacts.guarantee import Guarantee
from tckr.membership.canaries import Canaries
from tckr.membership.refutation import refutation_text, steps_text, try_to_refute
from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.results import OneRunBound
from tckr.models.unit_gradients import clip_each
from tckr.privacy.accountant import calibrate, count_noise
from tckr.privacy.units import Units

NUM, RATE, STEPS, CLIP, DELTA = 1000, 0.1, 20, 0.5, 1e-5


@cache
def claimed(epsilon: float, unit: str = "record") -> Guarantee:
    training = calibrate(epsilon, DELTA, sampling_rate=RATE, steps=STEPS)
    return Guarantee(
        epsilon=epsilon, delta=DELTA, unit=unit, noise_multiplier=training.noise_multiplier, sampling_rate=RATE, steps=STEPS,
        clip=CLIP, count_noise=count_noise(epsilon, DELTA), noisy_count=NUM, noise_draws=1, class_names=["a"],
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a training is made of; a bug replaces one of them."""

    noise: float = 1.0
    clip: Callable[[Sequence[torch.Tensor], float], list[torch.Tensor]] = clip_each
    sample: Callable[[Units, float, np.random.Generator], np.ndarray] = Units.sample


def train(guarantee: Guarantee, parts: Parts, seed: int = 0) -> Canaries:
    """Return canaries whose gradients are orthogonal, the worst case, after DP-SGD with the product's own parts.

    Half of them have gradients of a tenth of the clipping norm, half of ten times it (Nasr et al. 2023, "Tight auditing").
    """
    rng = np.random.default_rng(seed)
    coins = rng.random(NUM) < 0.5
    members, lengths = np.flatnonzero(coins), np.where(np.arange(NUM) % 2, 0.1, 10) * guarantee.clip
    total = np.zeros(NUM)
    for _ in range(guarantee.steps):
        taken = members[parts.sample(Units(np.arange(len(members))), guarantee.sampling_rate, rng)]
        gradients = torch.zeros(len(taken), NUM, dtype=torch.float64)
        gradients[torch.arange(len(taken)), torch.from_numpy(taken)] = torch.from_numpy(lengths[taken])
        noise = parts.noise * guarantee.noise_multiplier * guarantee.clip * rng.normal(size=NUM)
        total += parts.clip([gradients], guarantee.clip)[0].numpy() + noise
    large = lengths > guarantee.clip
    return Canaries({"adapter": total, "teacher": coins.astype(float)}, coins, {"natural": ~large, "mislabelled": large})


def clip_the_whole_batch(gradients: Sequence[torch.Tensor], clip: float) -> list[torch.Tensor]:
    """Clip the sum of a step as plain training does: one unit may be all of it."""
    sums = [gradient.sum(0) for gradient in gradients]
    norm = torch.stack([each.norm() for each in sums]).norm()
    return [each * (clip / norm.clamp(min=clip)) * len(gradients[0]) for each in sums]


def take_all(units: Units, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Take every unit in every step, where each should come by chance."""
    return np.arange(len(units))


BUGS = {
    "noise left out": Parts(noise=0.0),
    "clipping per batch": Parts(clip=clip_the_whole_batch),
    "no clipping": Parts(clip=lambda gradients, clip: [gradient.sum(0) for gradient in gradients]),
    "sampling without chance": Parts(sample=take_all),
}


@pytest.mark.parametrize("bug", BUGS)
def test_canaries_refute_what_a_planted_bug_breaks(bug: str) -> None:
    found = try_to_refute(claimed(1.0), train(claimed(1.0), BUGS[bug]), 0.95, coin_of_group=False)
    assert found.refuted, found
    assert found.surface == "adapter"
    assert refutation_text(found).startswith("GUARANTEE REFUTED: epsilon is at least")


def test_a_guarantee_that_holds_is_not_refuted() -> None:
    guarantee = claimed(1.0)
    for seed in range(20):
        found = try_to_refute(guarantee, train(guarantee, Parts(), seed), 0.95, coin_of_group=False)
        assert not found.refuted, found
        assert found.most > 4  # right guesses would have been enough
        assert "not refuted" in refutation_text(found)


def knowing(surface: str, num_canaries: int = NUM) -> Canaries:
    """Return canaries whose coins one surface gives away."""
    coins = np.random.default_rng(0).random(num_canaries) < 0.5
    every = np.ones(num_canaries, dtype=bool)
    return Canaries({surface: coins.astype(float)}, coins, {"natural": every, "mislabelled": ~every})


@pytest.mark.parametrize(
    ("surface", "refuted"), [("student", True), ("adapter", True), ("teacher", False), ("captions", False)]
)
def test_only_what_the_guarantee_covers_refutes_it(surface: str, refuted: bool) -> None:
    found = try_to_refute(claimed(1.0), knowing(surface), 0.95, coin_of_group=False)
    assert found.refuted == refuted
    assert isinstance(found.bound, OneRunBound if refuted else NotMeasurable)


def test_a_bound_below_the_claim_refutes_nothing() -> None:
    found = try_to_refute(claimed(9.0), knowing("student"), 0.95, coin_of_group=False)
    assert isinstance(found.bound, OneRunBound)
    assert 4 < found.bound.value < found.most < 9
    assert not found.refuted
    changed = {"bound": found.bound.model_copy(update={"value": 3.999}), "most": 4.999}
    text = refutation_text(found.model_copy(update=changed))
    assert "epsilon is at least 3.9 (" in text  # a rounded bound is a bound too
    assert "if all guesses were right, they would show 4.99)" in text


def stated(epsilon: float, bound: float) -> str:
    """Return the sentence about a claim of `epsilon`, of which canaries show that it is at least `bound`."""
    found = try_to_refute(claimed(9.0), knowing("student"), 0.95, coin_of_group=False)
    assert isinstance(found.bound, OneRunBound)
    guarantee, shown = found.claimed.model_copy(update={"epsilon": epsilon}), found.bound.model_copy(update={"value": bound})
    return refutation_text(found.model_copy(update={"claimed": guarantee, "bound": shown, "refuted": bound > epsilon}))


@pytest.mark.parametrize(
    ("epsilon", "bound", "text"),
    [
        (1.0, 1.004, "GUARANTEE REFUTED: epsilon is more than 1 ("),
        (9.994, 10.004, "GUARANTEE REFUTED: epsilon is at least 10 ("),
        (12.345, 3.0, "Guarantee (epsilon 12.4, delta 1e-05) not refuted: epsilon is at least 3 ("),
        (1.0, 0.0042, "not refuted: epsilon is at least 0.004 ("),
        (1.0, 0.0, "not refuted: the guesses show nothing ("),
    ],
)
def test_rounded_numbers_say_what_the_numbers_say(epsilon: float, bound: float, text: str) -> None:
    assert text in stated(epsilon, bound)


def test_the_sentence_does_not_tell_how_many_guesses_were_right() -> None:
    """400 canaries have 200 counts of right guesses above one half, and two decimals of the bound differ for nearly all."""
    assert len({stated(9.0, bound) for bound in np.linspace(0.1, 4, 200)}) <= 40


def test_all_tries_hold_together() -> None:
    canaries = knowing("student")
    half = np.arange(NUM) % 2 == 0
    both = Canaries(canaries.scores | {"adapter": np.zeros(NUM)}, canaries.coins, {"natural": half, "mislabelled": ~half})
    found = try_to_refute(claimed(1.0), both, 0.95, coin_of_group=False)
    assert isinstance(found.bound, OneRunBound)
    assert found.bound.confidence == pytest.approx(1 - 0.05 / 4)  # two surfaces, two kinds
    assert found.bound.delta == DELTA


def test_a_canary_that_is_a_group_says_nothing_of_a_guarantee_for_one_record() -> None:
    assert not try_to_refute(claimed(1.0), knowing("student"), 0.95, coin_of_group=True).refuted
    assert try_to_refute(claimed(1.0, "group"), knowing("student"), 0.95, coin_of_group=True).refuted


@pytest.mark.parametrize("canaries", [None, knowing("student", 4)])
def test_without_enough_canaries_nothing_is_tried_and_the_reason_is_said(canaries: Canaries | None) -> None:
    found = try_to_refute(claimed(1.0), canaries, 0.95, coin_of_group=False)
    assert isinstance(found.bound, NotMeasurable)
    assert not found.refuted
    assert "canaries" in refutation_text(found)


def test_what_a_step_takes_reads_naturally_with_one_step_and_all_units() -> None:
    assert steps_text(5, 0.1, "images") == "5 steps, each with a share of 0.1 of the images"
    assert steps_text(13, 1.0, "groups") == "13 steps, each with all groups"
    assert steps_text(1, 1.0, "images") == "1 step with all images"
