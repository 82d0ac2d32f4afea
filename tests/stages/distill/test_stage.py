"""distill: learns from synthetic images and labels alone, in three ways."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tckr.data.images import ImageSet
from tckr.errors import UserError
from tckr.models.classifiers import build_classifier, load_classifier, predict_logits
from tckr.stages.distill.config import DistillConfig
from tckr.stages.distill.stage import run
from tckr.stages.distill.targets import align_soft_labels, split_synthetic
from tckr.training.config import AugmentConfig
from tests.tiny_artifacts import make_context
from tests.training.colours import COLOURS, draw_colours, write_labels, write_synthetic

FAST = DistillConfig(
    epochs=4, selection="best", batch_size=8, learning_rate=3e-3, augment=AugmentConfig(shift=0.05), validation_fraction=0.25
)


def soft_labels_of(labels: np.ndarray) -> np.ndarray:
    """Return 0.8 for the label and 0.1 for the others."""
    return (0.1 + 0.7 * np.eye(3)[labels]).astype(np.float16)


@pytest.fixture
def inputs(tmp_path):
    """48 images with soft labels; the label file is in another order of images and of classes."""
    labels = draw_colours(48, seed=7)[1]
    order = np.random.default_rng(0).permutation(48)
    soft_labels = soft_labels_of(labels)[order][:, [2, 0, 1]]
    return {
        "synthetic": write_synthetic(tmp_path / "synthetic"),
        "labels": write_labels(tmp_path / "labels", soft_labels, order, ["blue", "red", "green"]),
    }


def accuracy(folder):
    student = load_classifier(folder / "out" / "model")
    assert student.class_names == COLOURS
    images, labels = draw_colours(60, seed=9)
    return (predict_logits(student, images, batch_size=60).argmax(axis=1) == labels).mean()


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_the_student_learns_from_synthetic_images_and_labels_alone(tmp_path, inputs, labels):
    run(FAST.model_copy(update={"labels": labels}), make_context(tmp_path, inputs))  # no input holds a real image
    assert accuracy(tmp_path) > 0.6
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["num_train"] == 36
    assert json.loads((tmp_path / "out" / "history.json").read_text())[-1]["validation_accuracy"] > 0.6


def test_online_labels_come_from_the_teacher(tmp_path, inputs):
    with pytest.raises(KeyError, match="teacher"):
        run(FAST.model_copy(update={"labels": "online"}), make_context(tmp_path, inputs))
    build_classifier("embedded:resnet", 3, ["green", "blue", "red"], seed=1).save(tmp_path / "teacher" / "model")
    config = FAST.model_copy(update={"labels": "online", "epochs": 1})
    run(config, make_context(tmp_path, inputs | {"teacher": tmp_path / "teacher"}))
    loss = json.loads((tmp_path / "out" / "history.json").read_text())[0]["loss"]
    run(config.model_copy(update={"labels": "soft"}), make_context(tmp_path / "soft", inputs))
    assert loss != json.loads((tmp_path / "soft" / "out" / "history.json").read_text())[0]["loss"]


def test_online_labels_see_no_mixup(tmp_path, inputs):
    build_classifier("embedded:resnet", 3, COLOURS, seed=1).save(tmp_path / "teacher" / "model")
    inputs |= {"teacher": tmp_path / "teacher"}
    histories = []
    for alpha in (0.0, 5.0):
        config = FAST.model_copy(update={"labels": "online", "epochs": 1, "augment": AugmentConfig(mixup_alpha=alpha)})
        run(config, make_context(tmp_path / str(alpha), inputs))
        histories.append(json.loads((tmp_path / str(alpha) / "out" / "history.json").read_text()))
    assert histories[0] == histories[1]


def test_soft_labels_find_their_images_by_index_and_their_classes_by_name():
    images = ImageSet(np.zeros((3, 1, 1, 3), np.uint8), np.zeros(3, np.int64), np.array([5, 6, 7]))
    stored = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], dtype=np.float16)  # of indices 7, 5, 6
    aligned = align_soft_labels(images, np.array([7, 5, 6]), stored, columns=np.array([1, 0]))
    assert np.array_equal(aligned, stored[[1, 2, 0]][:, ::-1])


def test_the_held_out_part_is_disjoint_depends_on_the_seed_and_agrees_with_the_teacher():
    images, labels = draw_colours(40)
    image_set = ImageSet(images, labels, np.arange(40))
    taught = (labels + 1) % 3  # the Teacher sees another class than the prompt asked for
    learned, held_out = split_synthetic(image_set, soft_labels_of(taught), FAST, seed=0)
    assert sorted([*learned.rows, *held_out.rows]) == list(range(40))
    assert len(held_out) == 10
    assert np.array_equal(held_out.targets, taught[held_out.rows])
    assert np.array_equal(learned.targets, soft_labels_of(taught)[learned.rows])
    assert not np.array_equal(held_out.rows, split_synthetic(image_set, soft_labels_of(taught), FAST, seed=1)[1].rows)
    hard = FAST.model_copy(update={"labels": "hard"})
    learned, held_out = split_synthetic(image_set, soft_labels_of(taught), hard, seed=0)
    assert np.array_equal(learned.targets, labels[learned.rows])
    assert np.array_equal(held_out.targets, labels[held_out.rows])


def test_nothing_to_select_on_is_refused_with_advice():
    images, labels = draw_colours(3)
    image_set = ImageSet(images, labels, np.arange(3))
    with pytest.raises(UserError, match=r"validation_fraction=0\.1 of 3 synthetic images"):
        split_synthetic(image_set, soft_labels_of(labels), DistillConfig(selection="best"), seed=0)
    with pytest.raises(UserError, match=r"validation_fraction=0\.99 of 3 synthetic images leaves none to learn"):
        split_synthetic(image_set, soft_labels_of(labels), DistillConfig(validation_fraction=0.99), seed=0)
    config = DistillConfig(validation_fraction=0, selection="last")
    learned, held_out = split_synthetic(image_set, soft_labels_of(labels), config, seed=0)
    assert (len(learned), held_out) == (3, None)


def test_a_length_in_steps_becomes_whole_epochs_of_the_set():
    config = DistillConfig(steps=600, batch_size=64)
    assert [config.resolved(num_images).epochs for num_images in (58, 582, 11_646, 1_000_000)] == [600, 60, 3, 1]
    assert config.resolved(582).steps is None
    assert DistillConfig(epochs=7).resolved(582).epochs == 7
    assert config.memorizing().resolved(582).epochs == 120


def test_a_student_trained_by_steps_is_the_one_trained_by_as_many_epochs(tmp_path, inputs):
    run(FAST.model_copy(update={"steps": 20}), make_context(tmp_path / "steps", inputs))  # 36 images: 5 steps per epoch
    run(FAST, make_context(tmp_path / "epochs", inputs))
    first, second = ((tmp_path / name / "out" / "history.json").read_text() for name in ("steps", "epochs"))
    assert first == second
