"""What the training loop promises: it learns, it is a function of its seed, and a killed training ends the same."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from transformers import ResNetConfig

from tckr.errors import UserError
from tckr.models.classifiers import build_classifier, predict_logits
from tckr.training.batches import TrainingData
from tckr.training.checkpoint import BEST, read_state
from tckr.training.config import AugmentConfig
from tckr.training.fit import Task, fit, measure_accuracy
from tckr.training.losses import CrossEntropy
from tests.training.colours import COLOURS, FAST, colour_data


class KilledError(Exception):
    """Stands in for a kill signal."""


@dataclass
class KilledAt:
    """A loss that dies at one of its calls."""

    call: int
    calls: int = 0

    def __call__(self, logits, targets, images):
        self.calls += 1
        if self.calls == self.call:
            raise KilledError
        return CrossEntropy()(logits, targets, images)


def train(
    folder,
    config=FAST,
    *,
    loss=None,
    seed=5,
    data=None,
    validation="own",
    checkpoint_seconds=0.0,
    on_epoch=lambda _: None,
):
    folder.mkdir(exist_ok=True)
    model = build_classifier("embedded:resnet", 3, COLOURS, seed=1)
    data = data or colour_data(40)
    validation = colour_data(12, seed=1) if validation == "own" else validation
    result = fit(
        Task(model, data, validation, loss or CrossEntropy(), config),
        seed=seed,
        device="cpu",
        scratch=folder,
        on_epoch=on_epoch,
        checkpoint_seconds=checkpoint_seconds,
    )
    return model, result


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_training_learns(tmp_path):
    untrained = measure_accuracy(build_classifier("embedded:resnet", 3, COLOURS, seed=1), colour_data(60, seed=2), 32)
    model, result = train(tmp_path / "a", FAST.model_copy(update={"epochs": 6}))
    assert untrained < 0.7
    assert measure_accuracy(model, colour_data(60, seed=2), 32) > 0.9
    assert result.history[-1].loss < result.history[0].loss
    assert result.num_train == 40


def test_balanced_accuracy_is_the_mean_over_the_classes_that_there_are():
    model = build_classifier("embedded:resnet", 3, COLOURS, seed=1)
    data = colour_data(60, seed=2)
    # 20 images of one class, 3 of another, none of the third
    kept = np.flatnonzero((data.targets == 0) | ((data.targets == 1) & (np.arange(60) < 9)))
    uneven = TrainingData(data.images, kept, data.targets[kept])
    right = predict_logits(model, data.images, rows=kept, batch_size=60).argmax(axis=1) == uneven.targets
    by_class = [right[uneven.targets == label].mean() for label in (0, 1)]
    assert measure_accuracy(model, uneven, 7) == pytest.approx(right.mean())
    assert measure_accuracy(model, uneven, 7, balanced=True) == pytest.approx(np.mean(by_class))
    assert by_class[0] != by_class[1]


def assert_same_end(one, other):
    assert one[1].history == other[1].history
    assert one[1].best_epoch == other[1].best_epoch
    assert_equal_weights(weights(one[0]), weights(other[0]))


# 3 batches an epoch: call 2 dies in the first epoch, 5 in the second, 12 in the last one
@pytest.mark.parametrize("call", [2, 5, 12])
@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1000.0])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, call, checkpoint_seconds):
    whole = train(tmp_path / "whole", checkpoint_seconds=checkpoint_seconds)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", loss=KilledAt(call), checkpoint_seconds=checkpoint_seconds)
    assert len(read_state(tmp_path / "killed").history) == (0 if checkpoint_seconds else (call - 1) // 3)
    assert_same_end(train(tmp_path / "killed"), whole)


def test_a_training_killed_again_and_again_ends_with_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole")
    for _ in range(3):
        with pytest.raises(KilledError):
            train(tmp_path / "killed", loss=KilledAt(5))
    assert len(read_state(tmp_path / "killed").history) == 3
    assert_same_end(train(tmp_path / "killed"), whole)


def test_kept_weights_of_an_epoch_that_the_checkpoint_does_not_know_change_nothing(tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(KilledError):
        train(tmp_path / "killed", loss=KilledAt(5))
    shutil.copy(tmp_path / "whole" / BEST, tmp_path / "killed")  # as a kill between the two files leaves them
    assert_same_end(train(tmp_path / "killed"), whole)


@pytest.mark.parametrize(("checkpoint_seconds", "written"), [(0.0, [1, 2, 3, 4]), (1000.0, [0, 0, 0, 4])])
def test_checkpoints_are_at_most_as_frequent_as_requested_and_the_last_epoch_has_one(tmp_path, checkpoint_seconds, written):
    seen = []

    def look(record):
        seen.append(len(read_state(tmp_path).history))

    train(tmp_path, checkpoint_seconds=checkpoint_seconds, on_epoch=look)
    assert seen == written


def test_a_finished_training_is_not_trained_again(tmp_path):
    model, _ = train(tmp_path / "a")
    again, _ = train(tmp_path / "a", loss=KilledAt(1))
    assert_equal_weights(weights(again), weights(model))


def test_equal_seeds_give_equal_weights_and_the_callers_generator_is_left_alone(tmp_path):
    before = torch.get_rng_state()
    one, other, third = (train(tmp_path / name, seed=seed)[0] for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert torch.equal(torch.get_rng_state(), before)
    assert_equal_weights(weights(one), weights(other))
    name = "network.classifier.1.weight"
    assert not torch.equal(weights(one)[name], weights(third)[name])


def test_the_kept_weights_are_those_of_the_best_epoch(tmp_path):
    model, result = train(tmp_path / "a")
    best = result.history[result.best_epoch].validation_accuracy
    assert best == max(record.validation_accuracy for record in result.history)
    assert measure_accuracy(model, colour_data(12, seed=1), 16) == best


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_last_epoch_needs_no_validation_and_validation_changes_no_bit(tmp_path, ema_decay):
    config = FAST.model_copy(update={"selection": "last", "epochs": 3, "ema_decay": ema_decay})
    model, result = train(tmp_path / "a", config, validation=None)
    assert result.best_epoch == 2
    assert result.history[0].validation_accuracy is None
    validated, result = train(tmp_path / "b", config)
    assert result.history[0].validation_accuracy is not None
    assert_equal_weights(weights(model), weights(validated))


def test_patience_stops_early(tmp_path):
    settings = {"epochs": 9, "patience": 1, "learning_rate": 1e-12, "batch_size": 40}
    _, result = train(tmp_path / "a", FAST.model_copy(update=settings), validation=colour_data(3, seed=1))
    assert len(result.history) < 9


def test_mixup_blends_hard_labels_only(tmp_path):
    seen = []

    def watch(logits, targets, images):
        seen.append(targets)
        return CrossEntropy()(logits, targets, images)

    config = FAST.model_copy(update={"epochs": 1, "augment": AugmentConfig(mixup_alpha=5.0)})
    train(tmp_path / "hard", config, loss=watch)
    assert any((targets.max(dim=1).values < 0.99).any() for targets in seen)
    seen.clear()
    data = colour_data(40)
    soft = TrainingData(data.images, data.rows, np.eye(3, dtype=np.float16)[data.targets])
    train(tmp_path / "soft", config, loss=watch, data=soft)
    assert all((targets.max(dim=1).values == 1).all() for targets in seen)


def test_a_loss_that_is_no_number_is_reported_with_advice(tmp_path):
    with pytest.raises(UserError, match=r"diverged.*Lower learning_rate"):
        train(tmp_path / "a", loss=lambda logits, targets, images: logits.sum() * float("nan"))


def test_bfloat16_trains_float32_weights_nearly_as_float32_does(tmp_path):
    config = FAST.model_copy(update={"epochs": 1})
    exact, _ = train(tmp_path / "a", config)
    rounded, _ = train(tmp_path / "b", config.model_copy(update={"precision": "bfloat16"}))
    for name, tensor in weights(exact).items():
        assert weights(rounded)[name].dtype == tensor.dtype
    name = "network.classifier.1.weight"
    difference = (weights(rounded)[name] - weights(exact)[name]).norm() / weights(exact)[name].norm()
    assert 0 < difference < 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="a CPU compiles for minutes; the same test passes there")
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_a_compiled_training_ends_nearly_alike(tmp_path):
    shape = {
        "embedding_size": 4,
        "hidden_sizes": [4],
        "depths": [1],
        "layer_type": "basic",
    }  # few layers: each takes a second
    ResNetConfig(**shape).save_pretrained(tmp_path / "tiny")
    config = FAST.model_copy(update={"epochs": 1, "batch_size": 20, "selection": "last"})
    models, losses = [], []
    for compiled in (False, True):
        models.append(build_classifier(str(tmp_path / "tiny"), 3, COLOURS, 1, pretrained=False, image_size=32))
        settings = {"seed": 5, "device": "cuda", "scratch": tmp_path / str(compiled), "compiled": compiled}
        task = Task(models[-1], colour_data(40), None, CrossEntropy(), config)
        losses.append(fit(task, **settings).history[0].loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert weights(models[1]).keys() == weights(models[0]).keys()
    assert models[1]._compiled_call_impl is not None
