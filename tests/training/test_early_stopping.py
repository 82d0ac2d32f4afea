"""Selection and stopping follow from the history."""

import pytest
from pydantic import ValidationError

from tckr.training.config import AugmentConfig, TrainingConfig
from tckr.training.early_stopping import EpochRecord, is_finished, kept_epoch


def history(*accuracies):
    return [
        EpochRecord(epoch=epoch, loss=1.0, validation_accuracy=accuracy, learning_rate=0.1)
        for epoch, accuracy in enumerate(accuracies)
    ]


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
