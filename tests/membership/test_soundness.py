"""Membership rows that tell one another are found, independent ones never accused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tckr.costs.widths import auc_spread
from tckr.errors import UserError
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.findings import usable_scorers
from tckr.membership.scorers import NEVER, SCORERS
from tckr.membership.soundness import dependence, require_sound
from tckr.membership.verdict import judge
from tckr.metrics.membership import auc, placements
from tests.membership.worlds import membership, signals

Draw = Callable[[np.random.Generator, int, int], np.ndarray]


def evenly(generator: np.random.Generator, rows: int, records: int) -> np.ndarray:
    """Return the broken design: every record in exactly half of the runs."""
    ranks = np.argsort(generator.random((records, rows)), axis=1).T
    return ranks < rows // 2


def of(members: np.ndarray) -> Evidence:
    return Evidence(class_names=[], labels=np.zeros(members.shape[1], dtype=np.int64), members=members)


def test_members_of_the_target_that_other_runs_tell_in_another_way_are_refused() -> None:
    generator = np.random.default_rng(0)
    members = membership(generator, 8, 400)
    members[0] = members[1]
    with pytest.raises(UserError, match="can be predicted from that of the other runs"):
        require_sound(of(members))


@pytest.mark.parametrize(("rows", "records"), [(4, 100), (8, 600), (64, 600), (64, 40)])
def test_every_record_in_half_of_the_runs_is_accepted_for_the_target_alone(rows: int, records: int) -> None:
    assert not require_sound(of(evenly(np.random.default_rng(0), rows, records))).independent_runs


def test_reference_runs_in_complementary_pairs_are_accepted_for_the_target_alone() -> None:
    generator = np.random.default_rng(0)
    pairs = membership(generator, 3, 400)
    members = np.concatenate([membership(generator, 1, 400), pairs, ~pairs])
    assert not require_sound(of(members)).independent_runs
    assert require_sound(of(membership(generator, 7, 400))).independent_runs


def off_chance(name: str, rows: int, records: int = 5000) -> float:
    """Return by how many standard deviations the AUC is off 0.5 where nothing leaks; each record is in half of the runs."""
    generator = np.random.default_rng(0)
    members = evenly(generator, rows, records)
    scores = SCORERS[name].score(signals(generator, members, 0.0), members, 0)
    return float((placements(scores, members[0])[0].mean() - 0.5) / auc_spread(records // 2, records // 2))


@pytest.mark.parametrize("name", [name for name, scorer in SCORERS.items() if scorer.balanced_from < NEVER])
def test_no_scorer_reads_the_balanced_design_of_as_many_runs_as_it_says(name: str) -> None:
    assert abs(off_chance(name, SCORERS[name].balanced_from)) < 4


@pytest.mark.parametrize(("name", "rows"), [("lira_online", 8), ("lira_online_median", 8), ("bavaria_online", 4)])
def test_those_that_need_more_runs_read_it_in_fewer(name: str, rows: int) -> None:
    assert abs(off_chance(name, rows)) > 4


@pytest.mark.parametrize("name", [name for name, scorer in SCORERS.items() if scorer.balanced_from == NEVER])
def test_those_that_depend_on_counts_read_it_in_many_runs_too(name: str) -> None:
    assert abs(off_chance(name, 16, records=20_000)) > 4


@pytest.mark.parametrize(
    ("draw", "rows", "left_out"),
    [
        (membership, 8, set()),
        (evenly, 64, {"bavaria_t_online", "bavaria_t_offline", "bavaria_n_online", "bavaria_n_offline"}),
        (evenly, 16, {name for name, scorer in SCORERS.items() if scorer.balanced_from > 16}),
        (evenly, 8, {name for name, scorer in SCORERS.items() if scorer.balanced_from > 8}),
    ],
)
def test_scorers_that_read_the_design_are_left_out(draw: Draw, rows: int, left_out: set[str]) -> None:
    generator = np.random.default_rng(0)
    members = draw(generator, rows, 300)
    found = require_sound(replace(of(members), signals={"teacher": signals(generator, members, 0.0)}))
    assert set(SCORERS) - set(usable_scorers(found, "teacher")) == left_out


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


def test_records_that_never_vary_are_left_out_though_each_is_alone_in_its_class() -> None:
    world = with_constant(0, 100)
    num = world.members.shape[1]
    alone = replace(world, labels=np.arange(num), class_names=[str(number) for number in range(num)])
    assert require_sound(alone).num_left_out == require_sound(world).num_left_out


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
