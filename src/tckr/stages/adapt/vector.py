"""The parameters of an adapter as one vector, so that optimizer, checkpoint and sums over processes use one tensor."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

CHANNELS_LAST = (0, 2, 3, 1)


class AdapterVector:
    """Parameters whose values and gradients are views of one vector each; results do not change.

    Attributes:
        joined: all parameters, one after another, with their gradients.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.parameters = list(parameters)
        orders = [_order_in_memory(parameter) for parameter in self.parameters]
        stored = [parameter.detach().permute(order) for parameter, order in zip(self.parameters, orders, strict=True)]
        self.joined = torch.nn.Parameter(torch.cat([values.flatten() for values in stored]))
        self.joined.grad = torch.zeros_like(self.joined)
        sizes = [values.numel() for values in stored]
        parts = zip(stored, self.joined.detach().split(sizes), self.joined.grad.split(sizes), strict=True)
        for parameter, order, (like, values, gradient) in zip(self.parameters, orders, parts, strict=True):
            back = [order.index(axis) for axis in range(len(order))]
            parameter.data = values.view_as(like).permute(back)
            parameter.grad = gradient.view_as(like).permute(back)  # a backward pass adds to it in place

    @property
    def gradient(self) -> torch.Tensor:
        """Return the gradient of all parameters."""
        assert self.joined.grad is not None
        return self.joined.grad

    @torch.no_grad()
    def set(self, values: torch.Tensor) -> None:
        """Set the parameters to other values, in the layout of `joined`."""
        self.joined.copy_(values)

    def clip(self, largest_norm: float) -> None:
        """Scale the gradient down to `largest_norm`, like `clip_grad_norm_`."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        clip_grads_with_norm_([self.joined], largest_norm, get_total_norm(gradients))


def _order_in_memory(parameter: torch.Tensor) -> tuple[int, ...]:
    """Return the axes in memory order: on CUDA, convolutions of the denoiser have their channels last."""
    if parameter.is_contiguous():
        return tuple(range(parameter.ndim))
    assert parameter.is_contiguous(memory_format=torch.channels_last), parameter.stride()
    return CHANNELS_LAST
