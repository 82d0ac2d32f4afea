"""Exponential moving average of a model's weights (Polyak averaging)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of `model` (`module`, in evaluation mode) whose weights trail those that are trained.

    After step t (from 0) the copy holds `d a + (1 - d) w` with `d = min(decay, (1 + t) / (10 + t))`: a young average forgets
    faster, so that it is not an average with weights that nothing had learned (as in TensorFlow's and timm's averages).
    The running statistics of batch normalisation are averaged alike; counters are copied.

    Args:
        model: as it is before the first step.
        decay: share that is kept of the copy by a late step, in [0, 1).
    """

    def move(averages: list[Tensor], trained: list[Tensor], count_on_device: Tensor) -> None:
        count = int(average.n_averaged)  # on the host: to ask the device for it would wait for the step
        kept = min(decay, count / (9 + count))
        for target, value in zip(averages, trained, strict=True):
            if target.is_floating_point():
                target.lerp_(value, 1 - kept)
            else:
                target.copy_(value)

    average = AveragedModel(model, multi_avg_fn=move, use_buffers=True)
    average.n_averaged.fill_(1)  # torch copies the first weights that it meets; here they are already averaged
    average.module.eval().requires_grad_(False)
    return average
