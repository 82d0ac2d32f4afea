"""Load a captioner by embedded name, folder or hub id. Only this module loads captioners."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jinja2 import TemplateError
from transformers import AutoConfig, AutoModelForImageTextToText

from tckr.errors import UserError
from tckr.models.captioners.blip import BlipCaptioner
from tckr.models.captioners.captioner import Captioner
from tckr.models.captioners.chat import QUESTION, ChatCaptioner
from tckr.models.captioners.florence import FlorenceCaptioner
from tckr.models.captioners.processors import load_processor
from tckr.models.complete import incomplete, unusable
from tckr.models.embedded import WHEN_LOCAL, WHEN_REMOTE, resolve
from tckr.models.quiet import quiet_libraries


class Family(Protocol):
    """Create a captioner from a transformers model and its processor."""

    def __call__(self, model: Any, processor: Any) -> Captioner:
        """Return the captioner."""
        ...


FAMILIES: dict[str, Family] = {"blip": BlipCaptioner, "blip-2": BlipCaptioner, "florence2": FlorenceCaptioner}
"""`model_type` -> family; any other type whose processor has a chat template is a `ChatCaptioner`."""


def load_captioner(name: str, device: str, dtype: torch.dtype | None = None, revision: str | None = None) -> Captioner:
    """Return the captioner `name` on `device`, in the type of `default_dtype` unless `dtype` is given.

    Only safetensors weights are read, and no code of the checkpoint is run. Images are processed by PIL, so that captions do
    not depend on whether torchvision is installed.

    Args:
        name: `embedded:captioner`, a `save_pretrained` folder, or a hub id such as `Salesforce/blip2-opt-2.7b`.
        device: torch device name.
        dtype: floating type of the weights.
        revision: commit or branch on the hub; None is the default branch.

    Raises:
        UserError: the checkpoint is missing, unreadable, incomplete, without safetensors, of a family that is not
            supported, or needs a package that is not installed.
    """
    source = resolve(name)
    try:
        with quiet_libraries():
            config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
            if type(config) not in AutoModelForImageTextToText._model_mapping:
                raise UserError(_unsupported(name, config.model_type))
            processor = load_processor(source, config, revision)
            family = _family(name, config.model_type, processor)
            model, found = AutoModelForImageTextToText.from_pretrained(
                source,
                revision=revision,
                dtype=dtype or default_dtype(config, device),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # rejected below, with names
            )
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"captioner {name!r} needs a package that is not installed: {_first_line(error)}") from error
    except Exception as error:  # missing, offline, gated; and various types for malformed checkpoints
        raise UserError(_unreadable(name, error)) from error
    if wrong := incomplete(model, found) or unusable(model):
        raise UserError(_not_whole(name, wrong))
    captioner = family(model.to(device), processor)
    if isinstance(captioner, ChatCaptioner):
        _refuse_speechless(name, captioner)
    return captioner


def default_dtype(config: Any, device: str) -> torch.dtype:
    """Return float32 except on CUDA; there float16 for the known families, which were published in it, else bfloat16.

    Chat models are trained in bfloat16, and some (Gemma 3) overflow in float16. A GPU without bfloat16 computes them in
    float32, unless the checkpoint itself is in float16.
    """
    if not device.startswith("cuda"):
        return torch.float32
    if config.model_type in FAMILIES:
        return torch.float16
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16 if config.dtype == torch.float16 else torch.float32


def _family(name: str, model_type: str, processor: Any) -> Family:
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    if getattr(processor, "chat_template", None) and getattr(processor, "tokenizer", None):
        return ChatCaptioner
    raise UserError(
        f"captioner {name!r}, of type {model_type!r}, has no chat template (chat_template.jinja beside its weights), so it "
        f"cannot be queried about an image; expected one of {', '.join(FAMILIES)}, which need none, or a "
        "model with one; add the file, or set caption.model to another checkpoint"
    )


def _not_whole(name: str, wrong: str) -> str:
    return (
        f"captioner {name!r} is not the checkpoint that its configuration describes: {wrong}. Expected all weights, and "
        "finite values; otherwise weights would be random or ignored. Use a checkpoint that transformers "
        "has written (for Florence-2: florence-community/Florence-2-base, not the one that contains its own "
        "code). Set caption.model to it, or download it again"
    )


def _refuse_speechless(name: str, captioner: ChatCaptioner) -> None:
    """Raise a UserError unless the checkpoint's processor and chat template can combine an image and a question."""
    try:
        captioner.ask(np.zeros((1, 64, 64, 3), dtype=np.uint8), QUESTION)
    # a template is a program and may raise anything of these
    except (TemplateError, ValueError, TypeError, KeyError, IndexError) as error:
        raise UserError(
            f"captioner {name!r} cannot be queried about an image: {_first_line(error)}. Expected a chat "
            "template that takes an image and a text in one message of the user. Set caption.model to another checkpoint"
        ) from error


def _unsupported(name: str, model_type: str) -> str:
    return (
        f"captioner {name!r} is of type {model_type!r}, which is not supported; expected one of {', '.join(FAMILIES)}, or "
        "an image-text-to-text model of transformers whose processor has a chat template; set caption.model to such a model"
    )


def _unreadable(name: str, error: Exception) -> str:
    advice = WHEN_LOCAL if Path(name).is_dir() else WHEN_REMOTE
    return (
        f"captioner {name!r} could not be loaded: {_first_line(error)} Expected a transformers image-to-text checkpoint "
        f"with safetensors weights, in a folder or on the hub. {advice}, or set caption.model=embedded:captioner"
    )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
