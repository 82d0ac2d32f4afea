from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from scipy.stats import binom

from tckr.artifacts.audit import LeaveOneOut
from tckr.membership.analyses import Kept, aucs_of_runs, leave_one_out, mean_over_runs, num_attacks, target_run
from tckr.membership.scorers import SCORERS, NoSums, Scorer, attack_each, attack_one
from tckr.membership.threads import MIN_RECORDS
from tckr.membership.thresholds import fix_thresholds
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import auc_influence
from tests.membership.worlds import membership, world
from tests.metrics.coverage import at_least, at_most, coverage

SCORER = SCORERS["lira_offline_fixed_variance"]


def test_leave_one_out_attacks_every_run() -> None:
    found, members = world()
    result = leave_one_out({"attack": SCORER}, found, members, 0.95, declared="attack")["attack"]
    assert isinstance(result, LeaveOneOut)
    assert len(result.runs) == 9
    assert result.runs[0] == pytest.approx(target_run(SCORER.score(found, members, 0), members[0], 0.95)["auc"].value)
    assert result.spread == pytest.approx(np.std(result.runs, ddof=1))
    assert isinstance(result.mean, Estimate)
    assert result.mean.n == 9
    assert result.mean.value == result.value == pytest.approx(np.mean(result.runs))
    others = leave_one_out({"attack": SCORER}, found, members, 0.95)["attack"]
    assert (others.value, others.runs) == (result.value, result.runs)
    assert isinstance(others.mean, NotMeasurable)


def test_the_aucs_that_the_interval_compares_are_kept() -> None:
    found, members = world(rows=5, records=80)
    kept: Kept = {}
    leave_one_out({"attack": SCORER}, found, members, 0.95, declared="attack", kept=kept)
    everyone = np.arange(5)
    assert set(kept) == {tuple(everyone), *(tuple(everyone[everyone != run]) for run in range(5))}
    for runs, aucs in kept.items():
        assert np.array_equal(aucs, aucs_of_runs(SCORER, found[list(runs)], members[list(runs)]))


def of_values(values: np.ndarray) -> Measured:
    return mean_over_runs(values, lambda runs: values[runs], 0.95)


def test_interval_over_runs_that_share_nothing_is_students() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.02, size=9)
    found = of_values(values)
    assert isinstance(found, Estimate)
    half = 2.306004 * values.std(ddof=1) / 3  # t with 8 degrees of freedom
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert isinstance(of_values(values[:3]), NotMeasurable)


def test_interval_over_runs_covers() -> None:
    def draw(generator: np.random.Generator) -> Measured:
        return of_values(generator.normal(0.6, 0.02, size=9))

    assert at_least() <= coverage(draw, 0.6) <= at_most()


def test_many_runs_are_judged_by_blocks_that_never_met() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.02, size=64)
    met: list[set[int]] = []

    def attack(runs: np.ndarray) -> np.ndarray:
        met.append(set(runs.tolist()))
        return values[runs]

    found = mean_over_runs(values, attack, 0.95)
    assert isinstance(found, Estimate)
    assert sorted(run for block in met for run in block) == list(range(64))
    blocks = [values[sorted(block)].mean() for block in met]
    assert found.high - found.low == pytest.approx(2 * 2.364624 * np.std(blocks, ddof=1) / 8**0.5)  # t with 7


def test_runs_that_share_every_term_vary_twice_as_much_and_the_jackknife_finds_more() -> None:
    """A_r is the sum over s of T_rs = T_sr, all else independent, n = 6 runs: see `mean_over_runs` and `costs.widths`."""
    generator = np.random.default_rng(0)
    upper = np.triu(generator.normal(size=(20_000, 6, 6)), 1)
    terms = (upper + upper.transpose(0, 2, 1)) / 5**0.5  # so that every A_r has variance 1
    assert terms.sum(axis=2).mean(axis=1).var() == pytest.approx(2 / 6, rel=0.03)
    widths = []
    for each in terms[:4000]:

        def attack(runs: np.ndarray, each: np.ndarray = each) -> np.ndarray:
            return each[np.ix_(runs, runs)].sum(axis=1) * (5 / (len(runs) - 1)) ** 0.5

        found = mean_over_runs(attack(np.arange(6)), attack, 0.95)
        assert isinstance(found, Estimate)
        widths.append((found.high - found.low) / 2 / 2.570582)  # t with 5
    assert np.mean(np.square(widths)) == pytest.approx(4 / 6, rel=0.05)


@pytest.mark.parametrize("name", ["bavaria_online", "lira_offline_fixed_variance"])
@pytest.mark.parametrize(("rows", "shift"), [(5, 0.0), (9, 0.0), (9, 0.06), (5, 0.5), (34, 0.0)])
def test_mean_over_runs_covers_the_mean(name: str, rows: int, shift: float) -> None:
    """The small version of benchmarks/intervals.py; too wide where little leaks and runs are few."""
    generator = np.random.default_rng(0)
    count, levels = 60, 3 * generator.normal(size=100)
    found = []
    for _ in range(count):
        members = membership(generator, rows, 100)
        signals = levels + generator.normal(size=members.shape) + shift * members
        mean = leave_one_out({name: SCORERS[name]}, signals, members, 0.95, declared=name)[name].mean
        assert isinstance(mean, Estimate)
        found.append(mean)
    truth = float(np.mean([each.value for each in found])) if shift else 0.5
    assert sum(each.covers(truth) for each in found) >= binom.ppf(0.0005, count, 0.95)


def test_progress_counts_every_attack() -> None:
    counted: list[int] = []

    @contextmanager
    def track(total: int) -> Iterator[Callable[[int], None]]:
        counted.append(total)
        yield counted.append

    scorers = {name: SCORERS[name] for name in ("global_threshold", "rmia_online", "lira_online")}
    for rows in (3, 6, 40):
        counted.clear()
        leave_one_out(scorers, *world(rows=rows, records=20), 0.95, declared="lira_online", track=track)
        assert counted[0] == sum(counted[1:]) == num_attacks(rows) + 2 * rows


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("rows", [3, 4, 9])
def test_attacking_all_runs_at_once_is_attacking_each_alone(name: str, rows: int) -> None:
    found, members = world(rows=rows, records=80)
    found[:, :3] = np.where(members[:, :3], 30.0, -5.0)  # sums that would cancel if runs were taken away
    for run, scores in enumerate(SCORERS[name].score_each(found, members)):
        assert scores == pytest.approx(SCORERS[name].score(found, members, run), rel=1e-9, abs=1e-9)
    for run, scores in SCORERS[name].score_in_turn(found, members):
        assert scores == pytest.approx(SCORERS[name].score(found[run:], members[run:], 0), rel=1e-9, abs=1e-9)


def test_attacking_all_runs_by_all_attacks_adds_runs_a_few_times_each() -> None:
    class Counting(NoSums):
        added = 0

        def add(self, signal_N: np.ndarray, members_N: np.ndarray) -> None:
            Counting.added += 1

    found, members = world(rows=64, records=4)
    attacks = {name: Scorer(SCORERS["global_threshold"].rate, Counting) for name in "abc"}
    assert sum(1 for _ in attack_each(attacks, found, members, lambda scores, members: set(attacks))) == 64
    assert Counting.added == 64 * 6  # log2 64, for all three; each attack on each run on its own would add 63
    attack_one(attacks, found, members, 0)
    assert Counting.added == 64 * 6 + 63


@pytest.mark.parametrize("records", [80, MIN_RECORDS])
def test_all_attacks_at_once_find_what_each_finds_alone(records: int) -> None:
    """Also in threads, where records are many."""
    found, members = world(rows=5, records=records)
    together = list(attack_each(SCORERS, found, members, lambda scores, members: (scores, members)))
    target = attack_one(SCORERS, found, members, 0)
    assert list(target) == list(SCORERS)
    for name, scorer in SCORERS.items():
        assert np.array_equal(target[name], scorer.score(found, members, 0))
        for run, scores in enumerate(scorer.score_each(found, members)):
            assert np.array_equal(together[run][name][0], scores)
            assert np.array_equal(together[run][name][1], members[run])


@pytest.mark.parametrize("strata", [None, np.arange(300) % 7])
def test_aucs_of_runs_are_those_of_their_scores(strata: np.ndarray | None) -> None:
    found, members = world()
    found = np.round(found, 1)  # ties
    aucs = aucs_of_runs(SCORERS["global_threshold"], found, members, strata)
    assert aucs == pytest.approx([auc_influence(*each, strata)[0] for each in zip(found, members, strict=True)], abs=1e-12)


def test_thresholds_ignore_the_target_and_its_membership() -> None:
    found, members = world()
    fixed = fix_thresholds(SCORER, found, members, 0.95, 1e-5)
    found[0], members[0] = 99.0, ~members[0]
    assert fix_thresholds(SCORER, found, members, 0.95, 1e-5) == fixed


def test_thresholds_separate_the_reference_runs() -> None:
    found, members = world(shift=100.0)
    fixed = fix_thresholds(SCORER, found, members, 0.95, 1e-5)
    scores = SCORER.score(found, members, 0)
    for threshold in (fixed.balanced_accuracy, fixed.epsilon):
        assert ((scores > threshold) == members[0]).mean() > 0.95


def test_thresholds_of_constant_scores_are_finite() -> None:
    found, members = world()
    fixed = fix_thresholds(SCORERS["global_threshold"], np.ones_like(found), members, 0.95, 1e-5)
    assert np.isfinite([fixed.balanced_accuracy, fixed.epsilon]).all()
