"""Settings of the audit. All are fixed before a model is trained, because a later choice could depend on the results."""

from __future__ import annotations

import os
from typing import ClassVar, Literal

from pydantic import Field

from tckr.artifacts.membership import MEMBERSHIP_ROWS
from tckr.membership.config import MembershipConfig, QueryConfig
from tckr.models.model_names import ModelName
from tckr.models.needed import Needed
from tckr.stages.config_base import StageConfig


class SignalConfig(StageConfig, QueryConfig):
    """Settings of `ask`. Changing other settings of the audit does not query any run again."""

    version: ClassVar[int] = 3


class CanarySignalConfig(SignalConfig):
    """Settings of `ask` where there are no reference runs: only answers about canaries are used."""

    records: Literal["canaries"] = "canaries"


class AuditConfig(SignalConfig, MembershipConfig):
    """Number of reference runs, the declared attack, and the confidence of the intervals."""

    version: ClassVar[int] = 11

    num_reference_runs: int = Field(
        8,
        ge=0,
        le=MEMBERSHIP_ROWS - 1,
        description="Number of reference runs. More make the attacks stronger and the interval over runs narrower "
        "(`tckr audit --plan` prints their cost). Below 2, membership is not measured.",
    )
    signal: Literal["logit", "probability", "loss"] = Field(
        "logit",
        description="Kind of the values of a given table (`tckr audit --scores`): any number that is higher for members, "
        "such as log p - log(1 - p) of the true label (logit); its probability p; or its loss -log p. Runs "
        "of TCKR use logits.",
    )
    fidelity_model: ModelName = Field(
        "",
        description="Image model in whose features fidelity is measured (safetensors): a Hugging Face id, optionally "
        "@revision (pin one to repeat a run exactly), or a folder; empty = the Teacher, which needs no download.",
    )
    images_alone: bool = Field(
        True,
        description="Train a second Student only on the images and the classes of their prompts, and report its "
        "accuracy: what a recipient gets who uses only the images. Costs one more Student; no "
        "effect if distill.labels=hard.",
    )

    def checkpoints(self) -> list[Needed]:
        """Return the model for the fidelity features, if it is not the Teacher."""
        if not self.fidelity_model:
            return []
        is_folder = os.path.isdir(self.fidelity_model)  # noqa: PTH112 - never raises, whatever a user wrote
        name, _, revision = (self.fidelity_model, "", "") if is_folder else self.fidelity_model.partition("@")
        return [Needed(setting="audit.fidelity_model", name=name, revision=revision or None)]

    def signals(self, *, only_canaries: bool = False) -> SignalConfig:
        """Return the settings that determine the queries of runs."""
        kind = CanarySignalConfig if only_canaries else SignalConfig
        return kind(**{name: getattr(self, name) for name in SignalConfig.model_fields})
