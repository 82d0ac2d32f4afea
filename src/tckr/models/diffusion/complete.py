"""Load the networks of a pipeline, each whole or not at all; knows no architecture.

`DiffusionPipeline.from_pretrained` says nothing of weights that a text encoder lacks, which are drawn at random, and nothing
of weights that no part has a place for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import diffusers
import torch
import transformers

from tckr.errors import UserError
from tckr.models.complete import incomplete

UNUSED = ("safety_checker",)
LIBRARIES = {"transformers": (transformers, transformers.PreTrainedModel), "diffusers": (diffusers, diffusers.ModelMixin)}
"""Name -> library and what its networks are; other parts of a pipeline, such as tokenizers, have no weights."""


def load_networks(
    name: str, source: str, index: Mapping[str, Any], *, revision: str | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Return the networks that the pipeline `index` names, by part, as the pipeline itself would load them.

    Raises:
        UserError: one of them lacks weights, or has more than its configuration describes.
    """
    loaded = {}
    for part, network in _networks(index):
        of_transformers = issubclass(network, transformers.PreTrainedModel)
        loaded[part], found = network.from_pretrained(
            source,
            subfolder=part,
            revision=revision,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **({"ignore_mismatched_sizes": True} if of_transformers else {}),  # refused here; diffusers does so itself
        )
        if wrong := incomplete(loaded[part], found, strict=not of_transformers):
            raise UserError(
                f"the {part} ({network.__name__}) of generator {name!r} is not the one that its configuration describes: "
                f"{wrong}. These weights would stay random or be left out. Expected a whole checkpoint; download or copy it "
                "again, or set adapt.model to another one"
            )
    return loaded


def _networks(index: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield part and class of every network that the pipeline takes from transformers or diffusers."""
    for part, described in index.items():
        library, kind = described if isinstance(described, list) and len(described) == 2 else (None, None)
        if library in LIBRARIES and isinstance(kind, str) and part not in UNUSED:
            module, base = LIBRARIES[library]
            network = getattr(module, kind, None)
            if isinstance(network, type) and issubclass(network, base):
                yield part, network
