"""Membership rows that tell one another are found, independent ones never accused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tckr.costs.widths import auc_spread
from tckr.errors import UserError
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.findings import usable_scorers
from tckr.membership.scorers import SCORERS
from tckr.membership.soundness import dependence, require_sound
from tckr.membership.verdict import judge
from tckr.metrics.membership import auc, placements
from tests.membership.worlds import membership, signals


def evenly(generator: np.random.Generator, rows: int, records: int) -> np.ndarray:
    """Return the broken design: every record in exactly half of the runs."""
    ranks = np.argsort(generator.random((records, rows)), axis=1).T
    return ranks < rows // 2


def of(members: np.ndarray) -> Evidence:
    return Evidence(class_names=[], labels=np.zeros(members.shape[1], dtype=np.int64), members=members)


@pytest.mark.parametrize(("rows", "records"), [(4, 100), (8, 600)])
def test_every_record_in_half_of_a_few_runs_is_refused(rows: int, records: int) -> None:
    members = evenly(np.random.default_rng(0), rows, records)
    assert dependence(members)[0] == pytest.approx(1)
    with pytest.raises(UserError, match="can be told from that of the other runs"):
        require_sound(of(members))


@pytest.mark.parametrize(("rows", "records"), [(16, 600), (64, 600), (64, 40)])
def test_every_record_in_half_of_many_runs_is_accepted_for_the_target_alone(rows: int, records: int) -> None:
    assert not require_sound(of(evenly(np.random.default_rng(0), rows, records))).independent_runs


def test_reference_runs_in_complementary_pairs_are_accepted_for_the_target_alone() -> None:
    generator = np.random.default_rng(0)
    pairs = membership(generator, 3, 400)
    members = np.concatenate([membership(generator, 1, 400), pairs, ~pairs])
    assert not require_sound(of(members)).independent_runs
    assert require_sound(of(membership(generator, 7, 400))).independent_runs


@pytest.mark.parametrize("name", SCORERS)
def test_no_scorer_reads_the_balanced_design_of_16_runs_but_those_that_say_so(name: str) -> None:
    found = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        members = evenly(generator, 16, 300)
        scores = SCORERS[name].score(signals(generator, members, 0.0), members, 0)
        found.append(placements(scores, members[0])[0].mean())
    read = abs(np.mean(found) - 0.5) > (0.4 + 4 / 60**0.5) * auc_spread(150, 150)
    assert read == SCORERS[name].reads_counts


def test_scorers_that_read_counts_are_left_out_where_counts_tell_membership() -> None:
    generator = np.random.default_rng(0)
    for draw, expected in ((evenly, {"bavaria_t_online", "bavaria_n_offline"}), (membership, set())):
        members = draw(generator, 16, 300)
        found = require_sound(replace(of(members), signals={"teacher": signals(generator, members, 0.0)}))
        left_out = set(SCORERS) - set(usable_scorers(found, "teacher"))
        assert left_out >= expected
        assert bool(left_out) == bool(expected)
        assert left_out == {name for name in SCORERS if SCORERS[name].reads_counts and expected}


def test_a_transposed_table_is_named() -> None:
    with pytest.raises(UserError, match=r"found 400 runs of 9 records; .* transposed"):
        require_sound(of(membership(np.random.default_rng(0), 9, 400).T))


def test_the_share_is_the_squared_correlation_of_two_rows() -> None:
    # Half of 400 records are members; the rows agree on three quarters of these and of the others: correlation 0.5.
    first = np.arange(400) < 200
    second = np.concatenate([np.arange(200) < 150, np.arange(200) < 50])
    assert dependence(np.stack([first, second])) == pytest.approx(np.array([0.25, 0.25]))


def test_the_run_that_the_others_tell_is_named() -> None:
    members = membership(np.random.default_rng(0), 6, 400)
    members[4] = ~members[2]
    told = dependence(members)
    assert told[[2, 4]] == pytest.approx(np.ones(2))
    assert not told[[0, 1, 3, 5]].any()


def test_leaving_a_few_records_out_does_not_hide_the_design() -> None:
    generator = np.random.default_rng(0)
    members = evenly(generator, 8, 600)
    members[:, :60] = membership(generator, 8, 60)
    assert dependence(members).max() > 0.4


@pytest.mark.parametrize(("rows", "records"), [(3, 40), (9, 600), (65, 300), (65, 90)])
def test_independent_rows_are_never_accused(rows: int, records: int) -> None:
    for seed in range(40):
        assert not dependence(membership(np.random.default_rng(seed), rows, records)).any()


def test_independent_rows_with_one_member_in_every_pair_are_never_accused() -> None:
    for seed in range(30):
        first = np.random.default_rng(seed).random((33, 300)) < 0.5
        assert not dependence(np.concatenate([first, ~first], axis=1)).any()


def with_constant(seed: int, constant: int, runs: int = 9, records: int = 300) -> Evidence:
    """Return null evidence in which the last records are in every run by design."""
    generator = np.random.default_rng(seed)
    members = generator.random((runs, records)) < 0.5
    members[:, records - constant :] = True
    signals = {"model": 3 * generator.normal(size=records) + generator.normal(size=members.shape)}
    labels = np.zeros(records, dtype=np.int64)
    return Evidence(class_names=[], labels=labels, members=members, surfaces={"model": ["model"]}, signals=signals)


def test_records_that_never_vary_are_left_out_and_counted() -> None:
    found = require_sound(with_constant(0, 100))
    assert (found.num_left_out, found.members.shape) == (100 + 1, (9, 199))  # one is in all reference runs by chance
    assert found.records is not None
    assert found.records.max() < 200
    reasons = judge(MembershipConfig(depth="full"), found).verdict.reasons
    assert [reason.num_records for reason in reasons if reason.kind == "never_varied"] == [101]


def test_records_that_are_in_all_runs_by_chance_stay() -> None:
    for seed in range(10):
        assert require_sound(with_constant(seed, 0, runs=4)).num_left_out == 0


def test_whether_a_record_is_left_out_does_not_depend_on_the_target() -> None:
    world = with_constant(0, 100)
    other = np.random.default_rng(9).random(300) < 0.5
    turned = replace(world, members=np.vstack([other, world.members[1:]]))
    assert (require_sound(turned).records == require_sound(world).records).all()


def test_classes_that_differ_in_their_rates_are_compared_within() -> None:
    """Class 1 has rate 0.9 and lower signals; nothing leaks, but the class tells an attack without references."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 300)
    members = generator.random((9, 600)) < np.where(labels == 1, 0.9, 0.3)
    signals = {"model": generator.normal(size=members.shape) + 2.0 * labels}
    found = Evidence(class_names=["a", "b"], labels=labels, members=members, surfaces={"model": ["model"]}, signals=signals)
    assert (found.compared_within == labels).all()
    across, within = (auc(signals["model"][0], members[0], 0.95, strata) for strata in (None, found.compared_within))
    assert across.value > 0.7
    assert within.covers(0.5)
    assert judge(MembershipConfig(depth="full"), found).surfaces["model"].state != "leaks"
