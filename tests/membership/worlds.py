"""Made-up signals with known leakage: each record has its own level, each run its own noise, members a known shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tckr.membership.evidence import Evidence, Predictions
from tckr.surfaces import CLASSIFIERS, SIGNALS

CLASS_NAMES = ["a", "b", "c", "d"]
REPEATED_AT = {
    "teacher": ("teacher",),
    "distill": ("soft_labels", "teacher", "student", "student_indirect"),
    "full": tuple(signal for signals in SIGNALS.values() for signal in signals),
}


def membership(generator: np.random.Generator, rows: int, records: int) -> np.ndarray:
    """Return bool [rows, records]: independent rows, half of the records each."""
    return np.argsort(generator.random((rows, records)), axis=1) < records // 2


def signals(generator: np.random.Generator, members: np.ndarray, shift: float, record_spread: float = 3.0) -> np.ndarray:
    """Return float64 like `members`: record level (shared by all runs) + noise of variance 1 + `shift` for members."""
    levels = record_spread * generator.normal(size=members.shape[1])
    return levels + generator.normal(size=members.shape) + shift * members


def world(seed: int = 0, rows: int = 9, records: int = 300, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return signals and membership, both [rows, records]; every run leaks `shift`."""
    generator = np.random.default_rng(seed)
    members = membership(generator, rows, records)
    return signals(generator, members, shift), members


def evidence(
    seed: int = 0,
    *,
    num_references: int = 8,
    records: int = 600,
    shift: float = 1.0,
    null_shift: float = 0.0,
    positive_shift: float = 6.0,
    target_offset: float = 0.0,
    generator_leak: float = 0.0,
    depth: str = "distill",
) -> Evidence:
    """Return the evidence of a world in which the Teacher leaks `shift`, everything else half of it, and `controls`.

    `generator_leak`: what all that learned from the target's images is surer of its members, the null control included.
    """
    generator = np.random.default_rng(seed)
    members = membership(generator, num_references + 1, records)
    levels = {signal: 3 * generator.normal(size=records) + 5 for signals_ in SIGNALS.values() for signal in signals_}

    def answers(signal: str, rows: np.ndarray, amount: float) -> np.ndarray:
        known = generator_leak if signal in ("student", "student_indirect", "soft_labels") else 0.0
        return levels[signal] + generator.normal(size=rows.shape) + amount * rows + known * members[0]

    found = {}
    for signal in levels:
        repeated = signal in REPEATED_AT[depth]
        found[signal] = answers(signal, members if repeated else members[:1], shift if signal == "teacher" else shift / 2)
    found["teacher"][0] += target_offset
    test_labels = generator.integers(4, size=200)
    wrong = generator.random(200) < 0.1
    classes, confidences = (test_labels + wrong) % 4, generator.uniform(0.7, 1, 200)
    misses = np.where(wrong, confidences, 1 - confidences)
    predictions = Predictions(classes, confidences, 2 * misses**2, -np.log1p(-misses))
    asked = REPEATED_AT[depth]
    return Evidence(
        class_names=CLASS_NAMES,
        labels=generator.integers(4, size=records),
        members=members,
        signals=found,
        correct={model: found[model] > 0 for model in CLASSIFIERS},
        controls={
            "null": {signal: answers(signal, members[0], null_shift * (signal == "teacher")) for signal in asked},
            "positive": {signal: answers(signal, members[0], positive_shift) for signal in asked},
        },
        test_labels=test_labels,
        test=dict.fromkeys(CLASSIFIERS, predictions),
    )


def only(world: Evidence, *signals: str) -> Evidence:
    """Return the world of which nothing but `signals` was measured: to judge all surfaces takes several times as long."""

    def kept(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: each for name, each in values.items() if name in signals}

    controls = {control: kept(answers) for control, answers in world.controls.items()}
    return replace(world, signals=kept(world.signals), correct=kept(world.correct), controls=controls, test={})
