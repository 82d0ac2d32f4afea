"""Settings of a classifier's training, shared by `teach` and `distill`. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from tckr.data.variation import Variation
from tckr.models.embedded import CLASSIFIERS
from tckr.models.model_names import ModelName
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
"""Epochs for the embedded classifier to fit every image completely; about 30 s of one thread for 650 images."""


class AugmentConfig(Variation):
    """Random changes of training images, different for every image and epoch."""

    crop: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Black border added before a random crop of the old size, fraction of a side; 0.1 in the paper",
    )
    augmix_severity: float = Field(
        default=0.0, ge=0, le=10, description="Strength of AugMix's operations, up to 10; 0 = off; its authors use 3."
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
        "safetensors; also of timm, with `pip install tckr[timm]`.",
    )
    revision: Word | None = Field(None, description="Commit or branch of a hub model; pin a commit to repeat a run exactly.")
    pretrained: bool = Field(True, description="Start from the checkpoint's weights; false: use only its architecture.")
    image_size: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="Side in px to which images are scaled for the model; null: the size in its configuration.",
    )
    epochs: int = Field(30, ge=1, le=MOST_EPOCHS, description="Passes over the training images.")
    batch_size: int = Field(
        64,
        ge=1,
        le=MOST_IMAGES_AT_ONCE,
        description="Maximum images per step; an epoch is divided into nearly equal batches.",
    )
    learning_rate: float = Field(
        2e-3, gt=0, le=LARGEST_RATE, description="Peak of AdamW's rate; suits a small network with random initial weights."
    )
    weight_decay: float = Field(5e-5, ge=0, le=LARGEST_DECAY, description="AdamW's decay; the paper's value.")
    warmup_fraction: float = Field(0.1, ge=0, lt=1, description="Share of steps in which the rate rises; a cosine follows.")
    gradient_clip: float = Field(1.0, gt=0, le=LARGEST_NORM, description="Maximum norm of the gradient.")
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="Share of a hard label that is spread over all classes; 0.1 in the paper."
    )
    augment: AugmentConfig = Field(AugmentConfig(), description="Random changes of training images.")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights, which is then stored and measured; 0 = off.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Type of forward and backward passes; bfloat16 is faster on processors that support it, "
        "and loses digits. Weights, their averages and validation stay in float32.",
    )
    selection: Literal["best", "last"] = Field(
        "last",
        description="Epoch that is kept: last, or best = highest accuracy on validation images (the later one of ties). "
        "A small validation set chooses early epochs by luck (docs/distillation.md).",
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=MOST_EPOCHS,
        description="Stop after this many epochs without better validation accuracy; 30 in the paper; null: never.",
    )

    @property
    def needs_validation(self) -> bool:
        """Return whether validation images decide which epoch is kept, or when the training stops."""
        return self.selection == "best" or self.patience is not None

    def needed(self, setting: str, name: str) -> Needed:
        """Return the checkpoint `name` of the setting `setting`; the revision is that of `model`."""
        revision = self.revision if name == self.model else None
        return Needed(setting=setting, name=name, revision=revision, weights=self.pretrained, embedded=CLASSIFIERS)

    def memorizing_changes(self) -> dict[str, Any]:
        """Return the changes with which nothing hinders memorizing every image."""
        return {
            "epochs": min(MOST_EPOCHS, max(MEMORIZING_EPOCHS, 2 * self.epochs)),
            "weight_decay": 0.0,
            "label_smoothing": 0.0,
            "augment": AugmentConfig.none(),
            "selection": "last",
            "patience": None,
        }
