"""Check that all weights of a checkpoint were loaded: missing, mismatched, left-over or unusable ones are reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

COMPUTED = ("num_batches_tracked", "position_ids", "rotary_emb.inv_freq", "relative_position_index")
"""Counters and tables of numbers that follow from the architecture; only some versions of the libraries store them."""

MOST_COMPARED = 2**16
"""Number of values of a weight that are checked for fractions; a trained weight has one among its first few."""


def incomplete(network: nn.Module, found: Mapping[str, Any], head: Sequence[str] = (), *, strict: bool = False) -> str:
    """Return which weights were not found, or do not fit; empty if the network is complete.

    Left-over weights outside of its numbered blocks, such as the head of another task, are ignored. Left-over weights within
    the blocks mean that the network is a different one.

    Args:
        network: of transformers or diffusers, as loaded.
        found: what `output_loading_info` gives.
        head: prefixes of the names of weights that may be missing.
        strict: report every left-over weight.
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
    """Return which weights contain values that no training produces: not finite, or quantised values without scales.

    If a weight of the file contains integers, a library loads them as its values, unless the configuration declares
    the quantisation.
    """
    weights = dict(network.named_parameters())
    wrong = {
        "contain NaN or infinity": [name for name, weight in weights.items() if weight.numel() and not _is_finite(weight)],
        "contain only integers, as quantised weights do": [name for name, weight in weights.items() if _is_whole(weight)],
    }
    said = [f"{len(names)} {what} ({names[0]})" for what, names in wrong.items() if names]
    return f"of its weights {', '.join(said)}" if said else ""


@torch.no_grad()
def _is_finite(weight: torch.Tensor) -> bool:
    """Return whether all values are finite, in one pass without a copy; NaN propagates through minimum and maximum."""
    return all(bool(end.isfinite()) for end in weight.aminmax())


@torch.no_grad()
def _is_whole(weight: torch.Tensor) -> bool:
    """Return whether a matrix contains only integers; matrices with one or two distinct values are masks or new layers."""
    if not (weight.is_floating_point() or weight.is_complex()):
        return True
    few = weight.detach().flatten()[:MOST_COMPARED]
    return weight.ndim > 1 and bool((few == few.round()).all()) and len(few.unique()) > 2


def _within(key: str, network: nn.Module) -> bool:
    """Return whether `key` names something inside the numbered blocks of a part that the network has."""
    prefix = getattr(network, "base_model_prefix", "")
    body = getattr(network, prefix, network) if prefix else network
    parts = {name for module in (network, body) for name, child in module.named_children()} - {prefix}
    first, *path = key.removeprefix(f"{prefix}.").split(".")
    return first in parts and any(name.isdigit() for name in path)
