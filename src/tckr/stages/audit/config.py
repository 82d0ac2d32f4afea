"""Settings of the audit. Everything here is fixed before a model is trained: that is what makes its numbers honest."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tckr.stages.config_base import StageConfig

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


class AuditConfig(StageConfig):
    """How deep the reference runs go, which attack counts, and how sure the intervals are."""

    version: ClassVar[int] = 2

    depth: Literal["teacher", "distill"] = Field(
        "distill",
        description="What every reference run repeats: `teacher` retrains the Teacher only (the Student then has none), "
        "`distill` Teacher, soft labels and Student; the generator is shared by both.",
    )
    scorer: ScorerName = Field(
        "lira_offline_fixed_variance",
        description="The attack whose AUC goes into AOP. The default found most with 2 to 8 reference runs of small "
        "networks (docs/audit.md); online attacks must estimate twice as many means and catch up at about 16.",
    )
    shift: int = Field(
        1, ge=0, le=64, description="px: a record is also scored moved up, down, left and right by this much; 0 = not moved."
    )
    flip: bool = Field(False, description="Also score mirrored views; only where training mirrors images too.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of every interval.")
    delta: float = Field(1e-5, ge=0, lt=1, description="Delta of the epsilon lower bound; below 1 / number of members.")
    aop_lambda: float = Field(2.0, ge=0, description="Exponent of AOP: how heavily leakage weighs (2 as published).")
