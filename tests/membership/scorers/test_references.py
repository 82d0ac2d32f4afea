from __future__ import annotations

import numpy as np
import pytest

from tckr.membership.scorers.references import average_gap, tally, total_variance
from tests.membership.worlds import world


@pytest.mark.parametrize("attacked", [0, 4, 8])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_tally_is_count_mean_and_squares_of_the_other_runs(attacked: int, offset: float) -> None:
    found, members = world()
    found = found + offset
    others = [run for run in range(9) if run != attacked]
    for side, mask in zip(tally(found, members, attacked), (members[others], ~members[others]), strict=True):
        for record in range(0, 300, 7):
            signals = found[others, record][mask[:, record]]
            assert side.count[record] == len(signals)
            if len(signals):
                assert side.mean[record] == pytest.approx(signals.mean(), rel=1e-12)
                assert side.squares[record] == pytest.approx(((signals - signals.mean()) ** 2).sum(), rel=1e-9, abs=1e-9)


def test_variance_of_all_signals_is_that_of_the_reference_rows() -> None:
    found, members = world(rows=4, records=30)
    assert total_variance(*tally(found, members, 2)) == pytest.approx(found[[0, 1, 3]].var(), rel=1e-12)


def test_average_gap_falls_back_to_all_records_and_to_zero() -> None:
    members = np.array([[0, 0, 0, 0], [1, 1, 0, 0]], dtype=bool)  # one reference run: no record has both kinds
    found = np.array([[0.0, 0, 0, 0], [5.0, 7, 1, 2]])
    assert average_gap(*tally(found, members, 0)) == pytest.approx(6 - 1.5)
    assert average_gap(*tally(found, np.zeros_like(members), 0)) == 0
