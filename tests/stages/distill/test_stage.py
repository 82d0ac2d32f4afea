"""distill: learns from synthetic images and labels alone, in three ways."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification

from tckr.artifacts.soft_labels import LabelRecipe, SoftLabels, read_soft_labels
from tckr.data.images import ImageSet, load_images
from tckr.data.views import make_views
from tckr.errors import UserError
from tckr.models.classifiers import build_classifier, load_classifier, predict_logits
from tckr.models.classifiers.preprocessing import ClassifierSpec, write_spec
from tckr.stages.distill import stage, targets
from tckr.stages.distill.config import DistillConfig
from tckr.stages.distill.disowned import leave_out
from tckr.stages.distill.stage import run
from tckr.stages.distill.targets import ViewedData, soft_targets, split_synthetic
from tckr.stages.label.config import LabelConfig
from tckr.stages.label.stage import run as label
from tckr.training.config import AugmentConfig
from tests.tiny_artifacts import Recorder, make_context
from tests.training.colours import COLOURS, assert_same_training, draw_colours, note_gpus, write_labels, write_synthetic

FAST = DistillConfig(
    epochs=4, selection="best", batch_size=8, learning_rate=3e-3, augment=AugmentConfig(shift=0.05), validation_fraction=0.25
)


def soft_labels_of(labels: np.ndarray) -> np.ndarray:
    """Return 0.8 for the label and 0.1 for the others."""
    return (0.1 + 0.7 * np.eye(3)[labels]).astype(np.float16)


def stored_labels(soft_labels, indices, class_names=COLOURS):
    """Return labels as they are read from a file."""
    recipe = LabelRecipe()
    return SoftLabels(indices=indices, stored=soft_labels[:, None], classes=None, class_names=class_names, recipe=recipe)


def split(images, taught, config, seed=0):
    """Split images whose Teacher sees the classes `taught`."""
    targets = soft_targets(images, COLOURS, stored_labels(soft_labels_of(taught), images.ids), config)
    return split_synthetic(images, targets, np.arange(len(images)), config, seed)


def loss_of(folder, config, inputs):
    """Return the Student's last training loss."""
    run(config, make_context(folder, inputs))
    return json.loads((folder / "out" / "history.json").read_text())[-1]["loss"]


def write_vit(folder):
    """Save a random ViT of a few thousand weights for 24 px."""
    config = ViTConfig(
        image_size=24, patch_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    ViTForImageClassification(config).save_pretrained(folder)
    write_spec(folder, ClassifierSpec(mean=(0.5,) * 3, std=(0.5,) * 3, input_size=(24, 24)))
    return folder


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


@pytest.mark.parametrize("selection", ["last", "best"])
def test_without_selection_the_student_of_a_reference_run_is_not_validated_and_learns_the_same_images(
    tmp_path, inputs, selection
):
    config, histories = FAST.model_copy(update={"epochs": 2, "selection": selection}), []
    for row in (0, 1):
        run(config, make_context(tmp_path / str(row), inputs, run=row))
        histories.append(json.loads((tmp_path / str(row) / "out" / "history.json").read_text()))
    measured = [[record.pop("validation_accuracy") is not None for record in history] for history in histories]
    assert measured == [[True, True], [selection == "best"] * 2]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_the_student_learns_from_synthetic_images_and_labels_alone(tmp_path, inputs, labels):
    context = make_context(tmp_path, inputs, recorder=(recorder := Recorder()))  # no input holds a real image
    run(FAST.model_copy(update={"labels": labels}), context)
    assert ("temperature" in recorder.became) == (labels == "soft"), "what null became"
    assert recorder.became["epochs"] == FAST.epochs
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


def test_a_teacher_that_is_loaded_during_the_training_leaves_its_random_numbers_alone(tmp_path):
    """A Student trained anew and one that goes on from a checkpoint load the Teacher at different steps."""
    build_classifier("embedded:resnet", 3, COLOURS, seed=1).save(tmp_path)
    before = torch.get_rng_state()
    stage.AskedTeacher(tmp_path, COLOURS, "cpu")(torch.zeros(1, 3, 24, 24))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_distill_what_one_distills_and_only_they_load_the_teacher(tmp_path, inputs, monkeypatch):
    build_classifier("embedded:resnet", 3, COLOURS, seed=1).save(tmp_path / "teacher" / "model")
    inputs |= {"teacher": tmp_path / "teacher"}
    changes = {"model": str(write_vit(tmp_path / "vit")), "labels": "online", "hard_weight": 0.3, "epochs": 1}
    for gpus in (1, 2):
        if gpus == 2:  # this process only waits; the others import the module anew
            monkeypatch.setattr(stage, "load_classifier", lambda folder: pytest.fail("a Teacher of no use"))
        recorder = Recorder()
        run(FAST.model_copy(update=changes), make_context(tmp_path / str(gpus), inputs, gpus=gpus, recorder=recorder))
        assert ({"event": "training", "processes": 2} in recorder.events) == (gpus == 2)
    assert_same_training(tmp_path / "2" / "out", tmp_path / "1" / "out")


def test_the_student_of_a_reference_run_has_one_gpu(tmp_path, inputs, monkeypatch):
    given = note_gpus(monkeypatch, stage)
    for row in (0, 1):
        run(FAST.model_copy(update={"epochs": 1}), make_context(tmp_path / str(row), inputs, run=row, gpus=2))
    assert given == [2, 1]


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
    labels = stored_labels(stored, indices=np.array([7, 5, 6]), class_names=["b", "a"])
    targets = soft_targets(images, ["a", "b"], labels, DistillConfig())
    assert np.array_equal(targets[np.arange(3)], stored[[1, 2, 0]][:, ::-1])
    assert np.array_equal(targets.select(np.array([2, 0]))[np.arange(2)], stored[[0, 1]][:, ::-1])
    assert targets.first_choices().tolist() == [0, 0, 0]


def test_the_held_out_part_is_disjoint_depends_on_the_seed_and_agrees_with_the_teacher():
    images, labels = draw_colours(40)
    image_set = ImageSet(images, labels, np.arange(40))
    taught = (labels + 1) % 3  # the Teacher assigns another class than that of the prompt
    learned, held_out = split(image_set, taught, FAST)
    assert sorted([*learned.rows, *held_out.rows]) == list(range(40))
    assert len(held_out) == 10
    assert np.array_equal(held_out.targets, taught[held_out.rows])
    assert np.array_equal(learned.targets[np.arange(30)], soft_labels_of(taught)[learned.rows])
    assert not np.array_equal(held_out.rows, split(image_set, taught, FAST, seed=1)[1].rows)
    learned, held_out = split(image_set, taught, FAST.model_copy(update={"labels": "hard"}))
    assert np.array_equal(learned.targets, labels[learned.rows])
    assert np.array_equal(held_out.targets, labels[held_out.rows])


def test_nothing_to_select_on_is_refused_with_advice():
    images, labels = draw_colours(3)
    image_set = ImageSet(images, labels, np.arange(3))
    with pytest.raises(UserError, match=r"validation_fraction=0\.1 of 3 synthetic images"):
        split(image_set, labels, DistillConfig(selection="best"))
    with pytest.raises(UserError, match=r"validation_fraction=0\.99 of 3 synthetic images leaves none to train on"):
        split(image_set, labels, DistillConfig(validation_fraction=0.99))
    learned, held_out = split(image_set, labels, DistillConfig(validation_fraction=0, selection="last"))
    assert (len(learned), held_out) == (3, None)


@pytest.mark.parametrize("top_k", [None, 2])
def test_the_student_sees_the_very_views_that_the_teacher_labelled(tmp_path, top_k, monkeypatch):
    """From the label stage's file alone: what the Teacher says of each image that is trained on is its target."""
    synthetic = write_synthetic(tmp_path / "synthetic", count=24)
    teacher = build_classifier("embedded:resnet", 3, ["blue", "red", "green"], seed=1)
    teacher.save(tmp_path / "teacher" / "model")
    folders = {"synthetic": synthetic, "teacher": tmp_path / "teacher"}
    label(LabelConfig(views=3, top_k=top_k, temperature=2.0), make_context(tmp_path / "label", folders, batch_size=5))
    stored = read_soft_labels(tmp_path / "label" / "out", tmp_path)
    images = load_images(synthetic / "data", None, id_column="index")
    wanted = soft_targets(images, COLOURS, stored, DistillConfig())
    learned, _ = split_synthetic(images, wanted, np.arange(24), DistillConfig(), seed=0)
    assert isinstance(learned, ViewedData)
    seen, shown = {}, []
    monkeypatch.setattr(targets, "make_views", lambda *given: shown.append(given[1:3]) or make_views(*given))
    for epoch in range(3):
        batches = learned.batches(batch_size=7, seed=0, epoch=epoch, num_classes=3, device="cpu")
        for pixels, wanted in batches:
            said = (teacher.eval()(pixels).detach()[:, [1, 2, 0]] / 2).softmax(dim=1)
            np.testing.assert_allclose(said, wanted, atol=2e-3)
            for row, pixel in zip(wanted.tolist(), pixels.sum(dim=(1, 2, 3)).tolist(), strict=True):
                seen.setdefault(round(pixel, 2), row)
    assert len(seen) == 3 * len(learned)  # in three epochs every image came in each of its views
    first_epoch = shown[: len(shown) // 3]
    for colour in range(3):  # and in each of them every class came in all views
        assert {view for indices, views in first_epoch for view in views[indices % 3 == colour]} == {0, 1, 2}


def test_a_student_of_views_has_no_augmentation_of_its_own(tmp_path):
    synthetic = write_synthetic(tmp_path / "synthetic")
    build_classifier("embedded:resnet", 3, COLOURS, seed=1).save(tmp_path / "teacher" / "model")
    label(LabelConfig(views=3), make_context(tmp_path / "label", {"synthetic": synthetic, "teacher": tmp_path / "teacher"}))
    losses = {
        shift: loss_of(
            tmp_path / str(shift),
            FAST.model_copy(update={"augment": AugmentConfig(shift=shift)}),
            {"synthetic": synthetic, "labels": tmp_path / "label" / "out"},
        )
        for shift in (0.0, 0.3)
    }
    assert losses[0.0] == losses[0.3]
    recorder = Recorder()
    folders = {"synthetic": synthetic, "labels": tmp_path / "label" / "out"}
    run(
        FAST.model_copy(update={"augment": AugmentConfig(flip=True)}),
        make_context(tmp_path / "told", folders, recorder=recorder),
    )
    assert any("distill.augment is set but has no effect" in str(event) for event in recorder.events)


def test_hard_labels_have_the_configured_weight(tmp_path, inputs):
    """Labels that contradict the prompts are overruled by them when they have the most weight."""
    labels = draw_colours(48, seed=7)[1]
    wrong = write_labels(tmp_path / "wrong", soft_labels_of((labels + 1) % 3), np.arange(48), COLOURS)
    for weight, right in ((0.0, False), (0.9, True)):
        config = FAST.model_copy(update={"hard_weight": weight, "selection": "last", "temperature": 2.0})
        run(config, make_context(tmp_path / str(weight), inputs | {"labels": wrong}))
        assert (accuracy(tmp_path / str(weight)) > 0.6) == right


def test_the_temperature_is_that_of_the_stored_labels_unless_another_is_set(tmp_path):
    synthetic = write_synthetic(tmp_path / "synthetic")
    build_classifier("embedded:resnet", 3, COLOURS, seed=1).save(tmp_path / "teacher" / "model")
    losses = {}
    for stored in (1.0, 4.0):
        folder = tmp_path / f"label{stored}"
        label(
            LabelConfig(temperature=stored), make_context(folder, {"synthetic": synthetic, "teacher": tmp_path / "teacher"})
        )
        for asked in (None, 4.0):
            config = FAST.model_copy(update={"temperature": asked, "epochs": 1})
            losses[stored, asked] = loss_of(
                tmp_path / f"{stored}{asked}", config, {"synthetic": synthetic, "labels": folder / "out"}
            )
    assert losses[4.0, None] == losses[4.0, 4.0]
    assert losses[1.0, 4.0] == pytest.approx(losses[4.0, 4.0], rel=1e-3)  # re-tempered
    assert losses[1.0, None] != pytest.approx(losses[4.0, 4.0], rel=1e-1)


def test_images_that_the_teacher_disowns_are_left_out_counted_and_listed(tmp_path):
    labels = draw_colours(48, seed=7)[1]
    disowned = np.arange(48)[labels == 1][:5]
    taught = labels.copy()
    taught[disowned] = 2
    folders = {
        "synthetic": write_synthetic(tmp_path / "synthetic"),
        "labels": write_labels(tmp_path / "labels", soft_labels_of(taught), np.arange(48), COLOURS),
    }
    recorder = Recorder()
    run(FAST.model_copy(update={"min_teacher_probability": 0.5}), make_context(tmp_path, folders, recorder=recorder))
    found = json.loads((tmp_path / "out" / "left_out.json").read_text())
    assert found["indices"] == disowned.tolist()
    assert found["classes"] == {
        "red": {"n": 16, "left_out": 0},
        "green": {"n": 16, "left_out": 5},
        "blue": {"n": 16, "left_out": 0},
    }
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["num_train"] == 43 - round(0.25 * 43)
    assert {"event": "left_out", "images": 5, "kept": 43} in recorder.events
    run(FAST, make_context(tmp_path / "all", folders))
    assert not (tmp_path / "all" / "out" / "left_out.json").exists()


def test_a_class_that_would_lose_all_its_images_stops_the_run_with_advice():
    images, labels = draw_colours(6)
    own = np.where(labels == 1, 0.3, 0.9)
    with pytest.raises(UserError, match=r"none of the 2 images generated for class 'green'.*at most 0\.300\. Lower"):
        leave_out(own, ImageSet(images, labels, np.arange(6)), COLOURS, 0.5)


def test_the_audits_variants_of_the_settings():
    config = DistillConfig(labels="online", hard_weight=0.3, min_teacher_probability=0.4, epochs=7)
    attacker = config.attacker()
    assert (attacker.labels, attacker.hard_weight, attacker.min_teacher_probability) == ("soft", 0.0, 0.0)
    assert attacker.epochs == 7
    memorizing = config.memorizing()
    assert (memorizing.labels, memorizing.hard_weight, memorizing.min_teacher_probability) == ("soft", 0.0, 0.0)
    assert memorizing.augment == AugmentConfig.none()
    null = config.null_control()
    assert (null.labels, null.hard_weight, null.min_teacher_probability) == ("online", 0.3, 0.0)


def test_the_student_may_be_of_another_architecture_and_input_size_than_the_teacher(tmp_path):
    """An embedded ResNet of 32 px teaches, stored and online, a ViT that takes 24 px."""
    synthetic = write_synthetic(tmp_path / "synthetic")
    build_classifier("embedded:resnet", 3, ["blue", "red", "green"], seed=1).save(tmp_path / "teacher" / "model")
    label(LabelConfig(), make_context(tmp_path / "label", {"synthetic": synthetic, "teacher": tmp_path / "teacher"}))
    folders = {"synthetic": synthetic, "labels": tmp_path / "label" / "out", "teacher": tmp_path / "teacher"}
    model = write_vit(tmp_path / "vit")
    for labels in ("soft", "online"):
        config = FAST.model_copy(update={"model": str(model), "labels": labels, "epochs": 1})
        run(config, make_context(tmp_path / labels, folders))
        student = load_classifier(tmp_path / labels / "out" / "model")
        assert (student.network.config.model_type, student.spec.input_size) == ("vit", (24, 24))
        assert student.class_names == COLOURS


def test_a_length_in_steps_becomes_complete_epochs_of_the_set():
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
