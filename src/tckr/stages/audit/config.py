"""Settings of the audit. Everything here is fixed before a model is trained: that is what makes its numbers honest."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tckr.data.card import MEMBERSHIP_ROWS
from tckr.models.digest import ModelName
from tckr.stages.config_base import StageConfig

MIN_REFERENCE_RUNS = 2
"""With fewer, membership is not measured: one fixes a threshold on the other, and a spread needs two."""

Depth = Literal["teacher", "distill", "full"]
ScorerName = Literal[
    "global_threshold",
    "lira_online",
    "lira_online_fixed_variance",
    "lira_offline",
    "lira_offline_fixed_variance",
    "rmia_online",
    "rmia_offline",
    "bavaria_online",
    "bavaria_offline",
]


class SignalConfig(StageConfig):
    """What every run is asked about every record. A run's answers do not depend on the attack that will read them."""

    version: ClassVar[int] = 2

    shift: int = Field(
        1, ge=0, le=64, description="px: a record is also scored moved up, down, left and right by this much; 0 = not moved."
    )
    flip: bool = Field(False, description="Also score mirrored views; only where training mirrors images too.")
    loss_draws: int = Field(
        8,
        ge=1,
        le=1000,
        description="Noise levels (evenly spaced) at which an adapter's denoising loss of a record is taken.",
    )
    num_neighbours: int = Field(
        5,
        ge=1,
        le=1000,
        description="Synthetic images nearest to a record that the Student is asked about (indirect query).",
    )


class AuditConfig(SignalConfig):
    """How deep the reference runs go, which attack counts, and how sure the intervals are."""

    version: ClassVar[int] = 7

    depth: Depth = Field(
        "distill",
        description="What every reference run repeats: `teacher` the Teacher only; `distill` also soft labels and Student, "
        "with the target's generator; `full` everything, captions and adapter included. Surfaces that are not repeated are "
        "attacked without references.",
    )
    num_reference_runs: int = Field(
        8,
        ge=0,
        le=MEMBERSHIP_ROWS - 1,
        description="Reference runs: more make the attacks stronger and the interval over runs narrower "
        "(`tckr audit --plan` says what they cost). Below 2 membership is not measured.",
    )
    scorer: ScorerName = Field(
        "bavaria_online",
        description="The attack whose AUC goes into AOP. The default needs few reference runs, takes signals of any scale, "
        "and finds planted members where others lack the power (docs/audit.md has the comparison).",
    )
    confidence: float = Field(0.95, gt=0.5, le=0.999_999, description="Level of every interval.")
    signal: Literal["logit", "probability", "loss"] = Field(
        "logit",
        description="What the values of a given table are (`tckr audit --scores`): any number that is higher for members, "
        "such as log p - log(1 - p) of the right label; its probability p; or its loss -log p. A run's own are logits.",
    )
    family_level: float = Field(
        0.05,
        ge=0.001,
        le=0.5,
        description="How often an audit of a pipeline that leaks nothing may say `leaks` of any surface at all.",
    )
    fidelity_model: ModelName = Field(
        "",
        description="Image model in whose features fidelity is measured (safetensors): a Hugging Face id, optionally "
        "@revision (pin one to repeat a run exactly), or a folder; empty = the Teacher, which needs no download.",
    )
    images_alone: bool = Field(
        True,
        description="Train a second Student on the images and the classes of their prompts alone, and report its "
        "accuracy: what a receiver gets who trusts only the images. Costs one more Student; no "
        "effect where distill.labels=hard.",
    )
    delta: float = Field(1e-5, ge=0, lt=1, description="Delta of the epsilon lower bound; below 1 / number of members.")
    aop_lambda: float = Field(2.0, ge=0, le=100, description="Exponent of AOP: how heavily leakage weighs (2 as published).")

    @property
    def shares_generator(self) -> bool:
        """Return whether the reference runs drew on the target's own generator."""
        return self.depth != "full"

    def signals(self) -> SignalConfig:
        """Return the part that decides what runs are asked: changing the rest asks no run again."""
        return SignalConfig(**{name: getattr(self, name) for name in SignalConfig.model_fields})
