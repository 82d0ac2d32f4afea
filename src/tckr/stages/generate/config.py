"""Settings of `generate`. Model, prompt form and image size are those of the adapter."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tckr.artifacts.data_card import DataCard
from tckr.errors import UserError
from tckr.models.diffusion.outline import WHOLE
from tckr.models.diffusion.schedule import EMBEDDED, PUBLISHED, Schedule, Spacing
from tckr.models.embedded import FOLDERS
from tckr.models.model_names import ModelName
from tckr.models.needed import Needed
from tckr.models.precision import Precision
from tckr.stages.config_base import StageConfig
from tckr.stages.generate.class_table import require_classes
from tckr.strict import MOST_CLASSES, MOST_IMAGES_AT_ONCE, Word

LARGEST_CARDINALITY = 10_000.0
LAST_INDEX = 10**15

Part = Annotated[float, Field(json_schema_extra={"minimum": 0, "maximum": 1})]
"""One end of an interval; `_is_interval` checks the bounds of both ends together."""


ImagesOfClass = Annotated[int, Field(ge=1, le=10**9)]


class GenerateConfig(StageConfig):
    """How many synthetic images are generated, and how."""

    version: ClassVar[int] = 4

    cardinality: float = Field(
        1.0,
        gt=0,
        le=LARGEST_CARDINALITY,
        description="Synthetic images per member image; 0.1 to 20 in the paper, where 1 is the knee of utility and privacy.",
    )
    per_class: Literal["balanced", "data"] | Annotated[dict[Word, ImagesOfClass], Field(max_length=MOST_CLASSES)] = Field(
        "balanced",
        description="Number of images per class: balanced (equal numbers, as in the paper), data (in proportion to "
        "the members), or a number for each class, {cat: 500, dog: 200}, which replaces cardinality.",
    )
    steps: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        "auto",
        description="Denoising steps per image; auto: 6 for the embedded generator, else 20 as in the paper.",
    )
    guidance_scale: float = Field(
        2.0,
        ge=0,
        le=1000,
        description="Classifier-free guidance; 2 as in the paper; at 1 and below it is off and takes half the time.",
    )
    guidance_interval: tuple[Part, Part] = Field(
        WHOLE,
        strict=False,  # a list in YAML
        description="[start, stop]: part of the steps that are guided, 0 = the first (noise) and 1 = the end. Steps outside "
        "take half the time; they change the images. Default: all steps, as in the paper.",
    )
    solver: Literal["auto", "default", "dpm++", "unipc", "euler", "lcm"] = Field(
        "auto",
        description="Sampling algorithm; default = that of the checkpoint; auto: unipc for the embedded generator, else "
        "default. dpm++ and unipc need 10 to 20 steps, lcm 2 to 8 with a few_step_adapter made for it.",
    )
    spacing: Literal["auto", "default", "quadratic"] = Field(
        "auto",
        description="Noise levels of the steps; default = those of the checkpoint; quadratic: most steps at low noise, "
        "which keeps fine details with few steps (Song et al. 2021); auto: quadratic for the embedded generator if "
        "solver is not default or lcm, else default.",
    )
    precision: Precision = Field(
        "auto",
        description="Type of the denoiser's weights on a CPU, and of all weights on a GPU. auto: half "
        "precision on a GPU, and bfloat16 on a CPU that supports it and is faster with it. Images differ "
        "little from those of float32 (docs/generators.md).",
    )
    few_step_adapter: ModelName | None = Field(
        None,
        min_length=1,
        description="LoRA for sampling in few steps (such as LCM-LoRA), merged on top of the adapter: a "
        ".safetensors file, a folder or a hub id. Set steps, solver and guidance_scale (1 for LCM) to the "
        "values it was made for.",
    )
    shard_size: int = Field(
        256,
        ge=1,
        le=MOST_IMAGES_AT_ONCE,
        description="Images per Parquet file; a kill loses at most the files in progress. For more than a "
        "million images use thousands: a folder with few files is faster to list and to open.",
    )
    redraw: list[Annotated[int, Field(ge=0, le=LAST_INDEX)]] = Field(
        default_factory=list,
        max_length=100_000,
        description="Indices of images to generate with other noise, such as those flagged as copies by the "
        "audit; all other images stay the same. An index given twice gets the second other noise. "
        "redraw_copies does this without a list. Removing flagged images hides what the generator "
        "memorized; the generator does not forget it.",
    )

    def num_images(self, num_members: int) -> int:
        """Return the number of images for `num_members` members, before each class gets at least one."""
        if not isinstance(self.per_class, str):
            return sum(self.per_class.values())
        return max(1, round(self.cardinality * num_members))

    redraw_disowned: int = Field(
        0,
        ge=0,
        le=100,
        description="How often an image is generated again, with other noise, while the Teacher assigns it "
        "to another class than that of its prompt. If none is recognised, the most probable one is kept. "
        "The Teacher becomes an input and must be trained first, so what it knows about its members selects "
        "images. 0 = never.",
    )
    redraw_copies: int = Field(
        0,
        ge=0,
        le=100,
        description="How often an image is generated again, with other noise, while it is a near-copy of a "
        "member by the audit's rule: near a member, and closer to it than to any hold-out record. If all "
        "candidates are copies, the first is kept. Excess and AUC of the images are then too low by "
        "construction, and the adapter can still generate the copies. 0 = never.",
    )

    def refuse_data(self, card: DataCard) -> None:
        """Raise a UserError if the settings do not fit the prepared set."""
        if not isinstance(self.per_class, str):
            require_classes(self.per_class, card.class_names)

    def reference(self) -> GenerateConfig:
        """Return the settings of a reference run; images are regenerated only for the target."""
        return self.model_copy(update={"redraw": []})

    def null_control(self) -> GenerateConfig:
        """Return the settings of a generator that was trained on no record of the pool, so that it can copy none."""
        return self.reference().model_copy(update={"redraw_copies": 0})

    @property
    def redraws(self) -> int:
        """Return the maximum number of further candidates per image."""
        return max(self.redraw_disowned, self.redraw_copies)

    @property
    def prefers_alone(self) -> bool:
        """Return True: the stage starts its own processes."""
        return True

    def schedule(self, model: str) -> Schedule:
        """Return the steps for the generator `model`, with the meaning of `auto`.

        Raises:
            UserError: none of the steps is in the guidance interval.
        """
        auto = EMBEDDED if model in FOLDERS else PUBLISHED
        found = Schedule(
            steps=auto.steps if self.steps == "auto" else self.steps,
            solver=auto.solver if self.solver == "auto" else self.solver,
            spacing=self._spacing(auto) if self.spacing == "auto" else self.spacing,
        )
        if not self._guides_any_of(found.steps):
            raise UserError(self._without_effect(found.steps))
        return found

    def _spacing(self, auto: Schedule) -> Spacing:
        """Return the spacing of `auto`, unless a solver is set that has its own: that of the checkpoint, or LCM."""
        return "default" if self.solver in ("default", "lcm") else auto.spacing

    def checkpoints(self) -> list[Needed]:
        """Return the LoRA for few steps, if it is set."""
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
        """Raise an error for an interval without effect, which would look like another experiment."""
        start, stop = self.guidance_interval
        if self.guidance_interval == WHOLE:
            return self
        if self.guidance_scale <= 1:
            raise ValueError(
                f"generate.guidance_interval {[start, stop]} has no effect, because generate.guidance_scale "
                f"{self.guidance_scale:g} is 1 or less, so guidance is off; set the scale above 1, or the interval to [0, 1]"
            )
        if self.steps != "auto" and not self._guides_any_of(self.steps):
            raise ValueError(self._without_effect(self.steps))
        return self

    def _guides_any_of(self, steps: int) -> bool:
        start, stop = self.guidance_interval
        return any(start <= step / steps < stop for step in range(steps))

    def _without_effect(self, steps: int) -> str:
        return (
            f"none of the {steps} steps is in generate.guidance_interval {list(self.guidance_interval)} (step i of n is "
            "guided when start <= i / n < stop); widen it, or switch guidance off with generate.guidance_scale=1"
        )

    @field_validator("per_class", mode="before")
    @classmethod
    def _is_known(cls, per_class: Any) -> Any:
        if not isinstance(per_class, dict) and per_class not in ("balanced", "data"):
            raise ValueError("expected balanced, data, or a number for each class, as in {cat: 500, dog: 200}")
        return per_class

    @field_validator("redraw")
    @classmethod
    def _in_order(cls, indices: list[int]) -> list[int]:
        """Sort the indices: in another order they define the same set."""
        return sorted(indices)
