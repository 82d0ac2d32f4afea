"""Who is at risk: parts of `audit.json` about single units and classes."""

from __future__ import annotations

from pydantic import Field

from tckr.metrics.estimate import Estimate
from tckr.metrics.results import Result


class AtRisk(Result):
    """Records, or groups, whose membership shows over all runs. Private: it names training records."""

    records: list[int] | list[str] = Field(description="Ids of the units (of groups as in groups.npy), the surest first.")
    num_records: int = Field(description="How many were tested.")
    num_runs: int
    false_discovery_rate: float = Field(description="Share of the named records that chance alone may name, on average.")


class WorstClass(Result):
    """The class whose members the declared attack tells best from others, on the target."""

    name: str
    auc: Estimate = Field(description="Its interval holds for all classes together (Bonferroni).")
    num_classes: int = Field(description="How many it was chosen from.")
