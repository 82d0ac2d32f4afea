"""Settings of the attacks and of the verdict; the audit's settings include them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from tckr.strict import STRICT

MIN_REFERENCE_RUNS = 2
"""With fewer reference runs membership is not measured: a threshold needs one run, and a spread needs two."""

RULES = "11 of 2026-11-30"
"""Version and date of attacks, level and rules, raised with every change of these; docs/audit.md lists the changes."""

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
    """Queries of every run about every record. A run's answers do not depend on the attack that uses them."""

    model_config = STRICT

    shift: int = Field(
        1,
        ge=0,
        le=64,
        description="px: a record is also queried shifted up, down, left and right by this distance; 0 = not shifted.",
    )
    flip: bool = Field(False, description="Also query mirrored views; use it only if training mirrors images too.")
    loss_draws: int = Field(
        8,
        ge=1,
        le=1000,
        description="Number of evenly spaced noise levels at which an adapter's denoising loss on a record is computed.",
    )
    num_neighbours: int = Field(
        5,
        ge=1,
        le=1000,
        description="Number of synthetic images nearest to a record on which the Student is queried (indirect query).",
    )


class MembershipConfig(QueryConfig):
    """The declared attack, the depth of reference runs, and levels of the verdict, all fixed before a model is trained."""

    depth: Depth = Field(
        "distill",
        description="What every reference run repeats: `teacher` only the Teacher; `distill` also soft labels and Student, "
        "with the target's generator; `full` everything, including captions and adapter. Surfaces that are not repeated are "
        "attacked without references.",
    )
    scorer: ScorerName = Field(
        "bavaria_online",
        description="The attack whose numbers count (AUC, epsilon, AOP, the verdict). The default needs few reference runs "
        "and works with signals of any scale (docs/audit.md compares the attacks).",
    )
    confidence: float = Field(0.95, gt=0.5, le=0.999_999, description="Level of every interval.")
    family_level: float = Field(
        0.05,
        ge=0.001,
        le=0.5,
        description="Probability that an audit of a pipeline that leaks nothing reports `leaks` for any surface.",
    )
    delta: float = Field(1e-5, ge=0, lt=1, description="Delta of the epsilon lower bound; below 1 / number of members.")
    aop_lambda: float = Field(2.0, ge=0, le=100, description="Exponent of AOP: weight of leakage (2 as published).")

    @property
    def shares_generator(self) -> bool:
        """Return whether the reference runs use the target's generator."""
        return self.depth != "full"
