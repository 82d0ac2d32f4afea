"""Say which weights of a checkpoint are missing, of another size, or left over: what the libraries only remark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

COMPUTED = ("num_batches_tracked", "position_ids", "rotary_emb.inv_freq", "relative_position_index")
"""Counters and tables of numbers that follow from the architecture; versions of the libraries store them or do not."""

MOST_COMPARED = 2**16
"""Values of a weight that are looked at for fractions: a trained weight has one among its first few."""


def incomplete(network: nn.Module, found: Mapping[str, Any], head: Sequence[str] = (), *, strict: bool = False) -> str:
    """Return which weights were not found, or not as they should be; empty when all is well.

    Left-over weights beside its blocks, such as the head of another task or a token of its training, are no fault; left
    over from within the blocks they say that the network is another one.

    Args:
        network: of transformers or diffusers, as loaded.
        found: what `output_loading_info` gives.
        head: beginnings of the names of weights that need not be there.
        strict: take every left-over weight for a fault.
    """
    mismatched = [key for key, *_ in found["mismatched_keys"]]
    left_over = [key for key in found["unexpected_keys"] if strict or _within(key, network)]
    wrong = {"missing": found["missing_keys"], "of another size": mismatched, "left over": left_over}
    kept = {
        what: sorted(key for key in keys if not key.startswith(tuple(head)) and not key.endswith(COMPUTED))
        for what, keys in wrong.items()
    }
    said = [f"{len(keys)} {'are' if len(keys) > 1 else 'is'} {what} ({keys[0]})" for what, keys in kept.items() if keys]
    return f"of its weights {', '.join(said)}" if said else ""


def unusable(network: nn.Module) -> str:
    """Return which weights hold values that no training leaves: no numbers, or quantised ones without their scales.

    A library that finds whole numbers under the name of a weight loads them as its values, unless the configuration names
    their quantisation.
    """
    weights = dict(network.named_parameters())
    wrong = {
        "hold NaN or infinity": [name for name, weight in weights.items() if weight.numel() and not _is_finite(weight)],
        "hold whole numbers alone, as quantised weights do": [name for name, weight in weights.items() if _is_whole(weight)],
    }
    said = [f"{len(names)} {what} ({names[0]})" for what, names in wrong.items() if names]
    return f"of its weights {', '.join(said)}" if said else ""


@torch.no_grad()
def _is_finite(weight: torch.Tensor) -> bool:
    """Return whether all values are numbers, in one pass without a copy: NaN goes through minimum and maximum."""
    return all(bool(end.isfinite()) for end in weight.aminmax())


@torch.no_grad()
def _is_whole(weight: torch.Tensor) -> bool:
    """Return whether a matrix holds whole numbers alone; matrices of a single value or two are masks, or fresh layers."""
    if not (weight.is_floating_point() or weight.is_complex()):
        return True
    few = weight.detach().flatten()[:MOST_COMPARED]
    return weight.ndim > 1 and bool((few == few.round()).all()) and len(few.unique()) > 2


def _within(key: str, network: nn.Module) -> bool:
    """Return whether `key` names something inside the blocks (which have numbers) of a part that the network has."""
    prefix = getattr(network, "base_model_prefix", "")
    body = getattr(network, prefix, network) if prefix else network
    parts = {name for module in (network, body) for name, child in module.named_children()} - {prefix}
    first, *path = key.removeprefix(f"{prefix}.").split(".")
    return first in parts and any(name.isdigit() for name in path)
