from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import ResNetConfig, ResNetForImageClassification

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.guarantee import Guarantee
from tckr.artifacts.membership import CANARIES_NAME, MEMBERSHIP_NAME
from tckr.artifacts.mistakes import read_mistakes
from tckr.artifacts.split_lock import split_digest, write_lock_key
from tckr.data.groups import GROUPS_NAME
from tckr.data.images import encode_png
from tckr.data.shards import write_shard
from tckr.data.transforms import to_device
from tckr.engine.executors.local import LocalExecutor
from tckr.errors import UserError
from tckr.membership.queries import questions
from tckr.membership.queries.answers import read_answers
from tckr.membership.scorers.quantile_regression import HALVES, MIN_POPULATION
from tckr.membership.wording import verdict_text
from tckr.metrics.estimate import Estimate
from tckr.metrics.results import OneRunBound
from tckr.models.classifiers import Classifier, ClassifierSpec
from tckr.stages.audit import stage
from tckr.stages.audit.config import AuditConfig, CanarySignalConfig, SignalConfig
from tests.tiny_artifacts import CLASS_NAMES, Recorder, make_context

NUM_POOL, NUM_TEST, NUM_RUNS = 60, 12, 3
SCORER = AuditConfig().scorer


def write_split(folder: Path, images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> None:
    for part, rows in enumerate(np.array_split(order, 2)):
        encoded = [encode_png(images[row]) for row in rows]
        columns = {"image": encoded, "label": labels[rows], "record": rows.astype(np.int64)}
        write_shard(folder / f"part-{part:05d}.parquet", columns, CLASS_NAMES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a data set of noise images, so that whoever knows a label has memorized it, and models by role and run.

    Teachers and the positive control are trained until they know their members; Students and the null control are untrained.
    """
    return write_models(tmp_path_factory.mktemp("audit"))


def write_models(folder: Path, num_pool: int = NUM_POOL) -> dict[str, Path]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (num_pool + NUM_TEST, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(num_pool + NUM_TEST) % 3
    write_split(folder / "data" / "pool", images, labels, generator.permutation(num_pool))
    write_split(folder / "data" / "test", images, labels, np.arange(num_pool, num_pool + NUM_TEST))
    members = np.argsort(generator.random((NUM_RUNS, num_pool)), axis=1) < num_pool // 2
    np.save(folder / "data" / MEMBERSHIP_NAME, members)
    np.save(folder / "data" / CANARIES_NAME, np.zeros(num_pool, dtype=np.int8))
    np.save(folder / "data" / GROUPS_NAME, np.arange(num_pool))
    digest = split_digest(folder / "data" / "test", write_lock_key(folder / "data", 0))
    card(digest, num_pool=num_pool, num_members=num_pool // 2).write(folder / "data")
    rows = {f"teacher.{run}": members[run] for run in range(NUM_RUNS)} | {"teacher.positive": members[0]}
    rows |= {f"student.{run}": None for run in (*range(NUM_RUNS), "positive", "null")} | {"teacher.null": None}
    found = {"data": folder / "data"}
    for seed, (name, chosen) in enumerate(rows.items()):
        found[name] = folder / name
        save_classifier(folder / name / "model", images, labels, chosen, seed)
    drawn = {"image": [encode_png(image) for image in images[:9]], "label": labels[:9], "index": np.arange(9)}
    write_shard(folder / "synthetic" / "data" / "train-00000-of-00001.parquet", drawn, CLASS_NAMES)
    return found | {"synthetic": folder / "synthetic"}


def asked(models: dict[str, Path], run: int | str, folder: Path, **settings: Any) -> Path:
    """Ask one run's Teacher and Student; return the artifact."""
    inputs = {"data": models["data"], "teacher": models[f"teacher.{run}"]}
    if f"student.{run}" in models:
        inputs["student"] = models[f"student.{run}"]
    stage.ask(SignalConfig(**settings), make_context(folder, inputs, batch_size=32))
    return folder / "out"


def inputs_of(models: dict[str, Path], folder: Path, **settings: Any) -> dict[str, Path]:
    """Return the inputs of the judging step, with the answers of all runs."""
    inputs = {name: models[name] for name in ("data", "synthetic")}
    inputs |= {"teacher": models["teacher.0"], "student": models["student.0"], "features": models["teacher.null"]}
    runs = (*range(NUM_RUNS), "null", "positive")
    return inputs | {f"signals.{run}": asked(models, run, folder / str(run), **settings) for run in runs}


@pytest.fixture(scope="module")
def world(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the inputs of the judging step with one view per record."""
    return inputs_of(models, tmp_path_factory.mktemp("asked"), shift=0)


def save_classifier(folder: Path, images: np.ndarray, labels: np.ndarray, chosen: np.ndarray | None, seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        names = dict(enumerate(CLASS_NAMES))
        config = ResNetConfig(embedding_size=16, hidden_sizes=[32], depths=[1], layer_type="basic", id2label=names)
        model = Classifier(ResNetForImageClassification(config), ClassifierSpec((0.5,) * 3, (0.5,) * 3, (8, 8)))
    if chosen is not None:
        inputs, truth = to_device(images[: len(chosen)][chosen], "cpu"), torch.from_numpy(labels[: len(chosen)][chosen])
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        model.train()
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), truth).backward()
            optimizer.step()
    model.save(folder)


def card(digest: str, **changes: Any) -> DataCard:
    content = {
        "name": "noise", "source": "tests", "class_names": CLASS_NAMES, "image_size": 8, "counts": {}, "num_pool": NUM_POOL,
        "num_validation": 0, "num_test": NUM_TEST, "num_members": NUM_POOL // 2, "rejected": {}, "normalised": {},
        "duplicates": 0, "test_sha256": digest, "audit_holdout": 0.5, "sizes": {},
    }  # fmt: skip
    return DataCard.model_validate(content | changes)


def audit(folder: Path, inputs: dict[str, Path], **settings: Any) -> AuditResult:
    stage.run(AuditConfig(**settings), make_context(folder, inputs, batch_size=32, opened={"data": inputs["data"]}))
    return AuditResult.read(folder / "out")


def write_adapter_card(folder: Path, guarantee: Guarantee) -> None:
    folder.mkdir()
    AdapterCard(
        model="tiny", revision=None, method="lora", rank=2, steps=5, prompt_form="n", descriptions={}, image_size=16,
        guarantee=guarantee,
    ).write(folder)  # fmt: skip


def value(measured: object) -> float:
    assert isinstance(measured, Estimate), measured
    return measured.value


def test_memorizing_teachers_are_found_and_untrained_students_are_not(world: dict[str, Path], tmp_path: Path) -> None:
    result = audit(tmp_path, world)
    assert result.measured
    assert set(result.surfaces) == {"teacher", "student"}
    found = result.surfaces["teacher"].auc[SCORER]
    assert isinstance(found, Estimate)
    assert found.low > 0.5
    untrained = result.surfaces["student"]
    assert untrained.auc[SCORER].covers(0.5)  # type: ignore[union-attr]
    assert untrained.strongest is not None
    assert untrained.strongest.family_p_value > 0.05  # type: ignore[operator]  # of 18 intervals of 95 % one may miss
    checks = {(check.name, check.surface, check.measure): check.passed for check in result.controls}
    assert checks["positive", "teacher", SCORER]
    assert all(passed for (name, *_), passed in checks.items() if name == "null")
    assert (result.declared.num_members, result.declared.num_test, result.declared.num_queries) == (30, 12, 5)


def test_the_test_images_that_the_student_gets_wrong_are_kept_with_its_answers(
    world: dict[str, Path], tmp_path: Path
) -> None:
    counts = np.array(audit(tmp_path, world).surfaces["student"].confusion)
    kept = np.zeros_like(counts)
    for mistake in read_mistakes(tmp_path / "out"):
        kept[mistake.label, mistake.answer] += 1
    assert kept.sum() > 0
    assert np.array_equal(kept, counts - np.diag(np.diag(counts)))


def test_score_table_has_a_row_per_signal_run_and_record(world: dict[str, Path], tmp_path: Path) -> None:
    result = audit(tmp_path, world)
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert len(table["record"]) == 2 * (NUM_RUNS + 2) * NUM_POOL
    assert set(zip(table["surface"], table["signal"], strict=True)) == {("teacher", "teacher"), ("student", "student")}
    target = [i for i, (s, r) in enumerate(zip(table["surface"], table["run"], strict=True)) if (s, r) == ("teacher", 0)]
    members = np.load(world["data"] / MEMBERSHIP_NAME)
    assert [table["member"][i] for i in target] == members[0].tolist()
    assert [table["label"][i] for i in target] == [record % 3 for record in range(NUM_POOL)]
    scores = np.array([table["score"][i] for i in target])
    auc = (scores[members[0]][:, None] > scores[~members[0]]).mean()
    assert value(result.surfaces["teacher"].auc[SCORER]) == pytest.approx(auc)
    assert {score for score, run in zip(table["score"], table["run"], strict=True) if run != 0} == {None}


def test_killed_asking_goes_on_and_ends_the_same(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_answers(asked(models, 0, tmp_path / "whole", shift=0), NUM_POOL)
    loaded: list[str] = []
    original = questions.load_classifier

    def load_until_killed(folder: Path) -> Any:
        if loaded == ["teacher.0"]:
            raise KeyboardInterrupt
        loaded.append(folder.parent.name)
        return original(folder)

    monkeypatch.setattr(questions, "load_classifier", load_until_killed)
    with pytest.raises(KeyboardInterrupt):
        asked(models, 0, tmp_path / "killed", shift=0)
    loaded[:] = ["after the kill"]
    resumed = read_answers(asked(models, 0, tmp_path / "killed", shift=0), NUM_POOL)
    assert loaded == ["after the kill", "student.0"]
    assert resumed.keys() == whole.keys()
    assert all((resumed[name] == whole[name]).all() for name in whole)


def test_batch_size_changes_nothing_that_is_reported(models: dict[str, Path], tmp_path: Path) -> None:
    found = []
    for batch_size in (25, 60):
        context = make_context(
            tmp_path / str(batch_size), {"data": models["data"], "teacher": models["teacher.0"]}, batch_size=batch_size
        )
        stage.ask(SignalConfig(shift=0), context)
        found.append(read_answers(context.out, NUM_POOL)["teacher"])
    assert found[0] == pytest.approx(found[1], abs=1e-4)


@pytest.mark.usefixtures("few_scorers", "few_redraws")
def test_worker_processes_change_no_number(tmp_path: Path) -> None:
    models = write_models(tmp_path / "models", HALVES * MIN_POPULATION)
    few = {name: folder for name, folder in models.items() if name == "student.0" or not name.startswith("student.")}
    inputs = inputs_of(few, tmp_path / "asked", shift=0)
    found, spread = [], list[int]()
    with LocalExecutor(lambda num_workers: 1) as executor:

        def workers(function: Callable[[Any], Any], items: Iterable[Any], num_workers: int) -> Iterator[Any]:
            for result in executor.map(function, items, num_workers):
                spread.append(num_workers)
                yield result

        for name, given in (("alone", None), ("spread", workers)):
            context = make_context(tmp_path / name, inputs, batch_size=32, opened={"data": inputs["data"]}, workers=given)
            stage.run(AuditConfig(), context)
            found.append((context.out / "audit.json").read_text())
    assert spread == 3 * [2], "the target's Teacher and Student, and the Teacher of the null control"
    assert found[0] == found[1]


def test_changed_test_split_stops_the_audit(world: dict[str, Path], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for source in world["data"].iterdir():
        (data / source.name).symlink_to(source)
    (data / "card.json").unlink()
    card("0" * 64).write(data)
    with pytest.raises(UserError, match="prepare locked 000000000000"):
        audit(tmp_path / "audit", world | {"data": data})


def test_without_reference_runs_only_accuracy_is_reported(world: dict[str, Path], tmp_path: Path) -> None:
    recorder = Recorder()
    inputs = {name: world[name] for name in ("data", "teacher", "student", "synthetic")}
    opened = {"data": inputs["data"]}
    stage.run(AuditConfig(), make_context(tmp_path, inputs, batch_size=32, recorder=recorder, opened=opened))
    result = AuditResult.read(tmp_path / "out")
    assert not result.measured
    assert value(result.surfaces["student"].cas) >= 0
    assert len(pq.read_table(tmp_path / "out" / "scores.parquet")) == 0
    assert [event["message"] for event in recorder.events if event["event"] == "warning"] == [verdict_text(result.verdict)]


def test_copies_of_members_are_found_by_a_model_that_saw_none(world: dict[str, Path], tmp_path: Path) -> None:
    """The nine synthetic images are the first nine records themselves."""
    copies = audit(tmp_path, world).copies
    assert copies is not None
    members = np.load(world["data"] / MEMBERSHIP_NAME)[0]
    assert {flag.member for flag in copies.flagged} == set(np.flatnonzero(members[:9]))
    assert all(flag.member_distance == pytest.approx(0, abs=1e-5) for flag in copies.flagged)


def test_canaries_are_judged_apart_from_the_other_records(
    models: dict[str, Path], world: dict[str, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for source in models["data"].iterdir():
        (data / source.name).symlink_to(source)
    (data / CANARIES_NAME).unlink()
    kinds = np.repeat(np.array([1, 0, 2], dtype=np.int8), NUM_POOL // 3)
    np.save(data / CANARIES_NAME, kinds)
    guarantee = Guarantee(
        epsilon=0.01, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.0,
        count_noise=2.5, noisy_count=30, noise_draws=1, class_names=["a", "b"],
    )  # fmt: skip
    write_adapter_card(tmp_path / "adapter", guarantee)
    result = audit(tmp_path / "audit", world | {"data": data, "adapter": tmp_path / "adapter"})
    assert result.guarantee is not None
    assert result.guarantee.claimed == guarantee
    assert isinstance(result.guarantee.bound, OneRunBound)
    assert result.guarantee.surface == "student"  # the Teacher, who knows the coins, is not covered
    assert not result.refuted
    assert result.declared.num_members + result.declared.num_non_members == NUM_POOL // 3
    scored = pq.read_table(tmp_path / "audit" / "out" / "scores.parquet", columns=["record"]).column("record").to_numpy()
    assert set(scored) == set(range(NUM_POOL // 3, 2 * NUM_POOL // 3))
    assert set(result.canaries) == {"teacher", "student"}
    found = result.canaries["teacher"]["natural"]
    assert isinstance(found, OneRunBound)
    assert found.value > 0  # the Teacher knows its members by heart
    assert not audit(tmp_path / "plain", world).canaries
    judged = {name: world[name] for name in ("synthetic", "teacher", "student")}
    alone = []
    for kind in (SignalConfig, CanarySignalConfig):  # all records, and canaries alone, by the target without references
        asking = make_context(tmp_path / kind.__name__, {**judged, "data": data}, batch_size=32)
        stage.ask(kind(shift=0), asking)
        inputs = {**judged, "data": data, "adapter": tmp_path / "adapter", "signals.0": asking.out}
        alone.append(audit(tmp_path / f"judged {kind.__name__}", inputs, num_reference_runs=0))
    assert alone[0] == alone[1]
    assert not alone[1].measured
    assert set(alone[1].canaries) == {"teacher", "student"}
