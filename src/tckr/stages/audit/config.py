"""Settings of the audit. Everything here is fixed before a model is trained: a later choice could follow the results."""

from __future__ import annotations

import os
from typing import ClassVar, Literal

from pydantic import Field

from tckr.artifacts.membership import MEMBERSHIP_ROWS
from tckr.membership.config import MembershipConfig, QueryConfig
from tckr.models.digest import ModelName
from tckr.models.needed import Needed
from tckr.stages.config_base import StageConfig


class SignalConfig(StageConfig, QueryConfig):
    """Settings of `ask`: changing what is not among them asks no run again."""

    version: ClassVar[int] = 3


class AuditConfig(SignalConfig, MembershipConfig):
    """How many reference runs there are, which attack counts, and how sure the intervals are."""

    version: ClassVar[int] = 10

    num_reference_runs: int = Field(
        8,
        ge=0,
        le=MEMBERSHIP_ROWS - 1,
        description="Reference runs: more make the attacks stronger and the interval over runs narrower "
        "(`tckr audit --plan` says what they cost). Below 2 membership is not measured.",
    )
    signal: Literal["logit", "probability", "loss"] = Field(
        "logit",
        description="What the values of a given table are (`tckr audit --scores`): any number that is higher for members, "
        "such as log p - log(1 - p) of the right label; its probability p; or its loss -log p. A run's own are logits.",
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

    def checkpoints(self) -> list[Needed]:
        """Return the model of the fidelity, if there is one of its own."""
        if not self.fidelity_model:
            return []
        is_folder = os.path.isdir(self.fidelity_model)  # noqa: PTH112 - never raises, whatever a user wrote
        name, _, revision = (self.fidelity_model, "", "") if is_folder else self.fidelity_model.partition("@")
        return [Needed(setting="audit.fidelity_model", name=name, revision=revision or None)]

    def signals(self) -> SignalConfig:
        """Return the part that decides what runs are asked."""
        return SignalConfig(**{name: getattr(self, name) for name in SignalConfig.model_fields})
