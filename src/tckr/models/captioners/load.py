"""Load a captioner by embedded name, folder or hub id: the only `from_pretrained` of captioners."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from tckr.errors import UserError
from tckr.models.captioners.blip import BlipCaptioner
from tckr.models.captioners.captioner import Captioner
from tckr.models.embedded import resolve
from tckr.models.quiet import quiet_libraries

FAMILIES = {"blip": BlipCaptioner, "blip-2": BlipCaptioner}


def load_captioner(name: str, device: str, dtype: torch.dtype | None = None, revision: str | None = None) -> Captioner:
    """Return the captioner `name` on `device`, in float16 on CUDA and float32 elsewhere unless `dtype` is given.

    Only safetensors weights are read and no code of the checkpoint is run. Images go through the PIL image processor, so
    that captions do not depend on whether torchvision is installed.

    Args:
        name: `embedded:captioner`, a `save_pretrained` folder, or a hub id such as `Salesforce/blip2-opt-2.7b`.
        device: torch device name.
        dtype: floating type of the weights.
        revision: commit or branch on the hub; None is the default branch.

    Raises:
        UserError: the checkpoint is missing, unreadable, without safetensors, or of a family that is not supported.
    """
    source = resolve(name)
    dtype = dtype or (torch.float16 if device.startswith("cuda") else torch.float32)
    try:
        with quiet_libraries():
            family = FAMILIES.get(AutoConfig.from_pretrained(source, revision=revision).model_type)
            if family:
                processor = AutoProcessor.from_pretrained(source, revision=revision, backend="pil")
                model: Any = AutoModelForImageTextToText.from_pretrained(
                    source, revision=revision, dtype=dtype, use_safetensors=True
                )
    except (OSError, ValueError) as error:  # how transformers reports missing, offline, gated and malformed checkpoints
        raise UserError(_unreadable(name, error)) from error
    if family is None:
        raise UserError(
            f"captioner {name!r} is of a family that is not supported; expected one of {', '.join(FAMILIES)}; "
            "set caption.model to such a checkpoint"
        )
    return family(model.to(device), processor)


def _unreadable(name: str, error: Exception) -> str:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return (
        f"captioner {name!r} could not be loaded: {reason} Expected a transformers image-to-text checkpoint with "
        "safetensors weights, in a folder or on the hub. Check the name and the connection, download it beforehand with "
        "`hf download`, or set caption.model=embedded:captioner"
    )
