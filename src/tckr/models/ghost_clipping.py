"""Clip the gradient of each sample without storing it (ghost clipping, Li et al. 2022; convolutions: Bu et al. 2022).

The norm of a sample's gradient follows from the inputs of each layer and from the gradients of its outputs. A second
backward pass of the losses, each multiplied by its clipping factor, gives the sum of the clipped gradients.

Shapes: B samples, G groups of a convolution, L positions, P and O inputs and outputs of a position and a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

Call = tuple[nn.Module, Tensor, Tensor]
"""A layer, its input and its output."""


def is_supported(layer: nn.Module) -> bool:
    """Return whether `sum_of_clipped` knows the gradients of this layer: a linear layer or convolution of torch itself."""
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) is nn.Linear


def sum_of_clipped(
    layers: Sequence[nn.Module], losses_of: Callable[[Tensor], Tensor], samples: Tensor, clip: float
) -> tuple[list[Tensor], Tensor]:
    """Return the sum of the clipped gradients of `samples` for each weight of `layers`, and the losses [B].

    No sample may influence the loss of another. A sample whose gradient is not a number counts as zero.

    Args:
        layers: layers for which `is_supported` is true.
        losses_of: returns the losses [b] of the samples whose numbers [b] it gets.
        samples: numbers of the samples, int64 [B].
        clip: maximum norm of a sample's gradient, over all layers.
    """
    weights = [each for layer in layers for each in layer.parameters()]
    with _recorded(layers) as calls:
        losses = losses_of(samples)
    gradients = torch.autograd.grad(losses.sum(), [output for _, _, output in calls], retain_graph=True)
    norms = _norms(calls, gradients)
    usable = norms.isfinite()
    if bool(usable.all()):
        clipped = losses * (clip / norms.clamp(min=clip))
        return list(torch.autograd.grad(clipped.sum(), weights, materialize_grads=True)), losses.detach()
    if not bool(usable.any()):
        return [torch.zeros_like(each) for each in weights], losses.detach()
    return sum_of_clipped(layers, losses_of, samples[usable.to(samples.device)], clip)[0], losses.detach()


@contextmanager
def _recorded(layers: Sequence[nn.Module]) -> Iterator[list[Call]]:
    """Collect the calls of `layers` inside the block."""
    calls: list[Call] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        calls.append((layer, inputs[0].detach(), output))
        return output.clone()  # the next layer may change it in place

    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _norms(calls: Sequence[Call], gradients: Sequence[Tensor]) -> Tensor:
    """Return the norm [B] of each sample's gradient over all layers; calls of one layer add up before."""
    of_layer: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}
    for (layer, inputs, _), gradient in zip(calls, gradients, strict=True):
        of_layer.setdefault(layer, []).append(_positions(layer, inputs, gradient))
    squares = [
        _squared_norm(torch.cat([i for i, _ in parts], 3), torch.cat([o for _, o in parts], 3), layer.bias is not None)
        for layer, parts in of_layer.items()
    ]
    return torch.stack(squares).sum(0).sqrt()


def _positions(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inputs [B, G, P, L] and the gradients of the outputs [B, G, O, L] of each position."""
    if isinstance(layer, nn.Conv2d):
        patches = unfold(inputs.contiguous(), layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        return patches.unflatten(1, (layer.groups, -1)), gradient.flatten(2).unflatten(1, (layer.groups, -1))
    return tuple(rows.reshape(len(rows), 1, -1, rows.shape[-1]).transpose(2, 3) for rows in (inputs, gradient))


def _squared_norm(inputs_BGPL: Tensor, gradients_BGOL: Tensor, has_bias: bool) -> Tensor:
    """Return [B], the squared norm of the gradients of weights and bias, by the cheaper of two ways."""
    (sources, length), targets = inputs_BGPL.shape[2:], gradients_BGOL.shape[2]
    if length * (sources + targets) < sources * targets:
        alike = (inputs_BGPL.transpose(2, 3) @ inputs_BGPL) * (gradients_BGOL.transpose(2, 3) @ gradients_BGOL)
        squares = alike.sum((1, 2, 3))
    else:
        squares = (gradients_BGOL @ inputs_BGPL.transpose(2, 3)).square().sum((1, 2, 3))
    return squares + gradients_BGOL.sum(3).square().sum((1, 2)) if has_bias else squares
