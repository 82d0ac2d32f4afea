"""Build a classifier by name, or load a saved one. Only this module loads pretrained classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel

from tckr.errors import UserError
from tckr.models.classifiers.classifier import Classifier
from tckr.models.classifiers.embedded import PLAIN, embedded_resnet, embedded_resnet18
from tckr.models.classifiers.ensemble import AnyClassifier, Ensemble, member_folders
from tckr.models.classifiers.head import head_of
from tckr.models.classifiers.preprocessing import ClassifierSpec, read_spec
from tckr.models.complete import incomplete, unusable
from tckr.models.quiet import quiet_libraries

EMBEDDED: dict[str, Callable[[dict[int, str]], tuple[PreTrainedModel, ClassifierSpec]]] = {
    "embedded:resnet": embedded_resnet,
    "embedded:resnet18": embedded_resnet18,
}


def build_classifier(
    name: str,
    num_classes: int,
    class_names: Sequence[str],
    seed: int,
    revision: str | None = None,
    *,
    pretrained: bool = True,
    image_size: int | None = None,
) -> Classifier:
    """Return an untrained classifier, or a pretrained one with a new last layer.

    Args:
        name: a key of EMBEDDED, a Hugging Face id, or a folder in `save_pretrained` layout (safetensors only).
        num_classes: K.
        class_names: K names, index = label; stored in the model's config.
        seed: seed of all random weights; equal seeds give equal weights.
        revision: commit or branch on the hub; None is the default branch.
        pretrained: load the checkpoint's weights; otherwise only its configuration is read, and all weights are random.
        image_size: side in px to which images are scaled; None uses the size in the configuration.

    Raises:
        UserError: the checkpoint cannot be used, or not with this size; the message gives the reason.
    """
    assert len(class_names) == len(set(class_names)) == num_classes, class_names
    names = dict(enumerate(class_names))
    with torch.random.fork_rng(devices=[]), quiet_libraries():
        torch.manual_seed(seed)
        if name in EMBEDDED:
            network, spec = EMBEDDED[name](names)
        elif name.startswith("embedded:"):
            raise UserError(f"there is no model '{name}'. Choose one of {', '.join(EMBEDDED)}, or a Hugging Face model id.")
        else:
            network = _network(name, names, revision, pretrained)
            spec = _spec(name, network, revision, untrained_size=None if pretrained else image_size)
    if image_size is not None:
        spec = replace(spec, input_size=(image_size, image_size))
    return _checked(Classifier(network, spec), name)


def _spec(name: str, network: PreTrainedModel, revision: str | None, untrained_size: int | None) -> ClassifierSpec:
    """Return the input specification of the network; with random weights it only contains a size."""
    try:
        return read_spec(name, network.config, revision)
    except UserError:
        if untrained_size is None:
            raise
        return replace(PLAIN, input_size=(untrained_size, untrained_size))


def load_classifier(folder: Path) -> AnyClassifier:
    """Return the trained model in `folder`, in evaluation mode: a classifier, or an ensemble of those in `member-*`."""
    members = member_folders(folder)
    return Ensemble([_load(member) for member in members]).eval() if members else _load(folder)


def _load(folder: Path) -> Classifier:
    """Return the classifier that `Classifier.save` wrote, with its class names and input specification."""
    with quiet_libraries():
        try:
            network, found = AutoModelForImageClassification.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # rejected below, with names
                output_loading_info=True,
            )
        except Exception as error:  # the libraries raise various types for damaged files
            raise UserError(_damaged(folder, _reason(error))) from error
    if wrong := incomplete(network, found):
        raise UserError(_damaged(folder, wrong))
    return Classifier(network, read_spec(str(folder), network.config)).eval()


def _damaged(folder: Path, reason: str) -> str:
    return (
        f"the classifier in {folder} cannot be loaded: {reason}. Expected files written by TCKR; delete the "
        "artifact and run again, or copy it again from its source"
    )


def _network(name: str, names: dict[int, str], revision: str | None, pretrained: bool) -> PreTrainedModel:
    labels: dict[str, Any] = {
        "num_labels": len(names),
        "id2label": names,
        "label2id": {label: index for index, label in names.items()},
        "problem_type": None,  # the value of its former task would make the pipeline of transformers expect several labels
        "return_dict": True,
    }
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False, **labels)
        # timm's number for the old head, besides num_labels
        (getattr(config, "model_args", None) or {}).pop("num_classes", None)
        head = head_of(config)
        if not pretrained:
            return AutoModelForImageClassification.from_config(config, trust_remote_code=False)
        network, found = AutoModelForImageClassification.from_pretrained(
            name,
            config=config,
            revision=revision,
            ignore_mismatched_sizes=True,  # a last layer for other classes is replaced by a new one
            use_safetensors=True,
            trust_remote_code=False,  # otherwise transformers asks on the terminal whether to run it
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # the libraries raise various types for damaged or unsuitable checkpoints
        advice = (
            "Install it: timm's need `pip install tckr[timm]`."
            if isinstance(error, ImportError)
            else "Check the name and the network."
        )
        raise UserError(
            f"model '{name}' cannot be loaded as an image classifier ({_reason(error)}). Expected one of "
            f"{', '.join(EMBEDDED)}, or a Hugging Face id or folder with an image-classification model in safetensors. "
            f"{advice}"
        ) from error
    if wrong := incomplete(network, found, head) or unusable(network):
        raise UserError(
            f"model '{name}' is not the checkpoint that its configuration describes: {wrong}. Expected all weights "
            "except those of the last layer, and finite values; otherwise weights would be random or "
            "ignored. Download or save it again, or choose another"
        )
    return network


def _reason(error: Exception) -> str:
    return next((line.strip() for line in str(error).split("\n") if line.strip()), type(error).__name__)


def _checked(classifier: Classifier, name: str) -> Classifier:
    """Return the classifier if it accepts colour images of its size."""
    height, width = classifier.spec.input_size
    size = height if height == width else f"{width} x {height}"
    try:
        with torch.inference_mode():
            logits = classifier.eval()(torch.zeros(1, 3, height, width))
    except Exception as error:  # networks with other inputs raise various types
        raise UserError(
            f"model '{name}' does not take images of {size} px in colour ({_reason(error)}). Set image_size to "
            "null to use its own size, or choose a convolutional network, which accepts any size."
        ) from error
    num_classes = len(classifier.class_names)
    if logits.shape != (1, num_classes):
        raise UserError(
            f"model '{name}' returns {tuple(logits.shape)} numbers for one image and {num_classes} classes; expected "
            "one for each class. Choose another model"
        )
    return classifier.train()
