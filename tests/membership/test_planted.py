"""The control `planted`: a weak attack fails it also where records vary unevenly, a sound one passes."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.membership.config import MembershipConfig, ScorerName
from tckr.membership.controls import planted
from tckr.membership.evidence import Evidence
from tests.membership.worlds import membership


@pytest.mark.parametrize(
    ("scorer", "uneven", "passes"),
    [("global_threshold", 3, False), ("rmia_offline", 3, False), ("bavaria_online", 0.5, True)],
)
def test_planted_members_move_by_their_own_spread(scorer: ScorerName, uneven: float, passes: bool) -> None:
    """Moved by the average spread, some hundred times that of quiet records, a threshold for all would find them."""
    generator = np.random.default_rng(0)
    members, spreads = membership(generator, 17, 1200), np.exp(uneven * generator.normal(size=1200))
    signals = 3 * generator.normal(size=1200) + spreads * generator.normal(size=members.shape)
    evidence = Evidence(
        class_names=["a"], labels=np.zeros(1200, dtype=np.int64), members=members, signals={"teacher": signals}
    )
    assert planted(MembershipConfig(scorer=scorer), evidence, "teacher").passed == passes
