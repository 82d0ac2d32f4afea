"""A run is queried with exactly the questions that its own artifacts can answer, and the file names every answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tckr.artifacts.membership import CANARIES_NAME
from tckr.data.groups import GROUPS_NAME
from tckr.engine.executors.local import LocalExecutor
from tckr.membership.queries.answers import read_answers, write_answers
from tckr.membership.queries.questions import QUESTIONS, Answers
from tckr.stages.audit import stage
from tckr.stages.audit.config import CanarySignalConfig, SignalConfig
from tests.membership.artifacts import (
    noise_images,
    write_adapter,
    write_all_captions,
    write_classifier,
    write_pool,
    write_synthetic,
)
from tests.tiny_artifacts import Recorder, make_context
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
NUM = 7
LABELS = np.arange(NUM) % 3
TEACHER = {"teacher", "teacher_correct"}
DISTILL = TEACHER | {"student", "student_correct", "student_indirect", "soft_labels"}
FULL = DISTILL | {"captions", "adapter", "images", "images_pixels"}
COMMON = ("data", "captions", "features")


@pytest.fixture(scope="module")
def artifacts(tiny_generator: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    found = {
        role: write_classifier(folder / role, i) for i, role in enumerate(("teacher", "student", "attacker", "features"))
    }
    return found | {
        "data": write_pool(folder / "data", noise_images(0, NUM), LABELS, np.ones((1, NUM), dtype=bool)),
        "captions": write_all_captions(folder / "captions", [f"mark {record}" for record in range(NUM)]),
        "synthetic": write_synthetic(folder / "synthetic", noise_images(1, NUM), LABELS, ["beta: mark 1"] * NUM),
        "adapter": write_adapter(folder / "adapter", tiny_generator),
    }


def asked(artifacts: dict[str, Path], names: tuple[str, ...], folder: Path) -> Answers:
    context = make_context(folder, {name: artifacts[name] for name in names})
    stage.ask(SignalConfig(loss_draws=1, shift=0), context)
    return read_answers(context.out, NUM)


@pytest.fixture(scope="module")
def whole(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return asked(artifacts, tuple(artifacts), tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ((*COMMON, "teacher"), TEACHER),
        ((*COMMON, "teacher", "synthetic", "student", "attacker"), DISTILL),
        (("data", "captions", "adapter"), {"adapter"}),  # the base model
        (("data", "synthetic", "student"), {"student", "student_correct"}),
    ],
)
def test_a_run_answers_the_questions_that_its_own_artifacts_allow_and_the_same_as_ever(
    artifacts: dict[str, Path], whole: Answers, tmp_path: Path, own: tuple[str, ...], expected: set[str]
) -> None:
    found = asked(artifacts, own, tmp_path)
    assert set(found) == expected
    for name, values in found.items():
        assert np.array_equal(values, whole[name]), name


def test_other_machines_find_the_very_answers_that_one_process_finds(
    artifacts: dict[str, Path], whole: Answers, tmp_path: Path
) -> None:
    recorder, questions = Recorder(), []
    with LocalExecutor(lambda num_workers: 1) as executor:

        def workers(function: Any, items: Any, num_workers: int) -> Iterator[str]:
            for name in executor.map(function, items, num_workers):
                questions.append(name)
                yield name

        context = make_context(tmp_path, artifacts, workers=workers, elsewhere=True, recorder=recorder)
        stage.ask(SignalConfig(loss_draws=1, shift=0), context)
    assert sorted(questions) == sorted(QUESTIONS)
    found = read_answers(context.out, NUM)
    assert found.keys() == whole.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-5)  # one thread there
    assert (
        sum(recorder.advanced)
        == sum(question.looks(SignalConfig(loss_draws=1, shift=0)) for question in QUESTIONS.values()) * NUM
    )


def test_a_complete_run_answers_every_question_about_every_record(whole: Answers) -> None:
    assert set(whole) == FULL
    for name, values in whole.items():
        assert (values.shape, values.dtype) == ((NUM,), bool if name.endswith("_correct") else np.float64), name
    assert whole["captions"].tolist() == np.log1p([0, 7, 0, 0, 0, 0, 0]).tolist()
    signals = [values for name, values in whole.items() if not name.endswith("_correct")]
    assert len(np.unique(signals, axis=0)) == len(signals)  # each from a model of its own


def test_answers_come_back_by_name_and_in_order_of_record(tmp_path: Path) -> None:
    answers = {
        "teacher": np.array([0.1, -1e300, 3.0]),
        "adapter": np.arange(3.0),
        "teacher_correct": np.array([True, False, True]),
    }
    write_answers(tmp_path, answers, np.arange(3))
    found = read_answers(tmp_path, 3)
    assert {name: values.tolist() for name, values in found.items()} == {k: v.tolist() for k, v in answers.items()}
    path = next(tmp_path.iterdir())
    table = pq.read_table(path)
    assert table.column("record").to_pylist() == [0, 1, 2]
    pq.write_table(table.take([1, 0, 2]), path)
    with pytest.raises(AssertionError):
        read_answers(tmp_path, 3)


def test_without_reference_runs_only_canaries_are_asked_about_and_their_groups(
    artifacts: dict[str, Path], whole: Answers, tmp_path: Path
) -> None:
    canaries = np.array([0, 1, 0, 0, 2, 0, 0], dtype=np.int8)
    members = np.ones((1, NUM), dtype=bool)
    for groups, expected in ((None, {1, 4}), (np.array([5, 5, 6, 7, 7, 7, 8]), {0, 1, 3, 4, 5})):
        folder = tmp_path / str(len(expected))
        data = write_pool(folder / "data", noise_images(0, NUM), LABELS, members)
        np.save(data / CANARIES_NAME, canaries)
        if groups is not None:
            np.save(data / GROUPS_NAME, groups)
        context = make_context(folder, {**artifacts, "data": data})
        stage.ask(CanarySignalConfig(loss_draws=1, shift=0), context)
        with pytest.raises(AssertionError, match=f"{len(expected)} answers about {NUM} records"):
            read_answers(context.out, NUM)
        found = read_answers(context.out, NUM, complete=False)
        assert found.keys() == whole.keys()
        for name in found:
            asked_about = np.isfinite(found[name])
            assert set(np.flatnonzero(asked_about)) == expected, name
            assert found[name][asked_about] == pytest.approx(whole[name][asked_about].astype(float), rel=1e-5), name
