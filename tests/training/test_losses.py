"""Losses have closed forms."""

import math

import numpy as np
import torch

from tckr.models.classifiers import build_classifier, class_columns
from tckr.training.losses import CrossEntropy, OnlineDistillation, soft_cross_entropy, soften
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
