"""Evidence pairs every signal with the right runs, records and reasons, at every depth."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.artifacts.membership import CANARY_KINDS
from tckr.membership.canaries import canary_bounds
from tckr.membership.collection import assemble, collect_canaries, relative_to_base, runs_of, stack
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.queries.questions import Answers
from tckr.metrics.results import OneRunBound
from tckr.surfaces import SIGNALS
from tests.membership.worlds import REPEATED_AT, membership
from tests.tiny_artifacts import CLASS_NAMES

N = 6
ORDINARY = [0, 2, 3, 5]
CANARIES = np.array([0, CANARY_KINDS["natural"], 0, 0, CANARY_KINDS["mislabelled"], 0], dtype=np.int8)
LABELS = np.array([0, 1, 2, 2, 1, 0])
MEMBERS = membership(np.random.default_rng(0), 5, N)
EVERY = [signal for signals in SIGNALS.values() for signal in signals]


def answered(start: int, signals: object = EVERY) -> Answers:
    """Return answers in which signal s of record n is 100 `start` + 10 s + n."""
    found = {name: 100.0 * start + 10 * place + np.arange(N) for place, name in enumerate(EVERY) if name in signals}  # type: ignore[operator]
    return found | {f"{model}_correct": np.arange(N) % 2 == start % 2 for model in ("teacher", "student") if model in found}


def answers_at(depth: str) -> dict[str, Answers]:
    repeated = REPEATED_AT[depth]
    others = {run: answered(start, repeated) for start, run in enumerate(("1", "2", "null", "positive"), start=1)}
    return {"positive": others["positive"], "2": others["2"], "0": answered(0), "null": others["null"], "1": others["1"]}


def evidence(depth: str, answers: dict[str, Answers] | None = None, canaries: np.ndarray = CANARIES) -> Evidence:
    return assemble(
        MembershipConfig(depth=depth),  # type: ignore[arg-type]
        answers_at(depth) if answers is None else answers,
        class_names=CLASS_NAMES,
        labels=LABELS,
        membership=MEMBERS,
        canaries=canaries,
        test_labels=np.empty(0, dtype=np.int64),
        test={},
    )


@pytest.mark.parametrize("depth", ["teacher", "distill", "full"])
def test_signals_have_a_row_per_run_that_repeated_them_and_the_others_say_why_not(depth: str) -> None:
    found, repeated = evidence(depth), REPEATED_AT[depth]
    assert list(found.signals) == EVERY
    for place, signal in enumerate(EVERY):
        runs = 3 if signal in repeated else 1
        expected = [[100.0 * run + 10 * place + record for record in ORDINARY] for run in range(runs)]
        assert found.signals[signal].tolist() == expected, signal
        assert found.has_references(signal) == (signal in repeated)
    assert set(found.why_no_references) == set(EVERY) - set(repeated)
    for signal, reason in found.why_no_references.items():
        needed = "full" if found.surface_of(signal) in ("captions", "adapter", "images") else "distill"
        assert reason == f"no reference runs of this surface at depth {depth}; use audit.depth={needed}"


def test_canaries_are_dropped_everywhere_and_records_keep_their_numbers() -> None:
    found = evidence("full")
    assert found.records is not None
    assert found.records.tolist() == ORDINARY
    assert found.labels.tolist() == LABELS[ORDINARY].tolist()
    assert np.array_equal(found.members, MEMBERS[:3][:, ORDINARY])  # a data set has more rows than an audit has runs
    assert found.correct["teacher"].tolist() == [[record % 2 == run % 2 for record in ORDINARY] for run in range(3)]
    assert evidence("full", canaries=np.zeros(N, dtype=np.int8)).signals["adapter"].shape == (3, N)


@pytest.mark.parametrize("depth", ["teacher", "distill", "full"])
def test_controls_answer_what_reference_runs_answer(depth: str) -> None:
    found = evidence(depth)
    assert set(found.controls) == {"null", "positive"}
    for start, name in ((3, "null"), (4, "positive")):
        assert set(found.controls[name]) == set(REPEATED_AT[depth])
        for signal, values in found.controls[name].items():
            assert values.tolist() == [100.0 * start + 10 * EVERY.index(signal) + record for record in ORDINARY]


@pytest.mark.parametrize("runs", [[], ["0"], ["0", "1"]])
def test_without_two_reference_runs_there_are_no_signals(runs: list[str]) -> None:
    found = evidence("full", {run: answered(int(run)) for run in runs})
    assert (dict(found.signals), dict(found.correct)) == ({}, {})
    assert found.members.tolist() == MEMBERS[:1][:, ORDINARY].tolist()


def test_a_gap_among_the_runs_is_no_audit() -> None:
    answers = answers_at("full")
    del answers["1"]
    with pytest.raises(AssertionError, match=r"runs \[0, 2\]"):
        evidence("full", answers)
    assert runs_of({str(run): {} for run in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9)} | {"null": {}}) == [
        str(run) for run in range(11)
    ]


def test_a_signal_that_only_some_references_have_is_no_evidence() -> None:
    answers = answers_at("full")
    del answers["2"]["images"]
    with pytest.raises(AssertionError, match="images: 2 of 3 runs"):
        evidence("full", answers)
    assert stack(answers, ["0", "1"], "images").tolist() == [
        answers["0"]["images"].tolist(),
        answers["1"]["images"].tolist(),
    ]


def test_only_what_the_base_model_answers_is_taken_relative_to_it() -> None:
    answers = {"0": answered(0), "null": answered(3), "base": {"adapter": np.array([5.0, 4, 3, 2, 1, 0])}}
    before = {run: {name: values.copy() for name, values in columns.items()} for run, columns in answers.items()}
    found = relative_to_base(answers)
    assert list(found) == ["0", "null"]
    for run, columns in found.items():
        for name, values in columns.items():
            assert values.tolist() == (before[run][name] - (answers["base"]["adapter"] if name == "adapter" else 0)).tolist()
            assert np.array_equal(answers[run][name], before[run][name])
    assert relative_to_base({"0": answered(0)}).keys() == {"0"}
    assert relative_to_base({"0": answered(0)})["0"]["adapter"].tolist() == answered(0)["adapter"].tolist()


def test_canaries_prove_leakage_of_the_surfaces_that_know_them_and_of_no_other() -> None:
    generator, count = np.random.default_rng(1), 200
    coins = generator.random((3, count)) < 0.5
    kinds = np.full(count, CANARY_KINDS["natural"], dtype=np.int8)
    answers = {
        str(run): {"teacher": 5.0 * coins[run], "student": -5.0 * coins[run], "images": 5.0 * coins[run]} for run in range(3)
    }
    for columns in answers.values():
        for name in columns:
            columns[name] = columns[name] + generator.normal(size=count)
    for runs in (["0"], ["0", "1", "2"]):
        planted = collect_canaries(MembershipConfig(), {run: answers[run] for run in runs}, coins, kinds)
        found = canary_bounds(planted, 0.95, 1e-5)
        assert set(found) == {"teacher", "student"}
        bounds = {surface: by_kind["natural"] for surface, by_kind in found.items()}
        assert isinstance(bounds["teacher"], OneRunBound)
        assert isinstance(bounds["student"], OneRunBound)
        assert bounds["teacher"].value > 2
        assert bounds["student"].value == 0
