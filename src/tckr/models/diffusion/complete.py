"""Load the networks of a pipeline and check that each is complete.

`DiffusionPipeline.from_pretrained` does not report missing weights of a text encoder, which become random, nor weights that
no part uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from tckr.errors import UserError, shown
from tckr.models.complete import incomplete, unusable

UNUSED = ("safety_checker",)
OPTIONAL = (*UNUSED, "feature_extractor", "image_encoder")
"""Parts of pipelines that process input images, which is not needed here."""

LIBRARIES = {"transformers": (transformers, transformers.PreTrainedModel), "diffusers": (diffusers, diffusers.ModelMixin)}
"""Library name -> library and base class of its networks. Other parts, such as tokenizers, have no weights."""


def load_networks(
    name: str, source: str, index: Mapping[str, Any], *, revision: str | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Return the networks in the pipeline `index`, by part, as the pipeline itself would load them.

    Raises:
        UserError: one of them lacks weights or has more than its configuration describes, or a part is missing.
    """
    _refuse_absent(name, Path(source), index)
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
            **({"ignore_mismatched_sizes": True} if of_transformers else {}),  # rejected below; diffusers does so itself
        )
        if wrong := incomplete(loaded[part], found, strict=not of_transformers) or unusable(loaded[part]):
            raise UserError(
                f"the {part} ({network.__name__}) of generator {name!r} is not the one that its configuration describes: "
                f"{wrong}. Expected all weights, and finite ones; otherwise weights would be random or "
                "ignored. Download or copy it again, or set adapt.model to another one"
            )
    return loaded


def _refuse_absent(name: str, folder: Path, index: Mapping[str, Any]) -> None:
    """Raise a UserError if a part has no folder; the libraries would create an empty tokenizer."""
    named = [part for part, described in index.items() if isinstance(described, list) and described and described[0]]
    absent = [part for part in named if part not in OPTIONAL and folder.is_dir() and not (folder / part).is_dir()]
    if absent:
        raise UserError(
            f"generator {name!r} has no folder {absent[0]}, which its model_index.json names; download or copy it again, or "
            "set adapt.model to another one"
        )


def refuse_unusable_numbers(name: str, pipeline: Any) -> None:
    """Raise a UserError if the scheduler has no steps, or the autoencoder no scale."""
    steps = pipeline.scheduler.config.get("num_train_timesteps")
    scale = pipeline.vae.config.get("scaling_factor")
    for file, setting, value, wanted in (
        ("scheduler/scheduler_config.json", "num_train_timesteps", steps, isinstance(steps, int) and steps > 0),
        ("vae/config.json", "scaling_factor", scale, isinstance(scale, int | float) and 0 < scale < float("inf")),
    ):
        if not wanted:
            raise UserError(
                f"generator {name!r} has {setting} = {shown(value)} in {file}; expected a positive number; download or copy "
                "the file again"
            )


def _networks(index: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield part and class of every network of the pipeline that comes from transformers or diffusers."""
    for part, described in index.items():
        library, kind = described if isinstance(described, list) and len(described) == 2 else (None, None)
        if library in LIBRARIES and isinstance(kind, str) and part not in UNUSED:
            module, base = LIBRARIES[library]
            network = getattr(module, kind, None)
            if isinstance(network, type) and issubclass(network, base):
                yield part, network
