"""LoRA adapters (Hu et al. 2022) of a diffusers pipeline: inserted, written, read in every layout diffusers knows, merged.

Knows no architecture. diffusers passes over keys that it cannot place; here every weight of a file must find its layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from logging import CRITICAL
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import cast_training_params
from diffusers.utils import convert_state_dict_to_diffusers
from diffusers.utils import logging as diffusers_logging
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from tckr.errors import UserError
from tckr.models.quiet import quiet_libraries

FILE_NAME = "pytorch_lora_weights.safetensors"
WHERE = "Expected the LoRA safetensors file of a model with the same architecture, or a folder that holds one"


def add_lora(denoiser: Any, targets: Sequence[str], rank: int, seed: int) -> dict[str, torch.nn.Parameter]:
    """Insert LoRA of scale 1 into the layers whose names end with `targets`; A is drawn from `seed`, B starts at zero."""
    lora = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=list(targets))
    with torch.random.fork_rng():  # peft draws A from torch's global generator
        torch.manual_seed(seed)
        denoiser.add_adapter(lora)
    cast_training_params(denoiser, dtype=torch.float32)
    return {name: parameter for name, parameter in denoiser.named_parameters() if parameter.requires_grad}


def save_lora(pipeline: Any, part: str, folder: Path) -> None:
    """Write the adapter of `part` in the layout of diffusers, without metadata of unsteady order."""
    weights = get_peft_model_state_dict(getattr(pipeline, part))
    layers = convert_state_dict_to_diffusers(weights) if part == "unet" else weights
    type(pipeline).save_lora_weights(folder, **{f"{part}_lora_layers": layers}, safe_serialization=True)


def merge_lora(pipeline: Any, part: str, path: Path) -> None:
    """Add the adapter at `path` to the weights of the denoiser (`part`) and of the text encoders that it has weights for.

    Raises:
        UserError: the file is missing, unreadable, empty, or its weights do not all fit layers of this pipeline.
    """
    file = find_file(path)
    source = _readable(file, part)
    try:
        with quiet_libraries():  # diffusers remarks that the text encoder has no adapter
            diffusers_logging.set_verbosity(CRITICAL)  # it prints what it raises
            expected = _extent(type(pipeline).lora_state_dict(source, use_safetensors=True, return_lora_metadata=True)[0])
            pipeline.load_lora_weights(source, use_safetensors=True)
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        pipeline.unload_lora_weights()
        reason = " ".join(str(error).split())[:250]
        raise UserError(f"adapter {file} does not fit this generator: {reason} ... {WHERE}") from error
    adapted = {name: _adapter(module) for name, module in pipeline.components.items() if isinstance(module, torch.nn.Module)}
    found = _extent({f"{part}.{name}": weight for part, weights in adapted.items() for name, weight in weights.items()})
    if found != expected:  # in number, or in size: diffusers fills up what is too small for a layer of Flux
        pipeline.unload_lora_weights()
        raise UserError(
            f"adapter {file} has {expected[0]} LoRA matrices with {expected[1]:,} numbers in all, of which this generator "
            f"has layers for {found[0]} matrices with {found[1]:,} numbers. {WHERE}"
        )
    pipeline.fuse_lora(components=[name for name, weights in adapted.items() if weights])
    pipeline.unload_lora_weights()


def find_file(path: Path) -> Path:
    """Return the safetensors file that `path` is or holds.

    Raises:
        UserError: there is none, or more than one and none has the usual name.
    """
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        usual = [file for file in files if file.name == FILE_NAME]
        if len(usual or files) == 1:
            return (usual or files)[0]
        raise UserError(
            f"adapter folder {path} holds {len(files)} .safetensors files and no {FILE_NAME}; name the file itself"
        )
    if path.suffix != ".safetensors" or not path.is_file():
        found = "is not a .safetensors file (no other format is read)" if path.exists() else "does not exist"
        raise UserError(f"adapter {path} {found}. {WHERE}")
    return path


def _readable(file: Path, part: str) -> str | dict[str, torch.Tensor]:
    """Return the file's name, or its weights under the name of their part where the oldest layout leaves it out."""
    try:
        with safe_open(file, "pt") as opened:
            names = list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(f"adapter {file} cannot be read: {error}. {WHERE}") from error
    if not any("lora" in name for name in names):
        raise UserError(f"adapter {file} has {len(names)} tensors, none of them LoRA. {WHERE}")
    strange = [name for name in names if "dora_scale" in name]
    if strange:
        raise UserError(f"adapter {file} is DoRA ({strange[0]}), of which diffusers would use a part. {WHERE}")
    if all(".processor." in name and not name.startswith(f"{part}.") for name in names):
        return {f"{part}.{name}": tensor for name, tensor in load_file(file).items()}
    return str(file)


def _extent(weights: dict[str, torch.Tensor]) -> tuple[int, int]:
    """Return how many LoRA matrices there are, and how many numbers they hold."""
    sizes = [weight.numel() for name, weight in weights.items() if "lora" in name and not name.endswith("alpha")]
    return len(sizes), sum(sizes)


def _adapter(module: Any) -> dict[str, torch.Tensor]:
    names = list(getattr(module, "peft_config", {}))
    return get_peft_model_state_dict(module, adapter_name=names[-1]) if names else {}
