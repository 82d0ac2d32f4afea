"""Exponential moving average of a model's weights (Polyak averaging)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of `model` (`module`, in evaluation mode) whose weights follow those that are trained.

    After step t (from 0) the copy is `d a + (1 - d) w` with `d = min(decay, (1 + t) / (10 + t))`: the decay is smaller in
    early steps, so that untrained weights are forgotten (as in TensorFlow's and timm's averages). Running statistics of
    batch normalisation are averaged in the same way; counters are copied.

    Args:
        model: the model before the first step.
        decay: weight of the copy in late steps, in [0, 1).
    """

    def move(averages: list[Tensor], trained: list[Tensor], count_on_device: Tensor) -> None:
        count = int(average.n_averaged)  # on the host, because reading it from the device would wait for the step
        kept = min(decay, count / (9 + count))
        for target, value in zip(averages, trained, strict=True):
            if target.is_floating_point():
                target.lerp_(value, 1 - kept)
            else:
                target.copy_(value)

    average = AveragedModel(model, multi_avg_fn=move, use_buffers=True)
    average.n_averaged.fill_(1)  # otherwise torch copies the first weights, which are averaged already
    average.module.eval().requires_grad_(False)
    return average
