"""Clip the gradient of each sample without storing it (ghost clipping, Li et al. 2022; convolutions: Bu et al. 2022).

Both the norm of a sample's gradient and the sum of the clipped gradients follow from the inputs of each layer and from the
gradients of its outputs. What is added up is exactly what was measured and clipped.

Shapes: B samples, G groups of a convolution, L positions, P and O inputs and outputs of a position and a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from tckr.errors import UserError

Call = tuple[nn.Module, Tensor, Tensor]
"""A layer, its input and its output."""

Parts = dict[nn.Module, tuple[Tensor, Tensor]]
"""Layer -> inputs [B, G, P, L] and gradients of the outputs [B, G, O, L], over all calls of the layer."""

LEAST_ALIKE = 1e-3
"""Relative difference above which the gradients of a sample alone and among others are not the same."""

UNUSABLE = "this network cannot be trained with noise (privacy.labels=teacher)"
OTHERWISE = "choose another teach.model, such as embedded:resnet, or privacy.labels=prompt"


def is_supported(layer: nn.Module) -> bool:
    """Return whether the gradients of this layer are known: a linear layer or convolution of torch itself."""
    if set(layer._parameters) - {"weight", "bias"}:
        return False
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) is nn.Linear


def sum_of_clipped(
    layers: Sequence[nn.Module], losses_of: Callable[[Tensor], Tensor], samples: Tensor, clip: float
) -> tuple[list[Tensor], Tensor]:
    """Return the sum of the clipped gradients of `samples` for each parameter of `layers`, and the losses [B].

    No sample may influence the loss of another (`refuse_mixing`). A sample whose gradient is not a number counts as zero.

    Args:
        layers: layers for which `is_supported` is true.
        losses_of: returns the losses [b] of the samples whose numbers [b] it gets.
        samples: numbers of the samples, int64 [B].
        clip: maximum norm of a sample's gradient, over all layers.

    Raises:
        UserError: a layer's input does not have the samples as its first axis.
    """
    parts, losses = _parts(layers, losses_of, samples)
    squares = [_squared_norm(*parts[layer], layer.bias is not None) for layer in parts]
    norms = torch.stack(squares).sum(0).sqrt() if squares else torch.zeros_like(losses)
    usable = norms.isfinite()
    scales = torch.where(usable, clip / norms.clamp(min=clip), 0)
    sums: list[Tensor] = []
    for layer in layers:
        of_layer = {name: torch.zeros_like(weights) for name, weights in layer.named_parameters(recurse=False)}
        if layer in parts:
            inputs, gradients = (torch.where(usable.view(-1, 1, 1, 1), each, 0) for each in parts[layer])
            scaled = gradients * scales.view(-1, 1, 1, 1)
            found = {"weight": torch.einsum("bgol,bgpl->gop", scaled, inputs), "bias": scaled.sum((0, 3))}
            of_layer = {name: found[name].reshape(zeros.shape) for name, zeros in of_layer.items()}
        sums += of_layer.values()
    return sums, losses


def refuse_mixing(layers: Sequence[nn.Module], losses_of: Callable[[Tensor], Tensor], samples: Tensor) -> None:
    """Raise an error if what a layer learns from a sample depends on the samples beside it.

    Raises:
        UserError: it does, or a layer's input does not have the samples as its first axis.
    """
    together, _ = _parts(layers, losses_of, samples)
    for place in range(len(samples)):
        alone, _ = _parts(layers, losses_of, samples[place : place + 1])
        for layer, (inputs, gradients) in alone.items():
            for one, several in ((inputs, together[layer][0]), (gradients, together[layer][1])):
                if (one[0] - several[place]).norm() > LEAST_ALIKE * max(float(one.norm()), 1e-12):
                    raise UserError(
                        f"{UNUSABLE}: the images of a batch influence one another, so nothing can limit what one of them "
                        f"changes; {OTHERWISE}"
                    )


def _parts(layers: Sequence[nn.Module], losses_of: Callable[[Tensor], Tensor], samples: Tensor) -> tuple[Parts, Tensor]:
    """Return inputs and output gradients of each layer that was called, and the losses [B]."""
    with _recorded(layers) as calls:
        losses = losses_of(samples)
    outputs = [output for _, _, output in calls]
    gradients = torch.autograd.grad(losses.sum(), outputs, materialize_grads=True, allow_unused=True)
    of_layer: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}
    for (layer, inputs, _), gradient in zip(calls, gradients, strict=True):
        if len(inputs) != len(samples) or len(gradient) != len(samples):
            raise UserError(
                f"{UNUSABLE}: a layer gets images in parts or mixed ({len(inputs)} rows for {len(samples)} images; those of "
                f"Swin see windows), so nothing can limit what one image changes; {OTHERWISE}"
            )
        of_layer.setdefault(layer, []).append(_positions(layer, inputs, gradient))
    joined = {
        layer: (torch.cat([each[0] for each in parts], 3), torch.cat([each[1] for each in parts], 3))
        for layer, parts in of_layer.items()
    }
    return joined, losses.detach()


@contextmanager
def _recorded(layers: Sequence[nn.Module]) -> Iterator[list[Call]]:
    """Collect the calls of `layers` inside the block."""
    calls: list[Call] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        calls.append((layer, inputs[0].detach().clone(), output))
        return output.clone()  # the next layer may change it in place

    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _positions(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inputs [B, G, P, L] and the gradients of the outputs [B, G, O, L] of each position."""
    if isinstance(layer, nn.Conv2d):
        patches = unfold(inputs.contiguous(), layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        return patches.unflatten(1, (layer.groups, -1)), gradient.flatten(2).unflatten(1, (layer.groups, -1))
    rows = [each.reshape(len(each), 1, -1, each.shape[-1]).transpose(2, 3) for each in (inputs, gradient)]
    return rows[0], rows[1]


def _squared_norm(inputs_BGPL: Tensor, gradients_BGOL: Tensor, has_bias: bool) -> Tensor:
    """Return [B], the squared norm of the gradients of weights and bias, by the cheaper of two ways."""
    (sources, length), targets = inputs_BGPL.shape[2:], gradients_BGOL.shape[2]
    if length * (sources + targets) < sources * targets:
        alike = (inputs_BGPL.transpose(2, 3) @ inputs_BGPL) * (gradients_BGOL.transpose(2, 3) @ gradients_BGOL)
        squares = alike.sum((1, 2, 3))
    else:
        squares = (gradients_BGOL @ inputs_BGPL.transpose(2, 3)).square().sum((1, 2, 3))
    return squares + gradients_BGOL.sum(3).square().sum((1, 2)) if has_bias else squares
