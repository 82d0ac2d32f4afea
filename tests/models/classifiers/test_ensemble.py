"""An ensemble answers every query with the mean of its members' probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tckr.models.classifiers import Ensemble, build_classifier, load_classifier, predict_features, predict_logits
from tests.training.colours import draw_colours

NAMES = ["a", "b", "c"]
ORDERS = [NAMES, ["c", "a", "b"], ["b", "c", "a"]]


@pytest.fixture
def folder(tmp_path):
    for member, order in enumerate(ORDERS, start=1):
        build_classifier("embedded:resnet", 3, order, seed=member).save(tmp_path / f"member-{member}")
    return tmp_path


def test_probabilities_are_averaged_class_by_class(folder):
    images = draw_colours(5)[0]
    ensemble = load_classifier(folder)
    assert isinstance(ensemble, Ensemble)
    assert not ensemble.training
    assert ensemble.class_names == NAMES
    found = torch.from_numpy(predict_logits(ensemble, images, batch_size=2)).softmax(dim=1)
    each = []
    for member, order in enumerate(ORDERS, start=1):
        alone = load_classifier(folder / f"member-{member}")
        logits = torch.from_numpy(predict_logits(alone, images, batch_size=2))
        each.append(logits.softmax(dim=1)[:, [order.index(name) for name in NAMES]])
    torch.testing.assert_close(found, torch.stack(each).mean(dim=0))


def test_members_are_as_many_as_there_are_folders_and_in_their_order(folder):
    for member in range(4, 12):
        build_classifier("embedded:resnet", 3, NAMES, seed=member).save(folder / f"member-{member}")
    members = load_classifier(folder).members
    assert len(members) == 11
    last = load_classifier(folder / "member-11")
    assert torch.equal(members[10].state_dict()["network.classifier.1.weight"], last.network.classifier[1].weight)


def test_features_are_those_of_the_first_member(folder):
    images = draw_colours(5)[0]
    first = load_classifier(folder / "member-1")
    found = predict_features(load_classifier(folder), images, batch_size=2)
    np.testing.assert_allclose(found, predict_features(first, images, batch_size=2), rtol=1e-5)


def test_an_impossible_class_keeps_finite_logits():
    members = [build_classifier("embedded:resnet", 2, ["a", "b"], seed=seed).eval() for seed in (1, 2)]
    for member in members:
        torch.nn.init.constant_(member.network.classifier[1].bias, 0.0)
        member.network.classifier[1].bias.data[1] = -500.0
    logits = Ensemble(members)(torch.rand(2, 3, 32, 32))
    assert torch.isfinite(logits).all()
    assert (logits[:, 1] < -400).all()
