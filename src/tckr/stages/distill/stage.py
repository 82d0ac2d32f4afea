"""distill: read synthetic images and their labels, train the Student, write its checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import torch

from tckr.data.class_names import read_class_names
from tckr.data.images import ImageSet, load_images
from tckr.data.seeds import derive_seed
from tckr.data.shards import write_whole
from tckr.engine.step import StepContext
from tckr.models.classifiers import class_columns, load_classifier
from tckr.stages.distill.config import DistillConfig
from tckr.stages.distill.disowned import leave_out, own_probabilities
from tckr.stages.distill.targets import SoftTargets, shows_views, soft_targets, split_synthetic
from tckr.training.artifact import MODEL_FOLDER, save_training
from tckr.training.checkpoint import read_state
from tckr.training.config import AugmentConfig
from tckr.training.fit import fit, new_classifier
from tckr.training.losses import CrossEntropy, Loss, Mixture, OnlineDistillation, StoredDistillation
from tckr.training.soft_labels import SoftLabels, read_soft_labels

AUGMENT_UNUSED = (
    "distill.augment is set and without effect: label.views is above 1, so the Student sees the views that were labelled, "
    "made as label.augment says; set that one, or label.views=1"
)


def run(config: DistillConfig, context: StepContext) -> None:
    """Train the Student on inputs `synthetic` and `labels` (and `teacher` when config.labels is "online")."""
    class_names = read_class_names(context.inputs["synthetic"] / "data")
    images = load_images(context.inputs["synthetic"] / "data", context.scratch, id_column="index")
    labels = read_soft_labels(context.inputs["labels"], context.scratch)
    targets = soft_targets(images, class_names, labels, config)
    if context.run == 0 and shows_views(config, labels) and config.augment != AugmentConfig():
        context.log("warning", message=AUGMENT_UNUSED)
    data, validation = split_synthetic(
        images, targets, _kept(config, context, images, targets, class_names), config, context.seed
    )
    config = config.resolved(len(data))
    model = new_classifier(config, class_names, derive_seed(context.seed, "initialise"))
    finished = len(read_state(context.scratch).history)
    with context.track(config.epochs, "epochs", finished) as advance:
        result = fit(
            model,
            data,
            validation,
            _choose_loss(config, context, class_names, labels),
            config.model_copy(update={"augment": AugmentConfig.none()}) if shows_views(config, labels) else config,
            seed=context.seed,
            device=context.execution.torch_device(),
            scratch=context.scratch,
            on_epoch=lambda record: advance(1),
            compiled=context.execution.compile,
        )
    save_training(context.out, model, result)
    context.log("trained", epochs=len(result.history), best_epoch=result.best_epoch, num_train=result.num_train)


def _kept(
    config: DistillConfig, context: StepContext, images: ImageSet, targets: SoftTargets, class_names: list[str]
) -> np.ndarray:
    """Return the rows of the images that the Teacher does not disown; the others are listed in left_out.json."""
    if not config.min_teacher_probability:
        return np.arange(len(images))
    own = own_probabilities(images, targets)
    kept, left_out = leave_out(own, images, class_names, config.min_teacher_probability)
    text = json.dumps(asdict(left_out), ensure_ascii=False) + "\n"
    write_whole(context.out / "left_out.json", lambda path: path.write_text(text, encoding="utf-8"))
    context.log("left_out", images=len(left_out.indices), kept=len(kept))
    return kept


def _choose_loss(config: DistillConfig, context: StepContext, class_names: list[str], labels: SoftLabels) -> Loss:
    if config.labels == "hard":
        return CrossEntropy(config.label_smoothing)
    stored = labels.recipe.temperature
    temperature = config.temperature or (stored if config.labels == "soft" else 1.0)
    mixture = Mixture(temperature=temperature, hard_weight=config.hard_weight, label_smoothing=config.label_smoothing)
    if config.labels == "soft":
        return StoredDistillation(mixture, stored)
    teacher = load_classifier(context.inputs["teacher"] / MODEL_FOLDER).to(context.execution.torch_device())
    columns = torch.from_numpy(class_columns(teacher.class_names, class_names))
    return OnlineDistillation(teacher, columns, mixture)
