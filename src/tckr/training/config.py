"""Settings of a classifier's training, shared by `teach` and `distill`. Imports no torch: the command line reads it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from tckr.data.variation import Variation
from tckr.models.digest import ModelName
from tckr.models.embedded import CLASSIFIERS
from tckr.models.needed import Needed
from tckr.strict import (
    LARGEST_DECAY,
    LARGEST_NORM,
    LARGEST_RATE,
    MOST_EPOCHS,
    MOST_IMAGES_AT_ONCE,
    STRICT,
    Word,
)

MEMORIZING_EPOCHS = 100
"""Enough for the embedded classifier to fit every image to the last digit; about 30 s of one thread for 650 images."""


class AugmentConfig(Variation):
    """How training images are varied, drawn anew for every image and epoch."""

    crop: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Black border of which a crop of the old size is taken, fraction of a side; paper 0.1",
    )
    augmix_severity: float = Field(
        default=0.0, ge=0, le=10, description="Strength of AugMix's operations, 10 the strongest, 0 = off; its authors: 3."
    )
    mixup_alpha: float = Field(
        default=0.0, ge=0, le=100, description="Beta parameter of MixUp, 0 = off; for hard labels only."
    )


class TrainingConfig(BaseModel):
    """Settings of one classifier training."""

    model_config = STRICT

    model: ModelName = Field(
        "embedded:resnet",
        min_length=1,
        description="`embedded:resnet`, `embedded:resnet18`, or a Hugging Face id or folder of an image classifier in "
        "safetensors; timm's too, with `pip install tckr[timm]`.",
    )
    revision: Word | None = Field(None, description="Commit or branch of a hub model; pin a commit to repeat a run exactly.")
    pretrained: bool = Field(True, description="Start from the checkpoint's weights; off: only its architecture is taken.")
    image_size: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="Side, px, to which images are scaled for the model; null: what its configuration says.",
    )
    epochs: int = Field(30, ge=1, le=MOST_EPOCHS, description="Passes over the training images.")
    batch_size: int = Field(
        64, ge=1, le=MOST_IMAGES_AT_ONCE, description="Most images per step; an epoch is cut into nearly equal batches."
    )
    learning_rate: float = Field(
        2e-3, gt=0, le=LARGEST_RATE, description="Peak of AdamW's rate; fits a small network trained from nothing."
    )
    weight_decay: float = Field(5e-5, ge=0, le=LARGEST_DECAY, description="AdamW's decay; the paper's value.")
    warmup_fraction: float = Field(0.1, ge=0, lt=1, description="Share of steps in which the rate rises; cosine after it.")
    gradient_clip: float = Field(1.0, gt=0, le=LARGEST_NORM, description="Largest norm of the gradient.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of a hard label spread over all classes; paper: 0.1.")
    augment: AugmentConfig = Field(AugmentConfig(), description="How training images are varied.")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the averaged weights that a step keeps; they are what is kept and measured; 0 = off.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of forward and backward passes; bfloat16 is faster where the processor has it, and costs digits. "
        "Weights, their averages and validation stay in float32.",
    )
    selection: Literal["best", "last"] = Field(
        "best", description="Epoch that is kept: best accuracy on validation images (the later of equals), or the last."
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=MOST_EPOCHS,
        description="Stop after this many epochs without better validation accuracy; paper: 30; null: never.",
    )

    def needed(self, setting: str, name: str) -> Needed:
        """Return the checkpoint `name` that `setting` names; the revision is that of `model`."""
        revision = self.revision if name == self.model else None
        return Needed(setting=setting, name=name, revision=revision, weights=self.pretrained, embedded=CLASSIFIERS)

    def memorizing_changes(self) -> dict[str, Any]:
        """Return what must change so that nothing hinders learning every image by heart."""
        return {
            "epochs": min(MOST_EPOCHS, max(MEMORIZING_EPOCHS, 2 * self.epochs)),
            "weight_decay": 0.0,
            "label_smoothing": 0.0,
            "augment": AugmentConfig.none(),
            "selection": "last",
            "patience": None,
        }
