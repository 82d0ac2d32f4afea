"""Load a pipeline's text encoders, and refuse a checkpoint of which any weight would stay random; knows no architecture.

`DiffusionPipeline.from_pretrained` says nothing of weights that a text encoder lacks: they are drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import transformers

from tckr.errors import UserError

UNUSED = ("safety_checker",)


def load_text_encoders(
    name: str, source: str, index: Mapping[str, Any], *, revision: str | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Return the models of transformers that the pipeline `index` names, by part, as the pipeline itself would load them.

    Raises:
        UserError: one of them lacks weights.
    """
    loaded = {}
    for part, (kind, encoder) in _models_of_transformers(index).items():
        loaded[part], found = encoder.from_pretrained(
            source,
            subfolder=part,
            revision=revision,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused here, by name
        )
        mismatched = (key for key, *_ in found["mismatched_keys"])
        _refuse(name, f"{part} ({kind})", {*found["missing_keys"], *mismatched})
    return loaded


def refuse_empty(name: str, components: Mapping[str, Any]) -> None:
    """Raise a UserError when a weight of the parts that diffusers itself loads was in no file."""
    for part, module in components.items():
        if isinstance(module, torch.nn.Module):
            weights = (*module.named_parameters(), *module.named_buffers())
            _refuse(name, f"{part} ({type(module).__name__})", {key for key, weight in weights if weight.is_meta})


def _models_of_transformers(index: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return part -> name and class of the models that the pipeline takes from transformers."""
    found = {}
    for part, described in index.items():
        if isinstance(described, list) and described[:1] == ["transformers"] and part not in UNUSED:
            encoder = getattr(transformers, described[1], None)
            if isinstance(encoder, type) and issubclass(encoder, transformers.PreTrainedModel):
                found[part] = described[1], encoder
    return found


def _refuse(name: str, where: str, missing: Iterable[str]) -> None:
    if missing := sorted(missing):
        raise UserError(
            f"generator {name!r} lacks {len(missing)} weights of its {where}, or has them in another size than its "
            f"configuration says, first {missing[0]}; they would stay random. Expected a whole checkpoint; download or "
            "copy it again, or set adapt.model to another one"
        )
