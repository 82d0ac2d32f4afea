"""distill: read synthetic images and their labels, train the Student, write its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from tckr.artifacts.soft_labels import SoftLabels, read_soft_labels
from tckr.artifacts.synthetic import load_synthetic, synthetic_class_names
from tckr.artifacts.training import MODEL_FOLDER
from tckr.data.images import ImageSet
from tckr.data.seeds import derive_seed
from tckr.engine.step import StepContext
from tckr.models.classifiers import AnyClassifier, class_columns, load_classifier
from tckr.stages.distill.config import DistillConfig
from tckr.stages.distill.disowned import leave_out, own_probabilities
from tckr.stages.distill.targets import SoftTargets, shows_views, soft_targets, split_synthetic
from tckr.training.artifact import save_training
from tckr.training.checkpoint import read_state
from tckr.training.config import AugmentConfig
from tckr.training.data_parallel import fit_together
from tckr.training.early_stopping import EpochRecord
from tckr.training.fit import Task, new_classifier
from tckr.training.losses import CrossEntropy, Loss, Mixture, OnlineDistillation, StoredDistillation

AUGMENT_UNUSED = (
    "distill.augment is set but has no effect: label.views is above 1, so the Student is trained on the labelled views, "
    "which label.augment defines; set label.augment, or label.views=1"
)


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """Images, and their stored labels (`targets`) in the order of the images' rows and classes."""

    class_names: list[str]
    images: ImageSet
    labels: SoftLabels
    targets: SoftTargets


def run(config: DistillConfig, context: StepContext) -> None:
    """Train the Student on inputs `synthetic` and `labels` (and `teacher` when config.labels is "online")."""
    synthetic = _read(config, context.inputs, context.scratch)
    if context.run == 0 and shows_views(config, synthetic.labels) and config.augment != AugmentConfig():
        context.log("warning", message=AUGMENT_UNUSED)
    kept, inputs = _kept(config, context, synthetic), dict(context.inputs)
    make_task = partial(
        _task, config=config, inputs=inputs, cache=context.scratch, kept=kept, run=context.run, seed=context.seed
    )
    task = make_task(context.execution.torch_device())
    context.became(epochs=task.config.epochs, image_size=task.model.spec.input_size[0])
    if config.labels != "hard":
        context.became(temperature=_temperature(config, synthetic.labels.recipe.temperature))
    finished = len(read_state(context.scratch).history)

    def tell(record: EpochRecord) -> None:
        advance(1)
        context.note(record.epoch, **record.numbers())

    with context.track(task.config.epochs, "epochs", finished) as advance:
        result = fit_together(
            task,
            make_task,
            gpus=context.execution.gpus if context.run == 0 else 1,
            seed=context.seed,
            device=context.execution.torch_device(),
            scratch=context.scratch,
            log=context.log,
            on_epoch=tell,
            compiled=context.execution.compile,
            gang=context.gang,
        )
    save_training(context.out, task.model, result)
    context.log("trained", epochs=len(result.history), best_epoch=result.best_epoch, num_train=result.num_train)


def _temperature(config: DistillConfig, stored: float) -> float:
    """Return the temperature of the targets; `stored` is that of the stored labels."""
    return config.temperature or (stored if config.labels == "soft" else 1.0)


def _read(config: DistillConfig, inputs: Mapping[str, Path], cache: Path) -> Synthetic:
    """Open the memory maps of images and labels; missing ones are created in `cache`."""
    class_names = synthetic_class_names(inputs["synthetic"])
    images = load_synthetic(inputs["synthetic"], cache)
    labels = read_soft_labels(inputs["labels"], cache)
    targets = soft_targets(images, class_names, labels, config)
    return Synthetic(class_names=class_names, images=images, labels=labels, targets=targets)


def _kept(config: DistillConfig, context: StepContext, synthetic: Synthetic) -> np.ndarray:
    """Return the rows of the images that are kept; the others are listed in left_out.json."""
    images = synthetic.images
    if not config.min_teacher_probability:
        return np.arange(len(images))
    own = own_probabilities(images, synthetic.targets)
    kept, left_out = leave_out(own, images, synthetic.class_names, config.min_teacher_probability)
    left_out.write(context.out)
    context.log("left_out", images=len(left_out.indices), kept=len(kept))
    return kept


def _task(
    device: str, *, config: DistillConfig, inputs: Mapping[str, Path], cache: Path, kept: np.ndarray, run: int, seed: int
) -> Task:
    """Return the training task of the Student; every process that trains it calls this.

    Without need only a Student of row 0, the target's, is validated: the report shows its accuracy after each epoch.
    """
    synthetic = _read(config, inputs, cache)
    data, validation = split_synthetic(synthetic.images, synthetic.targets, kept, config, seed)
    config = config.resolved(len(data))
    model = new_classifier(config, synthetic.class_names, derive_seed(seed, "initialise"))
    loss = _choose_loss(config, inputs, device, synthetic)
    if shows_views(config, synthetic.labels):
        config = config.model_copy(update={"augment": AugmentConfig.none()})
    wanted = config.needs_validation or run == 0
    return Task(model, data, validation if wanted else None, loss, config)


def _choose_loss(config: DistillConfig, inputs: Mapping[str, Path], device: str, synthetic: Synthetic) -> Loss:
    if config.labels == "hard":
        return CrossEntropy(config.label_smoothing)
    stored = synthetic.labels.recipe.temperature
    temperature = _temperature(config, stored)
    mixture = Mixture(temperature=temperature, hard_weight=config.hard_weight, label_smoothing=config.label_smoothing)
    if config.labels == "soft":
        return StoredDistillation(mixture, stored)
    teacher = AskedTeacher(inputs["teacher"] / MODEL_FOLDER, synthetic.class_names, device)
    return OnlineDistillation(teacher, torch.arange(len(synthetic.class_names)), mixture)


class AskedTeacher:
    """A Teacher that is loaded when it is first asked, so not in a process that only waits for others, which train."""

    def __init__(self, folder: Path, class_names: list[str], device: str) -> None:
        """Take the folder of the model, the classes in the order of the logits to return, and a torch device name."""
        self._folder, self._class_names, self._device = folder, class_names, device

    def __call__(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Return logits [B, K]."""
        teacher, columns = self._loaded
        return teacher(images_BCHW)[:, columns]

    @cached_property
    def _loaded(self) -> tuple[AnyClassifier, torch.Tensor]:
        """Return the Teacher and its logit of each class. This draws no random numbers, which the training would miss."""
        teacher = load_classifier(self._folder).to(self._device)
        columns = torch.from_numpy(class_columns(teacher.class_names, self._class_names))
        return teacher, columns.to(self._device)
