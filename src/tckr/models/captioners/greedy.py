"""Greedy decoding as every captioner family needs it; knows neither images nor text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p")


def decode_greedily_by_default(model: Any, pad_token_id: int | None) -> None:
    """Change what `model` (in evaluation mode from here on) generates by to one beam of most likely tokens.

    Checkpoints bring settings for sampling or beams, which contradict greedy decoding and are warned about at every call.
    Penalties of repetition stay: they belong to how the checkpoint writes well.

    Args:
        model: any transformers model that generates.
        pad_token_id: what fills a sequence that ended before others; used where the checkpoint names none.
    """
    model.eval()
    settings = model.generation_config
    settings.do_sample, settings.num_beams, settings.early_stopping = False, 1, False
    settings.max_length = None  # `max_new_tokens` is always given
    for name in SAMPLING:
        setattr(settings, name, None)
    if settings.pad_token_id is None:
        settings.pad_token_id = pad_token_id


@torch.inference_mode()
def generate_tokens(model: Any, inputs: Any, max_new_tokens: int) -> torch.Tensor:
    """Return int64 [B, T] of a processor's `inputs` (`BatchFeature`), which go to the device and type of `model`."""
    on_device: Mapping[str, Any] = inputs.to(model.device, model.dtype)  # casts floating tensors only: ids stay integers
    return model.generate(**on_device, max_new_tokens=max_new_tokens)
