"""teach: trains on one run's members, never opens the test split, leaves what the next stages read."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from pydantic import ValidationError

from tckr.artifacts.membership import MEMBERSHIP_NAME, VALIDATION_RUN
from tckr.data.images import encode_png
from tckr.data.shards import write_shard
from tckr.errors import UserError
from tckr.models.classifiers import load_classifier, predict_logits
from tckr.stages.teach import stage
from tckr.stages.teach.balance import is_uneven
from tckr.stages.teach.config import TeachConfig
from tckr.stages.teach.records import read_records
from tckr.stages.teach.stage import run
from tckr.training.config import AugmentConfig
from tests.tiny_artifacts import Recorder, make_context
from tests.training.colours import COLOURS, assert_same_training, draw_colours, note_gpus, write_prepared, write_vit

FAST = TeachConfig(epochs=4, batch_size=8, learning_rate=3e-3, augment=AugmentConfig(shift=0.05))


def test_the_teacher_learns_without_the_test_split(tmp_path):
    data = write_prepared(tmp_path / "data")
    shutil.rmtree(data / "test")
    recorder = Recorder()
    run(FAST, make_context(tmp_path, {"data": data}, recorder=recorder))
    out = tmp_path / "out"
    teacher = load_classifier(out / "model")
    assert teacher.class_names == COLOURS
    images, labels = draw_colours(60, seed=9)
    assert (predict_logits(teacher, images, batch_size=60).argmax(axis=1) == labels).mean() > 0.6
    history = json.loads((out / "history.json").read_text())
    assert [record["epoch"] for record in history] == [0, 1, 2, 3]
    assert set(history[0]) == {"epoch", "loss", "validation_accuracy", "learning_rate"}
    assert sum(recorder.advanced) == 4
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["epochs"], metrics["num_train"]) == (4, 30)


@pytest.mark.parametrize("row", [0, 1])
def test_only_the_members_of_the_run_are_learned(tmp_path, row):
    data = write_prepared(tmp_path / "data")
    members, validation = read_records(data, tmp_path, FAST.model_copy(update={"selection": "best"}), run=row)
    expected, labels = draw_colours(60, seed=0)
    assert np.array_equal(members.images[members.rows], expected[row::2])
    assert np.array_equal(members.targets, labels[row::2])
    assert len(validation) == 12


@pytest.mark.parametrize("changes", [{}, {"selection": "best"}, {"patience": 3}])
def test_without_selection_only_the_target_is_validated(tmp_path, changes):
    data, config = write_prepared(tmp_path / "data"), FAST.model_copy(update=changes)
    validated = [read_records(data, tmp_path, config, run=row)[1] is not None for row in (0, 1)]
    assert validated == [True, bool(changes)]


def uneven_task(tmp_path, balance):
    """Return what a Teacher learns of 24 red, 3 green and 3 blue images."""
    counts, pool = {0: 24, 1: 3, 2: 3}, draw_colours(80, seed=0)
    rows = np.concatenate([np.flatnonzero(pool[1] == label)[:count] for label, count in counts.items()])
    data = write_prepared(tmp_path / str(balance), num_pool=2, num_validation=12)
    shutil.rmtree(data / "pool")
    columns = {"image": [encode_png(pool[0][row]) for row in rows], "label": pool[1][rows], "record": np.arange(30)}
    write_shard(data / "pool" / "part-00000.parquet", columns, COLOURS)
    np.save(data / MEMBERSHIP_NAME, np.ones((1, 30), dtype=bool))
    config = FAST.model_copy(update={"balance": balance})
    return stage._task("cpu", config=config, data=data, cache=data, run=0, seed=0)


def test_a_teacher_of_unequal_classes_learns_as_if_they_were_more_equally_frequent(tmp_path):
    task, half = uneven_task(tmp_path, 1.0), uneven_task(tmp_path, 0.5)
    assert task.balanced
    assert half.balanced
    assert np.allclose(task.loss.log_shares.exp().numpy(), [0.8, 0.1, 0.1])
    assert np.allclose(half.loss.log_shares.numpy(), task.loss.log_shares.numpy() / 2)
    off = uneven_task(tmp_path, 0.0)
    assert (off.balanced, off.loss.log_shares) == (False, None)


@pytest.mark.parametrize(("counts", "uneven"), [((10, 20), False), ((10, 21), True), ((0, 2), False), ((0, 3), True)])
def test_classes_are_evened_out_where_the_largest_has_more_than_twice_the_images_of_the_smallest(counts, uneven):
    assert is_uneven(np.repeat([0, 1], counts), 2) is uneven


def test_classes_of_nearly_equal_size_are_learned_as_they_are(tmp_path):
    task = stage._task("cpu", config=FAST, data=write_prepared(tmp_path / "data"), cache=tmp_path, run=0, seed=0)
    assert (FAST.balance, task.balanced, task.loss.log_shares) == (0.5, False, None)


def test_the_null_control_learns_no_record_of_the_pool(tmp_path):
    data = write_prepared(tmp_path / "data")
    shutil.rmtree(data / "pool")
    config = FAST.null_control()
    learned, validation = read_records(data, tmp_path, config, run=VALIDATION_RUN)
    assert validation is None
    assert np.array_equal(learned.images[learned.rows], draw_colours(12, seed=1)[0])
    assert (config.selection, config.epochs) == ("last", FAST.epochs)


def test_the_positive_control_has_nothing_that_hinders_memorizing():
    config = TeachConfig(epochs=30, patience=3).memorizing()
    assert (config.weight_decay, config.label_smoothing, config.selection, config.patience) == (0, 0, "last", None)
    assert config.augment == AugmentConfig.none()
    assert type(config) is TeachConfig
    assert config.epochs >= 100


def test_selection_without_validation_images_is_refused_with_advice(tmp_path):
    data = write_prepared(tmp_path / "data", num_validation=0)
    with pytest.raises(UserError, match=r"no validation images.*teach\.selection=last"):
        read_records(data, tmp_path, FAST.model_copy(update={"selection": "best"}), run=0)
    _, validation = read_records(data, tmp_path, FAST, run=0)
    assert validation is None


@pytest.mark.parametrize("settings", [{"epoch": 3}, {"train_on": "validation"}, {"null_control": True}])
def test_unknown_settings_are_refused_and_the_null_control_is_no_setting(settings):
    with pytest.raises(ValidationError, match="Extra inputs"):
        TeachConfig.model_validate(settings)


ENSEMBLE = FAST.model_copy(update={"num_teachers": 3, "epochs": 2})


def test_an_ensemble_is_its_members_and_the_first_is_the_teacher_that_would_be_alone(tmp_path):
    data = write_prepared(tmp_path / "data")
    recorder = Recorder()
    run(ENSEMBLE, make_context(tmp_path, {"data": data}, recorder=recorder))
    assert sum(recorder.advanced) == 6
    ensemble = load_classifier(tmp_path / "out" / "model")
    assert len(ensemble.members) == 3
    run(ENSEMBLE.model_copy(update={"num_teachers": 1}), make_context(tmp_path / "alone", {"data": data}))
    images = draw_colours(6)[0]
    alone = predict_logits(load_classifier(tmp_path / "alone" / "out" / "model"), images, batch_size=6)
    each = [predict_logits(member, images, batch_size=6) for member in ensemble.members]
    assert np.array_equal(each[0], alone)
    assert all(np.abs(each[a] - each[b]).max() > 1e-2 for a, b in [(0, 1), (0, 2), (1, 2)])
    for file in ("history.json", "metrics.json"):
        assert (tmp_path / "out" / file).exists()


def test_a_killed_ensemble_goes_on_with_the_member_it_was_at(tmp_path, monkeypatch):
    data = write_prepared(tmp_path / "data")
    trained = []
    fit = stage.fit_together

    def dies_in_the_second(*arguments, **named):
        trained.append(named["seed"])
        if len(trained) == 2:
            raise KeyboardInterrupt
        return fit(*arguments, **named)

    monkeypatch.setattr(stage, "fit_together", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(ENSEMBLE, make_context(tmp_path, {"data": data}))
    monkeypatch.undo()
    recorder = Recorder()
    run(ENSEMBLE, make_context(tmp_path, {"data": data}, recorder=recorder))
    assert sum(recorder.advanced) == 4
    run(ENSEMBLE, make_context(tmp_path / "whole", {"data": data}))
    for member in (1, 2, 3):
        one, other = (folder / f"out/model/member-{member}/model.safetensors" for folder in (tmp_path, tmp_path / "whole"))
        assert one.read_bytes() == other.read_bytes()


def test_teachers_take_the_named_models_in_turn():
    config = TeachConfig(num_teachers=4, model="a", other_models=["b", "c"])
    assert config.models() == ["a", "b", "c", "a"]
    with pytest.raises(ValidationError, match="set num_teachers to 3 or more"):
        TeachConfig(num_teachers=2, other_models=["b", "c"])


@pytest.mark.usefixtures("one_thread")
def test_two_processes_teach_what_one_teaches(tmp_path):
    data = write_prepared(tmp_path / "data")
    vit = {"model": str(write_vit(tmp_path / "vit")), "pretrained": False, "image_size": 32}
    config = FAST.model_copy(update=vit | {"epochs": 1})
    for gpus in (1, 2):
        recorder = Recorder()
        run(config, make_context(tmp_path / str(gpus), {"data": data}, gpus=gpus, recorder=recorder))
        assert ({"event": "training", "processes": 2} in recorder.events) == (gpus == 2)
    assert_same_training(tmp_path / "2" / "out", tmp_path / "1" / "out")


def test_the_teacher_of_a_reference_run_has_one_gpu(tmp_path, monkeypatch):
    data = write_prepared(tmp_path / "data")
    given = note_gpus(monkeypatch, stage)
    for row in (0, 1):
        context = make_context(tmp_path / str(row), {"data": data}, run=row, gpus=2)
        run(FAST.model_copy(update={"epochs": 1}), context)
    assert given == [2, 1]
