"""Make a classifier by name, or load one that was saved. The only `from_pretrained` of classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForImageClassification, PreTrainedModel

from tckr.errors import UserError
from tckr.models.classifiers.classifier import Classifier
from tckr.models.classifiers.embedded import embedded_resnet
from tckr.models.classifiers.ensemble import AnyClassifier, Ensemble, member_folders
from tckr.models.classifiers.preprocessing import ClassifierSpec, read_spec
from tckr.models.quiet import quiet_libraries

EMBEDDED: dict[str, Callable[[dict[int, str]], tuple[PreTrainedModel, ClassifierSpec]]] = {
    "embedded:resnet": embedded_resnet,
}


def build_classifier(
    name: str, num_classes: int, class_names: Sequence[str], seed: int, revision: str | None = None
) -> Classifier:
    """Return an untrained classifier, or a pretrained one with a fresh last layer.

    Args:
        name: a key of EMBEDDED, a Hugging Face id, or a folder in `save_pretrained` layout (safetensors only).
        num_classes: K.
        class_names: K names, index = label; they travel in the model's config.
        seed: of every weight that is drawn; equal seeds give equal weights.
        revision: commit or branch on the hub; None is the default branch.

    Raises:
        UserError: the checkpoint cannot be used, with the reason.
    """
    assert len(class_names) == len(set(class_names)) == num_classes, class_names
    names = dict(enumerate(class_names))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in EMBEDDED:
            return Classifier(*EMBEDDED[name](names))
        if name.startswith("embedded:"):
            raise UserError(f"there is no model '{name}'. Choose one of {', '.join(EMBEDDED)}, or a Hugging Face model id.")
        with quiet_libraries():
            network = _pretrained(name, names, revision)
    return Classifier(network, read_spec(name, network.config, revision))


def load_classifier(folder: Path) -> AnyClassifier:
    """Return, in evaluation mode, what a training left in `folder`: a classifier, or the ensemble of those in `member-*`."""
    members = member_folders(folder)
    return Ensemble([_load(member) for member in members]).eval() if members else _load(folder)


def _load(folder: Path) -> Classifier:
    """Return the classifier that `Classifier.save` wrote; its names and input come with it."""
    with quiet_libraries():
        network = AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
    return Classifier(network, read_spec(str(folder), network.config)).eval()


def _pretrained(name: str, names: dict[int, str], revision: str | None) -> PreTrainedModel:
    try:
        return AutoModelForImageClassification.from_pretrained(
            name,
            revision=revision,
            num_labels=len(names),
            id2label=names,
            label2id={label: index for index, label in names.items()},
            ignore_mismatched_sizes=True,  # the last layer of other classes gives way to a fresh one
            use_safetensors=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"model '{name}' cannot be loaded as an image classifier ({reason}). Expected one of {', '.join(EMBEDDED)}, "
            "or a Hugging Face id or folder with an image-classification model in safetensors. Check the name and the "
            "network; timm checkpoints need `pip install timm`."
        ) from error
