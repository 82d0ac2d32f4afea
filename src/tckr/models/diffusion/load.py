"""Load a generator by embedded name, folder or hub id: the only `from_pretrained` of generators."""

from __future__ import annotations

import torch
from diffusers import DiffusionPipeline

from tckr.errors import UserError
from tckr.models.diffusion.generator import Generator
from tckr.models.diffusion.stable_diffusion import StableDiffusionGenerator
from tckr.models.embedded import resolve
from tckr.models.quiet import quiet_libraries

FAMILIES = {"StableDiffusionPipeline": StableDiffusionGenerator}


def load_generator(name: str, device: str, dtype: torch.dtype | None = None, revision: str | None = None) -> Generator:
    """Return the generator `name` on `device`, in float16 on CUDA and float32 elsewhere unless `dtype` is given.

    Only safetensors weights are read and no code of the checkpoint is run. No safety checker is loaded: it replaces images
    by black ones, which a training set must not hold unseen.

    Args:
        name: `embedded:generator`, a `save_pretrained` folder, or a hub id such as `stabilityai/stable-diffusion-2`.
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
            kind = str(DiffusionPipeline.load_config(source, revision=revision)["_class_name"])
            if kind in FAMILIES:
                pipeline = DiffusionPipeline.from_pretrained(
                    source,
                    revision=revision,
                    dtype=dtype,
                    use_safetensors=True,
                    safety_checker=None,
                    requires_safety_checker=False,
                )
    except (OSError, ValueError) as error:  # how diffusers reports missing, offline, gated and malformed checkpoints
        raise UserError(_unreadable(name, error)) from error
    if kind not in FAMILIES:
        raise UserError(
            f"generator {name!r} is a {kind}, which is not supported; expected one of {', '.join(FAMILIES)}; "
            "set adapt.model to such a checkpoint"
        )
    return FAMILIES[kind](pipeline.to(device))


def _unreadable(name: str, error: Exception) -> str:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return (
        f"generator {name!r} could not be loaded: {reason} Expected a diffusers text-to-image pipeline with safetensors "
        "weights, in a folder or on the hub. Check the name and the connection, download it beforehand with "
        "`hf download`, or set adapt.model=embedded:generator"
    )
