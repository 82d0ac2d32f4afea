"""Exponential moving average of a model's weights (Polyak averaging); knows neither data nor loss."""

from __future__ import annotations

import copy

import torch

from tckr.models.classifiers import Classifier


class WeightAverage:
    """A copy of a model whose weights trail those that are trained.

    After step t (from 0) the copy holds `d a + (1 - d) w` with `d = min(decay, (1 + t) / (10 + t))`: a young average forgets
    faster, so that it is not an average with weights that nothing had learned (as in TensorFlow's and timm's averages).
    The running statistics of batch normalisation are averaged alike; counters are copied.

    Attributes:
        model: the copy, in evaluation mode.
        decay: share that is kept of it by a late step, in [0, 1).
    """

    def __init__(self, model: Classifier, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: Classifier, step: int) -> None:
        """Move the copy towards `model` after step `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        trained = model.state_dict()
        for name, average in self.model.state_dict().items():
            if average.is_floating_point():
                average.lerp_(trained[name], 1 - decay)
            else:
                average.copy_(trained[name])
