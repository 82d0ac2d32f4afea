"""Ask a run's Teacher and Student about the validation split: what a cardinality is chosen on. The test split stays locked.

The Student itself never learns from these images; the owner, who has them, uses them to choose which Student to release.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tckr.config import Settings
from tckr.data.card import read_card
from tckr.data.images import load_images
from tckr.disk import write_whole
from tckr.engine.step import Sensitivity, Step, StepContext
from tckr.metrics.accuracy import accuracy
from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.stages.config_base import StageConfig

VALIDATE = "validate"
"""Name of the step and of its folder in the store."""

MODELS = ("teacher", "student")
FILE_NAME = "validation.json"


class ValidateConfig(StageConfig):
    """How sure the interval is."""

    confidence: float


def validate_step(steps: Sequence[Step], settings: Settings) -> Step:
    """Return the step that asks the models of a run."""
    found = {step.name: step for step in steps}
    return Step(
        name=VALIDATE,
        stage=VALIDATE,
        function=f"{__name__}:run",
        version=1,
        sensitivity=Sensitivity.PRIVATE,
        config=ValidateConfig(confidence=settings.audit.confidence),
        seed=0,
        inputs={"data": found["prepare"], "teacher": found["teach"], "student": found["distill"]},
    )


def run(config: ValidateConfig, context: StepContext) -> None:
    """Write the accuracy of both models on the validation split."""
    from tckr.models.classifiers import class_columns, load_classifier, predict_logits

    data = context.inputs["data"]
    images, names = load_images(data / "validation", context.scratch), read_card(data).class_names
    found = {}
    for model in MODELS:
        classifier = load_classifier(context.inputs[model] / "model").to(context.execution.torch_device())
        logits = predict_logits(classifier, images.images, batch_size=context.execution.inference_batch_size)
        predicted = np.argmax(logits[:, class_columns(classifier.class_names, names)], axis=1)
        measured = accuracy(predicted == images.labels, config.confidence)
        found[model] = vars(measured)
    text = json.dumps(found, indent=1) + "\n"
    write_whole(context.out / FILE_NAME, lambda path: path.write_text(text, encoding="utf-8"))


def read_validation(folder: Path) -> dict[str, Estimate | NotMeasurable]:
    """Return model -> accuracy on the validation split."""
    found = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    return {
        model: Estimate(**numbers) if "value" in numbers else NotMeasurable(**numbers) for model, numbers in found.items()
    }
