"""How long the reference runs of an audit would take on this machine, after what the run itself took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tckr.config import Settings, changed
from tckr.costs.reference_runs import Measurements
from tckr.engine.store import Store
from tckr.html.numbers import span
from tckr.running import plan


def audit_time(settings: Settings, changes: Mapping[str, Any]) -> str:
    """Return for example `24 to 49 min`; nothing where the run itself would change, so that nothing is known of it."""
    asked = changed(settings, changes)
    store = Store(asked.execution.store)
    if not all(store.has(step) for step in plan(asked, "distill")):
        return ""
    found = Measurements.of(asked)
    cost = found.bill(found.repeated(asked.audit.depth), asked.audit.num_reference_runs)
    return span(cost.fastest, cost.slowest)
