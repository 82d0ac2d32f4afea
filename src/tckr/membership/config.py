"""Settings of the attacks and of their judgement; the audit's are made of them. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from tckr.strict import STRICT

MIN_REFERENCE_RUNS = 2
"""With fewer, membership is not measured: one fixes a threshold on the other, and a spread needs two."""

RULES = "10 of 2026-11-30"
"""Version and date of attacks, level and rules: raised with any of them. docs/audit.md says what changed."""

Depth = Literal["teacher", "distill", "full"]
ScorerName = Literal[
    "global_threshold",
    "lira_online",
    "lira_online_fixed_variance",
    "lira_offline",
    "lira_offline_fixed_variance",
    "lira_online_global_variance",
    "lira_offline_global_variance",
    "lira_online_median",
    "lira_offline_median",
    "rmia_online",
    "rmia_offline",
    "rmia_offline_tuned",
    "bavaria_online",
    "bavaria_offline",
    "bavaria_t_online",
    "bavaria_t_offline",
    "bavaria_n_online",
    "bavaria_n_offline",
]


class QueryConfig(BaseModel):
    """What every run is asked about every record. A run's answers do not depend on the attack that will read them."""

    model_config = STRICT

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


class MembershipConfig(QueryConfig):
    """Which attack counts, against what, and how sure the judgement is. All of it is fixed before a model is trained."""

    depth: Depth = Field(
        "distill",
        description="What every reference run repeats: `teacher` the Teacher only; `distill` also soft labels and Student, "
        "with the target's generator; `full` everything, captions and adapter included. Surfaces that are not repeated are "
        "attacked without references.",
    )
    scorer: ScorerName = Field(
        "bavaria_online",
        description="The attack whose AUC goes into AOP. The default needs few reference runs, takes signals of any scale, "
        "and finds planted members where others lack the power (docs/audit.md has the comparison).",
    )
    confidence: float = Field(0.95, gt=0.5, le=0.999_999, description="Level of every interval.")
    family_level: float = Field(
        0.05,
        ge=0.001,
        le=0.5,
        description="How often an audit of a pipeline that leaks nothing may say `leaks` of any surface at all.",
    )
    delta: float = Field(1e-5, ge=0, lt=1, description="Delta of the epsilon lower bound; below 1 / number of members.")
    aop_lambda: float = Field(2.0, ge=0, le=100, description="Exponent of AOP: how heavily leakage weighs (2 as published).")

    @property
    def shares_generator(self) -> bool:
        """Return whether the reference runs drew on the target's own generator."""
        return self.depth != "full"
