"""The list of settings that may leave in a shared report, a card or a release.

A new setting is private until it is listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tckr.sharing.allowed_models import shown_model

TRAINING_SETTINGS = frozenset(
    {
        "augment",
        "batch_size",
        "ema_decay",
        "epochs",
        "gradient_clip",
        "image_size",
        "label_smoothing",
        "learning_rate",
        "model",
        "patience",
        "precision",
        "pretrained",
        "selection",
        "warmup_fraction",
        "weight_decay",
    }
)

SETTINGS: Mapping[str, frozenset[str]] = {
    "prepare": frozenset(
        {
            "audit_holdout",
            "fit",
            "follow_links",
            "image_size",
            "intensity",
            "layout",
            "max_pixels",
            "max_unpacked",
            "min_classes",
            "min_images_per_class",
            "num_canaries",
            "public",
            "test_fraction",
            "validation_fraction",
            "window",
        }
    ),
    "caption": frozenset({"from_source", "max_new_tokens", "model"}),
    "adapt": frozenset(
        {
            "batch_size",
            "caption_dropout",
            "ema_decay",
            "epochs",
            "fraction",
            "horizontal_flip",
            "learning_rate",
            "lora_scale",
            "max_gradient_norm",
            "method",
            "min_snr_gamma",
            "model",
            "precision",
            "prompt_form",
            "rank",
            "schedule",
            "selection",
            "steps",
            "targets",
            "weight_decay",
        }
    ),
    "generate": frozenset(
        {
            "cardinality",
            "guidance_interval",
            "guidance_scale",
            "precision",
            "redraw_copies",
            "redraw_disowned",
            "shard_size",
            "solver",
            "spacing",
            "steps",
        }
    ),
    "teach": TRAINING_SETTINGS | {"balance", "num_teachers", "other_models"},
    "label": frozenset({"augment", "temperature", "top_k", "views"}),
    "distill": TRAINING_SETTINGS
    | {"hard_weight", "labels", "min_teacher_probability", "steps", "temperature", "validation_fraction"},
    "audit": frozenset(
        {
            "aop_lambda",
            "confidence",
            "delta",
            "depth",
            "family_level",
            "fidelity_model",
            "flip",
            "images_alone",
            "loss_draws",
            "num_neighbours",
            "num_reference_runs",
            "scorer",
            "shift",
            "signal",
        }
    ),
    "report": frozenset({"gallery_images_per_class", "include_private", "show_images"}),
}
"""Stage -> its settings that may leave: numbers, switches, words from a fixed set, and models (see `shown_model`). No free
text, no path, no name chosen by a user."""

WITHHELD: Mapping[str, frozenset[str]] = {
    "prepare": frozenset(
        {
            "class_names",
            "group_column",
            "group_pattern",
            "hub_split",
            "image_column",
            "label_column",
            "source",
            "table",
            "test_split",
        }
    ),
    "caption": frozenset({"class_names", "file", "prompt", "revision"}),
    "adapt": frozenset({"descriptions", "lora", "revision"}),
    "generate": frozenset({"few_step_adapter", "per_class", "redraw"}),
    "teach": frozenset({"revision"}),
    "label": frozenset(),
    "distill": frozenset({"revision"}),
    "audit": frozenset(),
    "report": frozenset({"title"}),
}
"""Stage -> its private settings: paths, words chosen by a user (columns, patterns, names, prompts), revisions of models
that may be private, regenerated images. A test checks that each setting is in exactly one of the two tables."""

MACHINE = frozenset({"activations_recomputed", "device", "images_per_pass", "processes", "threads"})
"""Values beside the settings that may leave: where and in which portions a stage computed."""

MODEL_SETTINGS = frozenset({"fidelity_model", "model", "other_models"})


def allowed_settings(stage: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a stage that may leave."""
    kept = {name: value for name, value in settings.items() if name in SETTINGS[stage]}
    return {name: _model(value) if name in MODEL_SETTINGS else value for name, value in kept.items()}


def allowed_values(stage: str, became: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may leave of the values that settings of a stage became, and of the portions in which it computed."""
    return {name: value for name, value in became.items() if name in SETTINGS[stage] | MACHINE}


def _model(value: Any) -> Any:
    return [shown_model(name) for name in value] if isinstance(value, list) else shown_model(value or "")
