"""distill: read synthetic images and their labels, train the Student, write its checkpoint."""

from __future__ import annotations

import torch

from tckr.data.class_names import read_class_names
from tckr.data.images import load_images
from tckr.data.seeds import derive_seed
from tckr.engine.step import StepContext
from tckr.models.classifiers import class_columns, load_classifier
from tckr.stages.distill.config import DistillConfig
from tckr.stages.distill.targets import align_soft_labels, split_synthetic
from tckr.training.artifact import MODEL_FOLDER, save_training
from tckr.training.batches import TrainingData
from tckr.training.checkpoint import read_state
from tckr.training.fit import fit, new_classifier
from tckr.training.losses import CrossEntropy, Loss, OnlineDistillation
from tckr.training.soft_labels import SOFT_LABELS_NAME, read_soft_labels


def run(config: DistillConfig, context: StepContext) -> None:
    """Train the Student on inputs `synthetic` and `labels` (and `teacher` when config.labels is "online")."""
    class_names = read_class_names(context.inputs["synthetic"] / "data")
    data, validation = _read_data(config, context, class_names)
    model = new_classifier(config, class_names, derive_seed(context.seed, "initialise"))
    finished = len(read_state(context.scratch).history)
    with context.track(config.epochs, "epochs", finished) as advance:
        result = fit(
            model,
            data,
            validation,
            _choose_loss(config, context, class_names),
            config,
            seed=context.seed,
            device=context.execution.torch_device(),
            scratch=context.scratch,
            on_epoch=lambda record: advance(1),
            compiled=context.execution.compile,
        )
    save_training(context.out, model, result)
    context.log("trained", epochs=len(result.history), best_epoch=result.best_epoch, num_train=result.num_train)


def _read_data(
    config: DistillConfig, context: StepContext, class_names: list[str]
) -> tuple[TrainingData, TrainingData | None]:
    images = load_images(context.inputs["synthetic"] / "data", context.scratch, id_column="index")
    indices, soft_labels = read_soft_labels(context.inputs["labels"] / SOFT_LABELS_NAME, context.scratch / "soft_labels.npy")
    columns = class_columns(read_class_names(context.inputs["labels"]), class_names)
    return split_synthetic(images, align_soft_labels(images, indices, soft_labels, columns), config, context.seed)


def _choose_loss(config: DistillConfig, context: StepContext, class_names: list[str]) -> Loss:
    if config.labels == "hard":
        return CrossEntropy(config.label_smoothing)
    if config.labels == "soft":
        return CrossEntropy()
    teacher = load_classifier(context.inputs["teacher"] / MODEL_FOLDER).to(context.execution.torch_device())
    columns = torch.from_numpy(class_columns(teacher.class_names, class_names))
    return OnlineDistillation(teacher, columns, config.temperature)
