"""The parameters of an adapter as one vector: optimizer, checkpoint and sums over processes treat one tensor, not many."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


class AdapterVector:
    """Parameters whose values and gradients are parts of one vector each; what is computed with them stays the same.

    Attributes:
        whole: all parameters, one after another, with their gradients.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.whole = torch.nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in self.parameters]))
        self.whole.grad = torch.zeros_like(self.whole)
        sizes = [parameter.numel() for parameter in self.parameters]
        parts = zip(self.parameters, self.whole.detach().split(sizes), self.whole.grad.split(sizes), strict=True)
        for parameter, values, gradient in parts:
            parameter.data = values.view_as(parameter)
            parameter.grad = gradient.view_as(parameter)  # a backward pass adds to it in place

    @property
    def gradient(self) -> torch.Tensor:
        """Return the gradient of the whole."""
        assert self.whole.grad is not None
        return self.whole.grad

    def clip(self, largest_norm: float) -> None:
        """Scale the gradient down to `largest_norm`, as `clip_grad_norm_` does for the parameters."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        clip_grads_with_norm_([self.whole], largest_norm, get_total_norm(gradients))
