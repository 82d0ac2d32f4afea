"""Estimate how long the reference runs of an audit take on this machine, from the measured times of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tckr.config import Settings, changed
from tckr.costs.reference_runs import Measurements, target_steps
from tckr.engine.store import Store
from tckr.html.numbers import span


def audit_time(settings: Settings, changes: Mapping[str, Any]) -> str:
    """Return e.g. `24 to 49 min`, or an empty text if the changes also change the run itself, whose time is then unknown."""
    asked = changed(settings, changes)
    store = Store(asked.execution.store)
    if not all(store.has(step) for step in target_steps(asked)):
        return ""
    found = Measurements.of(asked)
    cost = found.bill(found.repeated(asked.audit.depth), asked.audit.num_reference_runs)
    return span(cost.fastest, cost.slowest)
