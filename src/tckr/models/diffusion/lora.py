"""LoRA adapters (Hu et al. 2022) of a diffusers pipeline: insert, write, read every published layout, merge.

Files are read by our own code, because diffusers skips unknown tensors and uses one alpha for all layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import cast_training_params
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from tckr.disk import write_whole
from tckr.errors import UserError
from tckr.models.diffusion.changes import add_changes, read_changes
from tckr.models.diffusion.layer_names import adaptable_layers
from tckr.models.diffusion.lora_file import FILE_NAME, find_file
from tckr.models.diffusion.outline import Targets

__all__ = ["FILE_NAME", "add_lora", "find_file", "layers_of", "merge_lora", "rewrite_lora", "save_lora"]


def layers_of(denoiser: torch.nn.Module, targets: Targets, attention: Sequence[str]) -> list[str]:
    """Return the layers of `denoiser` that get LoRA: those with the suffixes `attention`, or all layers of a kind.

    Grouped convolutions are left out, because their change is not a product of two matrices.
    """
    if targets == "attention":
        return list(attention)
    return [
        name
        for name, layer in denoiser.named_modules()
        if isinstance(layer, torch.nn.Linear)
        or (targets == "all" and isinstance(layer, torch.nn.Conv2d) and layer.groups == 1)
    ]


def add_lora(denoiser: Any, targets: Sequence[str], rank: int, seed: int) -> dict[str, torch.nn.Parameter]:
    """Insert LoRA of scale 1 into the layers whose names end with `targets`; A is random (`seed`), B starts at zero."""
    lora = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=list(targets))
    with torch.random.fork_rng():  # peft samples A from torch's global generator
        torch.manual_seed(seed)
        denoiser.add_adapter(lora)
    cast_training_params(denoiser, dtype=torch.float32)
    return {name: parameter for name, parameter in denoiser.named_parameters() if parameter.requires_grad}


def save_lora(pipeline: Any, part: str, folder: Path) -> None:
    """Write the adapter of `part` in the layout of diffusers, without metadata, whose order varies."""
    weights = get_peft_model_state_dict(getattr(pipeline, part))
    layers = convert_state_dict_to_diffusers(weights) if part == "unet" else weights
    type(pipeline).save_lora_weights(folder, **{f"{part}_lora_layers": layers}, safe_serialization=True)


def merge_lora(pipeline: Any, part: str, path: Path, scale: float = 1.0) -> None:
    """Add the adapter at `path` to the weights of the denoiser (`part`) and of the text encoders that it covers.

    Raises:
        UserError: the file is missing, unreadable, empty, or its weights do not all fit layers of this pipeline.
    """
    file = find_file(path)
    add_changes(file, pipeline, read_changes(pipeline, part, file, scale))


def rewrite_lora(pipeline: Any, part: str, path: Path, scale: float, folder: Path) -> None:
    """Write the adapter at `path`, multiplied by `scale`, under the names of diffusers and without alpha.

    The new file is complete by itself: settings beside the adapter, or in other names, are applied to its numbers.

    Raises:
        UserError: as for `merge_lora`, or the adapter changes nothing.
    """
    layers, tensors = adaptable_layers(pipeline), {}
    changes = read_changes(pipeline, part, find_file(path), scale)
    if scale and not any(change.scale and change.up.any() and change.down.any() for change in changes.values()):
        raise UserError(
            f"adapter {path} changes nothing: its matrices or its alphas are zero, as before training; use another "
            "checkpoint of it, or use the original generator with adapt.steps=0"
        )
    for place, change in changes.items():
        weight = layers[place].weight
        rank = len(change.down)
        name = f"{place.part}.{place.layer}"
        first, second = ("lora.down", "lora.up") if place.part == "unet" else ("lora_A", "lora_B")  # as `save_lora`
        tensors[f"{name}.{first}.weight"] = change.down.reshape(rank, *weight.shape[1:]).clone()
        tensors[f"{name}.{second}.weight"] = (change.scale * change.up).reshape(-1, rank, *(1,) * (weight.ndim - 2))
    write_whole(folder / FILE_NAME, lambda partial: save_file(dict(sorted(tensors.items())), partial, {"format": "pt"}))
