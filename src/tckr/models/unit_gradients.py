"""Gradients of single privacy units: store, clip and add them up (DP-SGD, Abadi et al. 2016, Algorithm 1).

Shapes: U units, each of `draws` consecutive samples of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tckr.errors import UserError
from tckr.privacy.config import NEEDS_PACKAGES

OF_LAYERS, OF_PARAMETERS = ("activations", "max_batch_len"), ("_current_grad_sample",)
"""What Opacus stores during a pass and removes at its end."""


def keep_gradients_of_units(module: torch.nn.Module, draws: int) -> None:
    """Make a backward pass store gradients in `grad_sample` of each trained parameter, for units of `draws` samples.

    Raises:
        UserError: Opacus is not installed.
    """
    try:
        from tckr.models.unit_hooks import UnitGradients
    except ImportError:
        raise UserError(NEEDS_PACKAGES) from None
    UnitGradients(module, draws)


def forget_gradients_of_units(module: torch.nn.Module) -> None:
    """Remove what a pass that ended early left in layers and parameters, so that the next pass starts without it."""
    for layer in module.modules():
        for name in OF_LAYERS:
            vars(layer).pop(name, None)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.grad_sample, parameter._forward_counter = None, 0
            for name in OF_PARAMETERS:
                vars(parameter).pop(name, None)


def sum_clipped(parameters: Sequence[torch.nn.Parameter], *, units: int, draws: int, clip: float) -> list[torch.Tensor]:
    """Return the sum over the units of a pass of their clipped gradients, for each parameter; free the stored gradients.

    The gradient of a unit is the mean over its draws.
    """
    return clip_each([_of_units(parameter, units, draws) for parameter in parameters], clip)


def _of_units(parameter: torch.nn.Parameter, units: int, draws: int) -> torch.Tensor:
    """Return the gradients [U, ...] of U units, each the mean over its draws; free the stored gradients.

    Some layers store a sum over the draws of a unit, others a row for each (`tckr.models.unit_hooks`).
    """
    found = parameter.grad_sample
    parameter.grad_sample = None
    summed = found if len(found) == units else found.unflatten(0, (units, draws)).sum(1)
    return summed / draws


def clip_each(gradients: Sequence[torch.Tensor], clip: float) -> list[torch.Tensor]:
    """Return the sum over U units of gradients [U, ...] of all parameters, each unit's scaled to a norm of at most `clip`.

    A unit whose gradient is not a number counts as zero, so that no private image can spoil the complete step.
    """
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    scales = torch.where(norms.isfinite(), clip / norms.clamp(min=clip), 0)
    usable = [gradient if bool(norms.isfinite().all()) else gradient.nan_to_num(0, 0, 0) for gradient in gradients]
    return [torch.einsum("u,u...->...", scales, gradient) for gradient in usable]
