"""Greedy decoding for all captioner families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p")


def decode_greedily_by_default(model: Any, pad_token_id: int | None) -> None:
    """Change the generation settings of `model` to greedy decoding, and set evaluation mode.

    Checkpoints have settings for sampling or beam search, which contradict greedy decoding and cause a warning at every
    call. Repetition penalties are kept, because they affect the quality of the text.

    Args:
        model: any transformers model that generates.
        pad_token_id: token that fills shorter sequences; used if the checkpoint has none.
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
    """Return int64 [B, T] for a processor's `inputs` (`BatchFeature`), which are moved to the device and type of `model`."""
    on_device: Mapping[str, Any] = inputs.to(model.device, model.dtype)  # casts floating tensors only: ids stay integers
    return model.generate(**on_device, max_new_tokens=max_new_tokens)
