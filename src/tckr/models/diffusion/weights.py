"""All weights of a denoiser: make them trainable (full fine-tuning), write and read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psutil
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tckr.disk import write_whole
from tckr.errors import UserError, shown

WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
"""Name of a denoiser's weights file in diffusers."""

MOST_PARAMETERS = 1_000_000_000
"""Stable Diffusion 2 has 0.87 billion. Larger models fit a private set as well with a LoRA, in a fraction of the memory."""

BYTES_PER_PARAMETER = 20
"""Bytes per weight in training: weight, gradient, both moments of AdamW and the moving average, float32; no activations."""

SMALLER = "Set adapt.method=lora, or use a smaller adapt.model"


def unfreeze(denoiser: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Make all weights of `denoiser` trainable, in float32, and return them by name.

    Raises:
        UserError: there are more than `MOST_PARAMETERS`, or too little memory.
    """
    _refuse_too_large(sum(weight.numel() for weight in denoiser.parameters()), next(denoiser.parameters()).device)
    denoiser.float().requires_grad_(True)
    return dict(denoiser.named_parameters())


def save_weights(denoiser: torch.nn.Module, folder: Path) -> None:
    """Write all weights in float16, as in checkpoints of generators."""
    tensors = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in denoiser.state_dict().items()}
    write_whole(folder / WEIGHTS_NAME, lambda partial: save_file(tensors, partial, {"format": "pt"}))


def load_weights(denoiser: torch.nn.Module, folder: Path) -> None:
    """Replace the weights of `denoiser` by those of `save_weights` in `folder`, keeping their present type.

    Raises:
        UserError: the file cannot be read, belongs to another denoiser, or has values that are not finite.
    """
    file = folder / WEIGHTS_NAME
    try:
        tensors = load_file(file)
        _refuse_quantised(tensors)
        denoiser.load_state_dict(tensors)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the weights {file} do not fit this generator: {reason}. Expected those of its denoiser, as `tckr adapt` "
            "writes them with adapt.method=full; adapt again with the present model"
        ) from error
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(
                f"the weights {file} are broken: {shown(name)} holds values that are not finite (NaN or infinity); adapt "
                "again with a lower adapt.learning_rate"
            )


def _refuse_quantised(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{shown(name)} is stored in {tensor.dtype}, as quantised weights are")


def _refuse_too_large(num_parameters: int, device: torch.device) -> None:
    if num_parameters > MOST_PARAMETERS:
        raise UserError(
            f"adapt.method=full trains all weights of the generator, but this one has {num_parameters / 1e9:.1f} billion; "
            f"expected at most {MOST_PARAMETERS / 1e9:.0f} billion. {SMALLER}"
        )
    needed = BYTES_PER_PARAMETER * num_parameters
    there = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else psutil.virtual_memory().total
    if needed > there:
        raise UserError(
            f"adapt.method=full needs {needed / 1e9:.1f} GB for the {num_parameters / 1e6:.0f} million weights of this "
            f"generator and their training, but the device has {there / 1e9:.1f} GB. {SMALLER}"
        )
