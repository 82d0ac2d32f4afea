"""Settings of `generate`. Model, prompt form and image size come with the adapter."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tckr.models.diffusion.outline import WHOLE
from tckr.models.digest import ModelName
from tckr.models.needed import Needed
from tckr.models.precision import Precision
from tckr.stages.config_base import StageConfig
from tckr.strict import MOST_CLASSES, MOST_IMAGES_AT_ONCE, Word

LARGEST_CARDINALITY = 10_000.0
LAST_INDEX = 10**15

Part = Annotated[float, Field(json_schema_extra={"minimum": 0, "maximum": 1})]
"""One end of an interval; `_is_interval` checks the bounds of both together, and says so."""


ImagesOfClass = Annotated[int, Field(ge=1, le=10**9)]


class GenerateConfig(StageConfig):
    """How many synthetic images are drawn, and how."""

    version: ClassVar[int] = 4

    cardinality: float = Field(
        1.0,
        gt=0,
        le=LARGEST_CARDINALITY,
        description="Synthetic images per member image; 0.1 to 20 in the paper, where 1 is the knee of utility and privacy.",
    )
    per_class: Literal["balanced", "data"] | Annotated[dict[Word, ImagesOfClass], Field(max_length=MOST_CLASSES)] = Field(
        "balanced",
        description="How many images each class gets: balanced (equally many, as in the paper), data (in the proportion of "
        "the members), or a number for each class, {cat: 500, dog: 200}, which replaces cardinality.",
    )
    steps: int = Field(20, ge=1, le=1000, description="Denoising steps per image; 20 as in the paper.")
    guidance_scale: float = Field(
        2.0,
        ge=0,
        le=1000,
        description="Classifier-free guidance; 2 as in the paper; 1 and below is off and takes half the time.",
    )
    guidance_interval: tuple[Part, Part] = Field(
        WHOLE,
        strict=False,  # a list in YAML
        description="[start, stop]: part of the steps that are guided, 0 = the first (noise) and 1 = the end; steps outside "
        "take half the time and give other images. All of them by default, as in the paper.",
    )
    solver: Literal["default", "dpm++", "unipc", "euler", "lcm"] = Field(
        "default",
        description="Sampling algorithm; default = the checkpoint's own. dpm++ and unipc need 10 to 20 steps, lcm 2 to 8 "
        "with a few_step_adapter made for it.",
    )
    precision: Precision = Field(
        "auto",
        description="On a CPU of the denoiser, on a GPU of all parts: auto takes half precision on a GPU, and bfloat16 on a "
        "CPU made for it, where that is faster; images differ from those of float32 by little (docs/generators.md).",
    )
    few_step_adapter: ModelName | None = Field(
        None,
        min_length=1,
        description="LoRA that lets the model draw in few steps (such as LCM-LoRA), merged on top of the adapter: a "
        ".safetensors file, a folder or a hub id; set steps, solver and guidance_scale (1 for LCM) to what it was made for.",
    )
    shard_size: int = Field(
        256,
        ge=1,
        le=MOST_IMAGES_AT_ONCE,
        description="Images per Parquet file; a kill loses at most the files in progress. Beyond a million images take "
        "thousands: a folder of few files is quicker to list and to open.",
    )
    redraw: list[Annotated[int, Field(ge=0, le=LAST_INDEX)]] = Field(
        default_factory=list,
        max_length=100_000,
        description="Indices of images to draw with other noise, such as those the audit flags as copies; every other image "
        "stays the same. An index given twice is drawn a second time over; redraw_copies does it without a list. Removing "
        "flagged images hides what the generator knows; it does not make it forget.",
    )

    def num_images(self, num_members: int) -> int:
        """Return how many images are drawn for so many members, but for the one that each class gets at least."""
        if not isinstance(self.per_class, str):
            return sum(self.per_class.values())
        return max(1, round(self.cardinality * num_members))

    redraw_disowned: int = Field(
        0,
        ge=0,
        le=100,
        description="How often an image is drawn again, with other noise, while the Teacher takes it for another class than "
        "that of its prompt; of none that it recognises the most probable one stays. The Teacher, then an input, must be "
        "trained first, and what it knows of its members chooses images. 0 = never.",
    )
    redraw_copies: int = Field(
        0,
        ge=0,
        le=100,
        description="How often an image is drawn again, with other noise, while it is a near-copy of a member, as the audit "
        "flags them: near one, and closer to it than to any hold-out record. If all are, the first one stays. Excess and "
        "AUC of the images are then too low by construction, and the adapter still draws the copies. 0 = never.",
    )

    def reference(self) -> GenerateConfig:
        """Return the settings of a reference run: which images to draw anew is about the target's alone."""
        return self.model_copy(update={"redraw": []})

    def null_control(self) -> GenerateConfig:
        """Return the settings of a generator that saw no record of the pool, so that it can copy none."""
        return self.reference().model_copy(update={"redraw_copies": 0})

    @property
    def redraws(self) -> int:
        """Return how often an image may be drawn again, for whatever reason."""
        return max(self.redraw_disowned, self.redraw_copies)

    @property
    def prefers_alone(self) -> bool:
        """Return that it does: it draws in processes of its own."""
        return True

    def checkpoints(self) -> list[Needed]:
        """Return the adapter for few steps."""
        name = self.few_step_adapter
        return [Needed(setting="generate.few_step_adapter", name=name, described_by=None)] if name else []

    @field_validator("guidance_interval")
    @classmethod
    def _is_interval(cls, interval: tuple[float, float]) -> tuple[float, float]:
        start, stop = interval
        if not 0 <= start < stop <= 1:
            raise ValueError("expected 0 <= start < stop <= 1; guidance_scale=1 switches guidance off")
        return interval

    @model_validator(mode="after")
    def _interval_counts(self) -> Self:
        """Refuse an interval without effect: it would look like another experiment than it is."""
        start, stop = self.guidance_interval
        if self.guidance_interval == WHOLE:
            return self
        if self.guidance_scale <= 1:
            raise ValueError(
                f"generate.guidance_interval {[start, stop]} is without effect, because generate.guidance_scale "
                f"{self.guidance_scale:g} is 1 or less: guidance is off; set the scale above 1, or the interval to [0, 1]"
            )
        if not any(start <= step / self.steps < stop for step in range(self.steps)):
            raise ValueError(
                f"none of the {self.steps} steps lies in generate.guidance_interval {[start, stop]} (step i of n is guided "
                "when start <= i / n < stop); widen it, or switch guidance off with generate.guidance_scale=1"
            )
        return self

    @field_validator("per_class", mode="before")
    @classmethod
    def _is_known(cls, per_class: Any) -> Any:
        if not isinstance(per_class, dict) and per_class not in ("balanced", "data"):
            raise ValueError("expected balanced, data, or a number for each class, as in {cat: 500, dog: 200}")
        return per_class

    @field_validator("redraw")
    @classmethod
    def _in_order(cls, indices: list[int]) -> list[int]:
        """Sort: the same indices in another order are the same set."""
        return sorted(indices)
