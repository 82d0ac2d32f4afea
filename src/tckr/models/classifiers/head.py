"""Find the last layers of a classifier, whose weights depend on the number of classes and may be replaced."""

from __future__ import annotations

import copy

import psutil
import torch
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

FLOAT_BYTES = 4


def head_of(config: PreTrainedConfig) -> tuple[str, ...]:
    """Return the prefixes of the names of weights whose sizes depend on the number of classes.

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


def _outline(config: PreTrainedConfig) -> PreTrainedModel:
    """Return the network without allocating memory for its weights."""
    with torch.device("meta"):
        return AutoModelForImageClassification.from_config(config, trust_remote_code=False)


def _shapes(network: PreTrainedModel) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in network.named_parameters()}


def _layers_of(name: str, network: PreTrainedModel) -> str:
    """Return the prefix of the last layer of a weight and the layers beside it, outside of the body, e.g. `classifier.`."""
    layer = name.rpartition(".")[0]
    parent = layer.rpartition(".")[0]
    return f"{layer}." if parent in ("", network.base_model_prefix) else f"{parent}."
