"""Names of the layers of a pipeline in LoRA files: those of Kohya, peft, diffusers, ComfyUI, XLabs and others.

All names that a file may use for the layers of this pipeline are listed and looked up, so a name is either known or
rejected. The converters of diffusers are not used, because they skip unknown names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from tckr.models.diffusion.original_names import original_names


class Place(NamedTuple):
    """A linear or convolutional layer of a part of the pipeline."""

    part: str
    layer: str


Places = tuple[Place, ...]
"""Layers covered by one name of a file: one layer, or several whose rows are stacked (fused q, k, v)."""

DENOISER_PREFIXES = ("", "base_model.model.", "diffusion_model.", "model.diffusion_model.")
DENOISER_WORDS = ("lora_unet_", "lora_transformer_", "lycoris_")
"""Prefixes of names whose dots are underscores: Kohya's scripts (also for transformers), OneTrainer, LyCORIS."""

KOHYA_ENCODERS = {
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
    "text_encoder_3": ("lora_te3_",),
}
COMFY_ENCODERS = {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl"}
OLD_ENCODER_LAYERS = {".q_proj": ".to_q", ".k_proj": ".to_k", ".v_proj": ".to_v", ".out_proj": ".to_out"}


def known_names(pipeline: Any, denoiser: str) -> dict[str, Places]:
    """Return name in a file -> the layers that it covers. Ambiguous names are left out.

    Args:
        pipeline: a pipeline of diffusers.
        denoiser: the pipeline's name for its denoiser.
    """
    known: dict[str, Places] = {}
    ambiguous = set()
    for name, places in _all_names(pipeline, denoiser):
        if known.setdefault(name, places) != places:
            ambiguous.add(name)
    return {name: places for name, places in known.items() if name not in ambiguous}


def adaptable_layers(pipeline: Any) -> dict[Place, torch.nn.Module]:
    """Return the layers of the pipeline that a LoRA can change, without those of the autoencoder."""
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module) and name != "vae"}
    return {
        Place(part, layer): module
        for part, network in parts.items()
        for layer, module in network.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }


def _all_names(pipeline: Any, denoiser: str) -> Iterator[tuple[str, Places]]:
    layers = adaptable_layers(pipeline)
    own = [place.layer for place in layers if place.part == denoiser]
    originals = original_names(type(pipeline).__name__, getattr(pipeline, denoiser))
    for layer in own:
        for form in (layer, *_as_processor(layer)):
            yield from _denoiser_names(denoiser, form, (Place(denoiser, layer),))
    for name, covered in originals.items():
        if set(covered) <= set(own):
            yield from _denoiser_names(denoiser, name, tuple(Place(denoiser, layer) for layer in covered))
    for place in layers:
        if place.part != denoiser:
            yield from ((name, (place,)) for name in _encoder_names(place, _is_t5(pipeline, place.part)))


def _denoiser_names(part: str, name: str, places: Places) -> Iterator[tuple[str, Places]]:
    prefixes = (*DENOISER_PREFIXES, f"{part}.", f"{part}.base_model.model.", f"base_model.model.{part}.")
    yield from ((f"{prefix}{name}", places) for prefix in prefixes)
    yield from ((f"{word}{name.replace('.', '_')}", places) for word in DENOISER_WORDS)


def _as_processor(layer: str) -> Iterator[str]:
    """Yield `attn1.processor.to_q` for `attn1.to_q`: attention processors were saved under such names."""
    attention, _, projection = layer.removesuffix(".0").rpartition(".")
    if attention.rpartition(".")[2].startswith("attn"):
        yield f"{attention}.processor.{projection}"


def _encoder_names(place: Place, t5: bool) -> Iterator[str]:
    part = "text_encoder_3" if t5 else place.part  # T5 is the third, whatever its position
    words = {*KOHYA_ENCODERS.get(place.part, ()), *KOHYA_ENCODERS.get(part, ())}
    for layer in _encoder_layers(place.layer):
        yield f"{place.part}.{layer}"
        yield f"{place.part}.base_model.model.{layer}"
        yield f"text_encoders.{COMFY_ENCODERS.get(part, part)}.transformer.{layer}"
        yield from (f"{word}{layer.replace('.', '_')}" for word in words)


def _encoder_layers(layer: str) -> Iterator[str]:
    """Yield the names of a layer with and without `text_model.`, which depends on the version of transformers."""
    bare = layer.removeprefix("text_model.")
    for name in (bare, f"text_model.{bare}"):
        yield name
        yield from (name.replace(new, old) for new, old in OLD_ENCODER_LAYERS.items() if name.endswith(new))


def _is_t5(pipeline: Any, part: str) -> bool:
    return type(getattr(pipeline, part)).__name__ == "T5EncoderModel"
