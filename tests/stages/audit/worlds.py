"""Made-up signals with known leakage: each record has its own level, each run its own noise, members a known shift."""

from __future__ import annotations

import numpy as np

from tckr.stages.audit.evidence import Evidence, Predictions, RecordAnswers

CLASS_NAMES = ["a", "b", "c", "d"]


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
    student_references: bool = True,
) -> Evidence:
    """Return the evidence of a world in which Teacher leaks `shift`, Student half of it, and controls what is asked.

    `generator_leak`: what every Student is surer of the target's members, whoever its own members are.
    """
    generator = np.random.default_rng(seed)
    members = membership(generator, num_references + 1, records)
    levels = 3 * generator.normal(size=records)

    def answers(rows: np.ndarray, amount: float, offset: float = 0.0, known: float | np.ndarray = 0.0) -> RecordAnswers:
        found = levels + generator.normal(size=rows.shape) + amount * rows + 5 + known
        found[..., 0, :] += offset
        return RecordAnswers(found, found > 0)

    def control(amount: float) -> RecordAnswers:
        found = answers(members[:1], amount)
        return RecordAnswers(found.signals[0], found.correct[0])

    test_labels = generator.integers(4, size=200)
    wrong = generator.random(200) < 0.1
    predictions = Predictions((test_labels + wrong) % 4, generator.uniform(0.7, 1, 200))
    return Evidence(
        class_names=CLASS_NAMES,
        labels=generator.integers(4, size=records),
        members=members,
        test_labels=test_labels,
        test={"teacher": predictions, "student": predictions},
        pool={
            "teacher": answers(members, shift, target_offset),
            "student": answers(members if student_references else members[:1], shift / 2, known=generator_leak * members[0]),
        },
        controls={"null": control(null_shift), "positive": control(positive_shift)},
    )
