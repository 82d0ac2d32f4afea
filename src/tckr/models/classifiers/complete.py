"""Say which weights of a checkpoint are missing, of another size, or left over: what transformers itself only remarks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import torch
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

FLOAT_BYTES = 4
UNUSED = ("num_batches_tracked",)
"""Counters of batch norms, which no computation here reads."""


def head_of(config: PreTrainedConfig) -> tuple[str, ...]:
    """Return what the names of the last layers' weights begin with: those whose sizes follow the number of classes.

    Raises:
        MemoryError: this machine cannot hold the network.
    """
    other = copy.deepcopy(config)
    other.num_labels = config.num_labels + 1
    network = _outline(config)
    shapes, shapes_other = _shapes(network), _shapes(_outline(other))
    size = FLOAT_BYTES * sum(shape.numel() for shape in shapes.values())
    if size > psutil.virtual_memory().total:
        raise MemoryError(f"its configuration describes {size / 1e9:,.0f} GB of weights, more memory than this machine has")
    return tuple({_layers_of(name, network) for name, shape in shapes.items() if shapes_other.get(name) != shape})


def incomplete(network: PreTrainedModel, found: Mapping[str, Any], head: Sequence[str]) -> str:
    """Return which weights transformers did not find, or not as they should be; empty when all is well.

    Left-over weights beside its blocks, such as the head of another task or a token of its training, are no fault; left
    over from within the blocks they say that the network is another one.

    Args:
        network: as loaded.
        found: what `output_loading_info` gives.
        head: beginnings of the names of weights that need not be there.
    """
    mismatched = [key for key, *_ in found["mismatched_keys"]]
    left_over = [key for key in found["unexpected_keys"] if _within(key, network)]
    wrong = {"missing": found["missing_keys"], "of another size": mismatched, "left over": left_over}
    kept = {
        what: sorted(key for key in keys if not key.startswith(tuple(head)) and not key.endswith(UNUSED))
        for what, keys in wrong.items()
    }
    said = [f"{len(keys)} {'are' if len(keys) > 1 else 'is'} {what} ({keys[0]})" for what, keys in kept.items() if keys]
    return f"of its weights {', '.join(said)}" if said else ""


def _outline(config: PreTrainedConfig) -> PreTrainedModel:
    """Return the network without memory for its weights."""
    with torch.device("meta"):
        return AutoModelForImageClassification.from_config(config, trust_remote_code=False)


def _shapes(network: PreTrainedModel) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in network.named_parameters()}


def _layers_of(name: str, network: PreTrainedModel) -> str:
    """Return the last layer that the weight belongs to, with what stands beside it below the body: `classifier.`."""
    layer = name.rpartition(".")[0]
    parent = layer.rpartition(".")[0]
    return f"{layer}." if parent in ("", network.base_model_prefix) else f"{parent}."


def _within(key: str, network: PreTrainedModel) -> bool:
    """Return whether `key` names something inside the blocks (which have numbers) of a part that the network has."""
    prefix = network.base_model_prefix
    body = getattr(network, prefix, network) if prefix else network
    parts = {name for module in (network, body) for name, child in module.named_children()} - {prefix}
    first, *path = key.removeprefix(f"{prefix}.").split(".")
    return first in parts and any(name.isdigit() for name in path)
