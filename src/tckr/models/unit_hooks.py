"""Gradients of privacy units: the sum over the noise draws of each unit, computed within each layer.

Opacus computes the gradient of each sample of a batch. Here, a unit is `draws` consecutive samples, and only the sum of its
gradients is needed. Linear layers and convolutions compute it directly, with 1 / draws of the memory.

Shapes: U units, D draws, L positions, I and O input and output features, P weights of an output channel.
"""

from __future__ import annotations

from typing import Any

import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.conv import compute_conv_grad_sample
from opacus.grad_sample.linear import compute_linear_grad_sample
from opacus.utils.tensor_utils import unfold2d
from torch import nn

Gradients = dict[nn.Parameter, torch.Tensor]


class UnitGradients(GradSampleModule):
    """Opacus' hooks for batches of units: `grad_sample` has U rows for layers of `SUMMED`, and U x D for others."""

    def __init__(self, module: nn.Module, draws: int) -> None:
        """Attach the hooks to `module`; the loss is a sum over the batch."""
        super().__init__(module, loss_reduction="sum", strict=False)
        samplers: dict[Any, Any] = GradSampleModule.GRAD_SAMPLERS
        self.GRAD_SAMPLERS = samplers | SUMMED
        self._draws = draws

    def rearrange_grad_samples(self, *, module: nn.Module, **given: Any) -> tuple[Any, torch.Tensor]:
        """Return activations [U, D, ...] and gradients [U, D, ...] of a layer's input and output."""
        activations, backprops = super().rearrange_grad_samples(module=module, **given)
        if type(module) not in SUMMED:
            return activations, backprops
        of_units = (-1, self._draws)
        module.max_batch_len = len(backprops) // self._draws  # rows of `grad_sample`
        return [rows.unflatten(0, of_units) for rows in activations], backprops.unflatten(0, of_units)


def of_convolution(layer: nn.Conv2d, activations: list[torch.Tensor], backprops: torch.Tensor) -> Gradients:
    """Return the gradients [U, ...] of a convolution, given its input [U, D, I, H, W] and the gradient of its output."""
    units, draws = backprops.shape[:2]
    inputs = activations[0].flatten(0, 1).contiguous()  # `unfold2d` reads memory in the order of channels first
    if layer.groups > 1:
        of_draws = compute_conv_grad_sample(layer, [inputs], backprops.flatten(0, 1))
        return {weights: rows.unflatten(0, (units, draws)).sum(1) for weights, rows in of_draws.items()}
    found = {}
    if layer.weight.requires_grad:
        patches = unfold2d(
            inputs.to(backprops.dtype),
            kernel_size=layer.kernel_size,
            padding=layer.padding,
            stride=layer.stride,
            dilation=layer.dilation,
        )
        patches_UDPL = patches.unflatten(0, (units, draws))
        weights = torch.einsum("udol,udpl->uop", backprops.flatten(3), patches_UDPL)
        found[layer.weight] = weights.view(units, *layer.weight.shape)
    if layer.bias is not None and layer.bias.requires_grad:
        found[layer.bias] = backprops.sum((1, 3, 4))
    return found


SUMMED = {nn.Linear: compute_linear_grad_sample, nn.Conv2d: of_convolution}
"""Layer -> function of its input and the gradient of its output. That of Opacus sums over all inner axes."""
