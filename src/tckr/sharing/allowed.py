"""The list of what may leave: files of each artifact with their columns and keys, settings, names of models.

Everything that is not on it stays: `manifest.json` of every artifact (settings, paths, digests), prompts and seeds of the
synthetic set, what was redrawn or left out, histories. A new file, column or setting is private until it is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tckr.sharing.rules import Keys, Rule, Table, Weights, Whole

MODEL_WORDS = frozenset(
    {
        "architectures",
        "dtype",
        "hidden_act",
        "id2label",
        "image_processor_type",
        "label2id",
        "layer_type",
        "model_type",
        "out_features",
        "problem_type",
        "stage_names",
        "transformers_version",
    }
)
"""Keys of a checkpoint's configuration whose texts may leave: the architecture and the class names."""

LEAVES: Mapping[str, Mapping[str, Rule]] = {
    "adapt": {"*.safetensors": Weights()},
    "generate": {"data/*.parquet": Table(("image", "label", "index"))},
    "label": {"soft_labels.parquet": Table(("index", "label", "soft_label", "soft_label_class"), zero="view")},
    "distill": {"model/*.json": Keys(MODEL_WORDS), "model/*.safetensors": Weights()},
    "report": {"report.html": Whole(), "report.json": Whole()},
}
"""Stage -> pattern of its artifact's files -> what of such a file may leave. Seeds tell which images were redrawn,
prompts hold captions, the labels of augmented views need the seed of the views, `adapter.json` the user's words. The two
files of the report are made of nothing but what may leave (`tckr.stages.report.shared`)."""

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
            "image_size",
            "layout",
            "max_pixels",
            "max_unpacked",
            "min_classes",
            "min_images_per_class",
            "num_canaries",
            "public",
            "test_fraction",
            "validation_fraction",
        }
    ),
    "caption": frozenset({"max_new_tokens", "model"}),
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
            "fidelity_model",
            "flip",
            "images_alone",
            "loss_draws",
            "num_neighbours",
            "num_reference_runs",
            "scorer",
            "shift",
        }
    ),
    "report": frozenset({"gallery_images_per_class", "include_private"}),
}
"""Stage -> its settings that may leave: numbers, switches, words out of a fixed few, and models (see `shown_model`). No free
text, no path, no name that a user gave."""

MODEL_SETTINGS = frozenset({"fidelity_model", "model", "other_models"})

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
        "stabilityai/stable-diffusion-2",
        "stabilityai/stable-diffusion-3-medium-diffusers",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
    }
)
"""Base models that ship with TCKR or that everybody can name. Any other `owner/name` may be a private repository, and is
not named."""

UNNAMED = "another model, not named here"


def allowed_settings(stage: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a stage that may leave."""
    kept = {name: value for name, value in settings.items() if name in SETTINGS[stage]}
    return {name: _model(value) if name in MODEL_SETTINGS else value for name, value in kept.items()}


def shown_model(name: str) -> str:
    """Return the name of one of `PUBLIC_MODELS`, without its revision; of any other model only that it is another."""
    bare = name.partition("@")[0]
    return bare if bare in PUBLIC_MODELS or not bare else UNNAMED


def _model(value: Any) -> Any:
    return [shown_model(name) for name in value] if isinstance(value, list) else shown_model(value or "")
