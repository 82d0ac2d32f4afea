"""Read the strength of an adapter from peft's settings: in `adapter_config.json`, or in the metadata of its file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tckr.errors import UserError, shown

PEFT_FILE, PEFT_SETTINGS, PEFT_PREFIX = "adapter_model.safetensors", "adapter_config.json", "base_model.model."
METADATA = "lora_adapter_metadata"
"""Metadata key of diffusers for peft's settings, each under the name of its part: `unet.lora_alpha`."""

WITHOUT_EFFECT = {
    *(
        "auto_mapping",
        "base_model_name_or_path",
        "revision",
        "task_type",
        "peft_version",
        "inference_mode",
        "runtime_config",
    ),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "lora_dropout", "fan_in_fan_out"),
    *("megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size"),
    *("ensure_weight_tying", "save_adapter_config"),
}
"""Settings that are not needed: those of its training, and those of layers, which are given by the names in the file."""

READ = {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "init_lora_weights"}

PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Initialisations that leave the model unchanged; PiSSA, OLoRA and others change it."""


@dataclass(frozen=True)
class Scaling:
    """The strength of each layer.

    Attributes:
        file: the adapter's file, for messages.
        parts: prefix of the names of a part ("" = all) -> peft's settings.
    """

    file: Path
    parts: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, file: Path, parts: Mapping[str, Mapping[str, Any]] | None) -> Scaling | None:
        """Return the scaling given by the settings, None without settings; raise a UserError unless it is plain LoRA."""
        if not parts:
            return None
        for settings in parts.values():
            _refuse_others(file, settings)
        return cls(file, parts)

    def scale(self, name: str, rank: int) -> float:
        """Return alpha / rank of the layer `name`, or alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023).

        Raises:
            UserError: the rank in the settings differs from that of the layer.
        """
        part = next((part for part in self.parts if not part or name.startswith(f"{part}.")), None)
        if part is None:
            return 1.0
        settings, name = self.parts[part], name.removeprefix(f"{part}.").removeprefix(PEFT_PREFIX)
        stated = _of_layer(self.file, settings.get("rank_pattern"), name, settings["r"])
        alpha = _of_layer(self.file, settings.get("alpha_pattern"), name, settings["lora_alpha"])
        if stated != rank:
            raise UserError(
                f"adapter {self.file}: {shown(name)} has rank {rank}, but its settings give {stated}; use the settings that "
                "were saved with it"
            )
        return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def settings_beside(file: Path, names: Iterable[str]) -> dict[str, dict[str, Any]] | None:
    """Return the settings in the folder of an adapter written by peft's `save_pretrained`; None for any other file.

    Args:
        file: the adapter's file; it may have been renamed.
        names: names of its tensors.
    """
    path = file.parent / PEFT_SETTINGS
    renamed = path.is_file() and any(name.startswith(PEFT_PREFIX) for name in names)
    if file.name != PEFT_FILE and not renamed:
        return None
    if not path.is_file():
        raise UserError(
            f"adapter {file} has no {PEFT_SETTINGS} beside it, which contains its strength (alpha); copy it from the "
            "source of the adapter"
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}; copy it again") from error
    if not isinstance(settings, dict):
        raise UserError(f"{path} is not a JSON object; expected the settings that peft writes; copy it again")
    return {"": settings}


def settings_within(file: Path, metadata: Mapping[str, str]) -> dict[str, dict[str, Any]] | None:
    """Return part -> settings, as diffusers writes them into the file; None if there are none."""
    if METADATA not in metadata:
        return None
    try:
        flat = json.loads(metadata[METADATA])
        parts: dict[str, dict[str, Any]] = {}
        for key, value in flat.items():
            part, _, setting = key.partition(".")
            parts.setdefault(part, {})[setting] = value
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"adapter {file}: its metadata {METADATA} is not a JSON object; save it again") from error
    return parts


def _refuse_others(file: Path, settings: Mapping[str, Any]) -> None:
    kind = settings.get("peft_type", "LORA")
    if str(kind).rpartition(".")[2] != "LORA":
        raise UserError(
            f"adapter {file} is {shown(kind)} of peft; expected LoRA. Merge it into the model and use that model"
        )
    others = [name for name, value in settings.items() if value and value != "none" and name not in READ | WITHOUT_EFFECT]
    if others:
        raise UserError(
            f"adapter {file} was trained with {shown(others[0])} of peft, so it is not a plain LoRA "
            "and cannot be applied. Merge it into the model and use that model"
        )
    start = settings.get("init_lora_weights")
    if start not in PLAIN_STARTS:
        raise UserError(
            f"adapter {file} was initialised with {shown(start)}, which changes its base model; it cannot be "
            "added to the original model. Save it as an ordinary LoRA (peft: path_initial_model_for_weight_conversion)"
        )
    for name in ("r", "lora_alpha"):
        _number(file, name, settings.get(name))


def _of_layer(file: Path, patterns: Any, name: str, usual: float) -> float:
    """Return the value for the layer `name`: that of the first pattern that matches its end, from a dot on, or the default.

    A pattern that starts with ^ is the complete name.
    """
    if not isinstance(patterns or {}, dict):
        raise UserError(
            f"adapter {file}: its settings have the patterns {shown(patterns)}; expected names of layers: numbers"
        )
    for pattern, value in (patterns or {}).items():
        ending = str(pattern).removeprefix("^").replace("\\.", ".")
        if not ending.replace(".", "").replace("_", "").isalnum():
            raise UserError(f"adapter {file}: the pattern {shown(pattern)} of its settings is not a name of a layer")
        if name == ending or (name.endswith(f".{ending}") and not str(pattern).startswith("^")):
            return _number(file, str(pattern), value)
    return usual


def _number(file: Path, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"adapter {file}: its settings have {shown(name)} = {shown(value)}; expected a number")
    return value
