"""The learning rate of every step, for classifiers and adapters."""

from __future__ import annotations

import math

import torch


def learning_rate(
    step: int, num_steps: int, *, peak: float, warmup_fraction: float = 0.0, schedule: str = "cosine"
) -> float:
    """Return the rate of step 0..num_steps-1: a linear rise to `peak` during the warm-up, then half a cosine down to 0.

    With the schedule `constant` it stays at `peak` after the warm-up.
    """
    warmup = round(warmup_fraction * num_steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    done = (step - warmup) / max(1, num_steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step to `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate
