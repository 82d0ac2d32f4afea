"""The list of files that may leave, with their columns and keys.

Everything that is not on it stays: `manifest.json` of every artifact (settings, paths, digests), prompts and seeds of the
synthetic set, what was redrawn or left out, histories. A new file or column is private until it is written here.
"""

from __future__ import annotations

from collections.abc import Mapping

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
