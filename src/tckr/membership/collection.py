"""Put the answers of all runs together into evidence. Pure: knows names of runs and signals, no paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tckr.membership.canaries import Canaries, canaries_of, canary_scores
from tckr.membership.config import MIN_REFERENCE_RUNS, MembershipConfig
from tckr.membership.evidence import Evidence, Predictions
from tckr.membership.queries.questions import Answers
from tckr.membership.scorers.quantile_regression import principal_components
from tckr.membership.units import shared_in_groups
from tckr.surfaces import CLASSIFIERS, SIGNALS, SURFACES

CONTROLS = ("null", "positive")
BASE = "base"
"""The unadapted generator: what it makes of a record, an attacker knows without us."""


def assemble(
    config: MembershipConfig,
    answers: Mapping[str, Answers],
    *,
    class_names: Sequence[str],
    labels: np.ndarray,
    membership: np.ndarray,
    canaries: np.ndarray,
    groups: np.ndarray | None = None,
    test_labels: np.ndarray,
    test: Mapping[str, Predictions],
    features: np.ndarray | None = None,
) -> Evidence:
    """Return the evidence about the records that are no canaries.

    Args:
        config: its depth says why a signal has no reference runs.
        answers: run name (`0` target, `1`.., `null`, `positive`, `base`) -> signal -> [N]; empty when nothing was measured.
        class_names: index = label.
        labels: int64 [N].
        membership: bool [R, N].
        canaries: int8 [N], 0 = ordinary record.
        groups: int64 [N], None where each record stands for itself.
        test_labels: int64 [T].
        test: model -> predictions on the test split.
        features: of all records, float [N, D], as a model sees them that was trained on none of them; None = not known.
    """
    ordinary = canaries == 0
    runs = runs_of(answers)
    if len(runs) <= MIN_REFERENCE_RUNS:
        runs = []  # a target without references is asked for its canaries only
    measured = [signal for signals in SIGNALS.values() for signal in signals if runs and signal in answers[runs[0]]]
    signals = {signal: stack(answers, runs, signal)[:, ordinary] for signal in measured}
    return Evidence(
        class_names=class_names,
        labels=labels[ordinary],
        records=np.flatnonzero(ordinary),
        members=membership[: max(1, len(runs))][:, ordinary],
        signals=signals,
        correct={model: stack(answers, runs, f"{model}_correct")[:, ordinary] for model in CLASSIFIERS if model in signals},
        controls={
            name: {signal: answers[name][signal][ordinary] for signal in measured if signal in answers[name]}
            for name in CONTROLS
            if name in answers
        },
        test_labels=test_labels,
        test=test,
        groups=None if groups is None else groups[ordinary],
        features=None if features is None else known_outside(features, labels, answers.get("null", {}))[ordinary],
        why_no_references={signal: why_alone(config, signal) for signal, found in signals.items() if len(found) == 1},
    )


def known_outside(features_ND: np.ndarray, labels: np.ndarray, null: Answers) -> np.ndarray:
    """Return what an attacker knows of every record without the attacked models, float64 [N, .].

    Its features, its label, and how sure a Teacher is of it that was trained on none of the records.
    """
    answers = [null["teacher"]] if "teacher" in null else []
    return np.column_stack([principal_components(features_ND), labels, *answers])


def relative_to_base(answers: Mapping[str, Answers]) -> dict[str, Answers]:
    """Return the answers with the adapter's loss taken relative to that of the base model at the same noise."""
    base = answers.get(BASE, {})
    return {
        run: {name: values - base[name] if name in base else values for name, values in columns.items()}
        for run, columns in answers.items()
        if run != BASE
    }


def runs_of(answers: Mapping[str, Answers]) -> list[str]:
    """Return the names of the target and its reference runs, the target first."""
    found = sorted(int(run) for run in answers if run.isdigit())
    assert found == list(range(len(found))), f"runs {found}: a gap would pair answers with another run's members"
    return [str(run) for run in found]


def collect_canaries(
    config: MembershipConfig,
    answers: Mapping[str, Answers],
    membership: np.ndarray,
    canaries: np.ndarray,
    groups: np.ndarray | None = None,
) -> Canaries:
    """Return the canaries of the target with what its Teacher, Student and adapter say of them.

    A canary whose group shares its coin (`groups` as in `assemble`) is guessed by the mean of the group's signals.
    """
    runs = runs_of(answers)
    scores = {}
    for surface in SURFACES.values():
        if surface.has_canaries and surface.declared_signal in answers[runs[0]]:
            through_images = config.shares_generator and surface.sees_images  # the references saw the target's images
            signals = stack(answers, runs, surface.declared_signal)[: 1 if through_images else None]
            signals = signals if groups is None else shared_in_groups(signals, groups)
            scores[surface.name] = canary_scores(signals, membership[: len(signals)], canaries)
    return canaries_of(scores, membership[0], canaries)


def stack(answers: Mapping[str, Answers], runs: Sequence[str], signal: str) -> np.ndarray:
    """Return [R, N] of the runs that have the signal: the target alone, or all of them."""
    found = [answers[run][signal] for run in runs if signal in answers[run]]
    assert len(found) in (1, len(runs)), f"{signal}: {len(found)} of {len(runs)} runs"
    return np.stack(found)


def why_alone(config: MembershipConfig, signal: str) -> str:
    """Return why only the target has `signal` at the configured depth."""
    needed = next(surface.repeated_from for surface in SURFACES.values() if signal in surface.signals)
    return f"no reference runs of this surface at depth {config.depth}; use audit.depth={needed}"
