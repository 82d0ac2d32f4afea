"""Losses have closed forms."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div, one_hot

from tckr.models.classifiers import build_classifier, class_columns
from tckr.training.losses import (
    CrossEntropy,
    Mixture,
    OnlineDistillation,
    StoredDistillation,
    at_temperature,
    soft_cross_entropy,
    soften,
)
from tests.training.colours import COLOURS, draw_colours


def test_soft_cross_entropy_equals_a_hand_computed_value():
    logits = torch.tensor([[math.log(1.0), math.log(3.0)], [0.0, 0.0]])  # probabilities 1/4, 3/4 and 1/2, 1/2
    targets = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    expected = (-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) + math.log(2)) / 2
    assert math.isclose(float(soft_cross_entropy(logits, targets)), expected, rel_tol=1e-6)


def test_label_smoothing_is_torchs():
    logits = torch.linspace(-2, 2, 12).view(4, 3).flip(0)
    labels = torch.tensor([0, 2, 1, 1])
    ours = CrossEntropy(label_smoothing=0.1)(logits, torch.nn.functional.one_hot(labels, 3).float(), torch.empty(0))
    assert torch.allclose(ours, torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1))


@pytest.mark.parametrize("balanced", [True, False])
def test_with_the_classes_shares_images_that_look_alike_are_answered_evenly_and_without_them_as_often_as_they_come(balanced):
    targets = torch.eye(3)[[0] * 7 + [1] * 2 + [2]]
    shares = torch.tensor([0.7, 0.2, 0.1])
    logits = (torch.zeros(3) if balanced else shares.log()).requires_grad_()
    loss = CrossEntropy(log_shares=shares.log() if balanced else None)(logits.expand(10, 3), targets, torch.empty(0))
    loss.backward()  # images without a feature: the best answer is a constant
    assert torch.allclose(logits.grad, torch.zeros(3), atol=1e-6)


def test_a_perfect_student_has_the_entropy_of_its_targets_as_loss_and_no_gradient():
    logits = torch.tensor([[1.0, 2.0, -1.0]], requires_grad=True)
    targets = logits.detach().softmax(dim=1)
    loss = soft_cross_entropy(logits, targets)
    loss.backward()
    assert torch.allclose(loss, -(targets * targets.log()).sum())
    assert torch.allclose(logits.grad, torch.zeros(1, 3), atol=1e-6)


def test_temperature_flattens():
    probabilities = soften(torch.tensor([[0.0, 2 * math.log(3.0)]]), temperature=2.0)
    assert torch.allclose(probabilities, torch.tensor([[0.25, 0.75]]))


def test_online_labels_of_unchanged_images_equal_stored_ones_in_the_students_class_order():
    teacher = build_classifier("embedded:resnet", 3, COLOURS, seed=1).eval()
    order = ["blue", "red", "green"]
    images = torch.from_numpy(draw_colours(5)[0]).permute(0, 3, 1, 2).float() / 255
    columns = torch.from_numpy(class_columns(COLOURS, order))
    with torch.no_grad():
        stored = teacher(images).softmax(dim=1)[:, [2, 0, 1]]
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    online = OnlineDistillation(teacher, columns)(logits, torch.zeros(5, 3), images)
    assert torch.allclose(online, CrossEntropy()(logits, stored, images), rtol=1e-5)


@pytest.fixture
def batch():
    """Return the logits of a Student and a Teacher, and classes."""
    random = np.random.default_rng(1)
    student, teacher = (torch.from_numpy(2 * random.normal(size=(6, 4))) for _ in range(2))
    return student.requires_grad_(), teacher, torch.tensor([0, 1, 2, 3, 0, 1])


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 0.0), (4.0, 0.0), (4.0, 0.3), (2.0, 1.0)])
def test_soft_and_hard_labels_are_mixed_as_hinton_et_al_do(batch, temperature, weight):
    student, teacher, labels = batch
    soft = (teacher / temperature).softmax(dim=1)
    divergence = kl_div((student / temperature).log_softmax(dim=1), soft, reduction="batchmean") * temperature**2
    expected = (1 - weight) * divergence + weight * cross_entropy(student, labels, label_smoothing=0.1)
    loss = Mixture(temperature=temperature, hard_weight=weight, label_smoothing=0.1)(student, soft, one_hot(labels, 4))
    gradients = [torch.autograd.grad(value, student)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients)  # the losses differ by the entropy of the soft labels
    entropy = -(soft * soft.log()).sum(dim=1).mean() * temperature**2
    torch.testing.assert_close(loss, expected + (1 - weight) * entropy)


@pytest.mark.parametrize(("given", "wanted"), [(1.0, 4.0), (4.0, 1.0), (2.0, 2.0)])
def test_stored_labels_are_brought_to_another_temperature(batch, given, wanted):
    _, teacher, _ = batch
    torch.testing.assert_close(at_temperature(soften(teacher, given), given, wanted), soften(teacher, wanted))


def test_stored_in_float16_a_temperature_is_reached_within_its_rounding_and_an_underflow_stays_zero():
    teacher = torch.tensor([[0.0, -2.0, -9.0, -20.0]])
    stored = soften(teacher, 1.0).half().float()
    found, exact = at_temperature(stored / stored.sum(), 1.0, 4.0), soften(teacher, 4.0)
    torch.testing.assert_close(found[:, :3], exact[:, :3] / exact[:, :3].sum(), rtol=1e-3, atol=0)
    assert found[0, 3] == 0 < exact[0, 3]


def test_stored_and_online_labels_of_the_same_images_are_learned_alike_at_any_mixture():
    teacher = build_classifier("embedded:resnet", 3, COLOURS, seed=1).eval()
    images = torch.from_numpy(draw_colours(5)[0]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        stored = teacher(images).softmax(dim=1)
    targets = torch.stack([stored, one_hot(torch.tensor([0, 1, 2, 0, 1]), 3).float()], dim=1)
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    mixture = Mixture(temperature=3.0, hard_weight=0.4, label_smoothing=0.1)
    online = OnlineDistillation(teacher, torch.arange(3), mixture)(logits, targets, images)
    torch.testing.assert_close(online, StoredDistillation(mixture, 1.0)(logits, targets, images), rtol=1e-5, atol=1e-6)
