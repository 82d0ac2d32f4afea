"""Query a run's Teacher and Student on the validation split: for the first result, and to choose a cardinality on.

The test split stays sealed. The Student never learns from these images; the owner uses them to choose a Student to release.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.document import Document
from tckr.artifacts.training import MODEL_FOLDER
from tckr.data.images import load_images
from tckr.engine.step import Sensitivity, Step, StepContext
from tckr.metrics.accuracy import accuracy
from tckr.metrics.estimate import Measured
from tckr.stages.config_base import StageConfig
from tckr.surfaces import CLASSIFIERS

VALIDATE = "validate"
"""Name of the step and of its folder in the store."""


class Validation(Document):
    """Accuracy of both models on the validation split."""

    file_name: ClassVar[str] = "validation.json"

    teacher: Measured
    student: Measured


class ValidateConfig(StageConfig):
    """How sure the interval is."""

    confidence: float


def validate_step(steps: Sequence[Step], confidence: float, stage: str = VALIDATE) -> Step:
    """Return the step that queries the models of a run. Steps of one `stage` share the machine with one another."""
    found = {step.name: step for step in steps}
    return Step(
        name=VALIDATE,
        stage=stage,
        function=f"{__name__}:run",
        version=1,
        sensitivity=Sensitivity.PRIVATE,
        config=ValidateConfig(confidence=confidence),
        seed=0,
        inputs={"data": found["prepare"], "teacher": found["teach"], "student": found["distill"]},
    )


def run(config: ValidateConfig, context: StepContext) -> None:
    """Write the accuracy of both models on the validation split."""
    from tckr.models.classifiers import class_columns, load_classifier, predict_logits

    data = context.inputs["data"]
    images, names = load_images(data / "validation", context.scratch), DataCard.read(data).class_names
    found = {}
    for model in CLASSIFIERS:
        classifier = load_classifier(context.inputs[model] / MODEL_FOLDER).to(context.execution.torch_device())
        logits = predict_logits(classifier, images.images, batch_size=context.execution.inference_batch_size)
        predicted = np.argmax(logits[:, class_columns(classifier.class_names, names)], axis=1)
        found[model] = accuracy(predicted == images.labels, config.confidence)
    Validation(**found).write(context.out)
