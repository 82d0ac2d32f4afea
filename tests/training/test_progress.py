"""Rate, selection and stopping follow from the history."""

import pytest
from pydantic import ValidationError

from tckr.training.config import AugmentConfig, TrainingConfig
from tckr.training.progress import EpochRecord, is_finished, kept_epoch, learning_rate


def history(*accuracies):
    return [
        EpochRecord(epoch=epoch, loss=1.0, validation_accuracy=accuracy, learning_rate=0.1)
        for epoch, accuracy in enumerate(accuracies)
    ]


def test_the_rate_rises_to_its_peak_and_falls_as_half_a_cosine():
    config = TrainingConfig(learning_rate=1.0, warmup_fraction=0.2)
    rates = [learning_rate(step, 10, config) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5)
    assert rates == sorted(rates[:2]) + sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.05


def test_without_warm_up_the_first_step_has_the_peak_rate():
    assert learning_rate(0, 10, TrainingConfig(learning_rate=1.0, warmup_fraction=0.0)) == 1.0


def test_of_equally_accurate_epochs_the_later_is_kept():
    assert kept_epoch(history(0.5, 0.9, 0.9, 0.7), "best") == 2
    assert kept_epoch(history(0.5, 0.9, 0.9, 0.7), "last") == 3


def test_patience_counts_from_the_epoch_that_first_reached_the_best():
    config = TrainingConfig(epochs=10, patience=2)
    assert not is_finished(history(0.5, 0.9, 0.9), config)
    assert is_finished(history(0.5, 0.9, 0.9, 0.8), config)
    assert is_finished(history(*[0.1] * 10), TrainingConfig(epochs=10))


@pytest.mark.parametrize(
    ("settings", "name"),
    [(TrainingConfig, "learning_rate"), (TrainingConfig, "gradient_clip"), (AugmentConfig, "mixup_alpha")],
)
def test_infinite_settings_are_refused(settings, name):
    with pytest.raises(ValidationError, match="finite number"):
        settings.model_validate({name: float("inf")})
