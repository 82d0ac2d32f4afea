"""The average of the weights is the formula's, and it is what a training keeps."""

import pytest
import torch

from tckr.models.classifiers import build_classifier
from tckr.training.averaging import weight_average
from tckr.training.fit import measure_accuracy
from tests.training.colours import COLOURS, FAST, colour_data
from tests.training.test_fit import KilledAt, KilledError, assert_same_end, train, weights


def test_the_average_follows_the_formula_for_weights_and_statistics():
    model = build_classifier("embedded:resnet", 3, COLOURS, seed=1)
    average = weight_average(model, decay=0.15)
    names = ("network.classifier.1.bias", "network.resnet.embedder.embedder.normalization.running_var")
    expected = {name: model.state_dict()[name].clone() for name in names}
    for step in range(3):
        decay = min(0.15, (1 + step) / (10 + step))
        with torch.no_grad():
            for name in names:
                model.state_dict()[name].add_(step + 1.0)
                expected[name] = decay * expected[name] + (1 - decay) * model.state_dict()[name]
        average.update_parameters(model)
    for name in names:
        assert torch.allclose(average.module.state_dict()[name], expected[name])
    assert not average.module.training


def test_a_training_keeps_the_average_and_measures_it(tmp_path):
    config = FAST.model_copy(update={"ema_decay": 0.9, "selection": "last"})
    averaged, result = train(tmp_path / "averaged", config)
    plain, _ = train(tmp_path / "plain", config.model_copy(update={"ema_decay": 0.0}))
    name = "network.classifier.1.weight"
    assert not torch.equal(weights(averaged)[name], weights(plain)[name])
    assert measure_accuracy(averaged, colour_data(12, seed=1), 16) == result.history[-1].validation_accuracy


@pytest.mark.parametrize("call", [2, 12])
def test_a_killed_training_goes_on_with_its_average(tmp_path, call):
    config = FAST.model_copy(update={"ema_decay": 0.9})
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", config, loss=KilledAt(call))
    assert_same_end(train(tmp_path / "killed", config), whole)
