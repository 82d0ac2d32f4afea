"""Membership rows that tell one another are found, independent ones never accused."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.errors import UserError
from tckr.stages.audit.evidence import Evidence
from tckr.stages.audit.soundness import dependence, require_sound
from tests.stages.audit.worlds import membership


def evenly(generator: np.random.Generator, rows: int, records: int) -> np.ndarray:
    """Return the broken design: every record in exactly half of the runs."""
    ranks = np.argsort(generator.random((records, rows)), axis=1).T
    return ranks < rows // 2


@pytest.mark.parametrize(("rows", "records"), [(4, 100), (8, 600), (64, 600), (64, 40)])
def test_every_record_in_half_of_the_runs_is_refused(rows: int, records: int) -> None:
    members = evenly(np.random.default_rng(0), rows, records)
    assert dependence(members)[1] == pytest.approx(1)
    evidence = Evidence(class_names=[], labels=np.zeros(records, dtype=np.int64), members=members)
    with pytest.raises(UserError, match="can be told from that of the other runs"):
        require_sound(evidence)


def test_the_share_is_the_squared_correlation_of_two_rows() -> None:
    # Half of 400 records are members; the rows agree on three quarters of these and of the others: correlation 0.5.
    first = np.arange(400) < 200
    second = np.concatenate([np.arange(200) < 150, np.arange(200) < 50])
    assert dependence(np.stack([first, second]))[1] == pytest.approx(0.25)


def test_the_run_that_the_others_tell_is_named() -> None:
    members = membership(np.random.default_rng(0), 6, 400)
    members[4] = ~members[2]
    run, share = dependence(members)
    assert run in (2, 4)
    assert share == pytest.approx(1)


def test_leaving_a_few_records_out_does_not_hide_the_design() -> None:
    generator = np.random.default_rng(0)
    members = evenly(generator, 8, 600)
    members[:, :60] = membership(generator, 8, 60)
    assert dependence(members)[1] > 0.4


@pytest.mark.parametrize(("rows", "records"), [(3, 40), (9, 600), (65, 300), (65, 90)])
def test_independent_rows_are_never_accused(rows: int, records: int) -> None:
    for seed in range(40):
        assert dependence(membership(np.random.default_rng(seed), rows, records))[1] == 0


def test_independent_rows_with_one_member_in_every_pair_are_never_accused() -> None:
    for seed in range(30):
        first = np.random.default_rng(seed).random((33, 300)) < 0.5
        assert dependence(np.concatenate([first, ~first], axis=1))[1] == 0
