from __future__ import annotations

from functools import partial
from importlib import import_module

import numpy as np
import pytest
from scipy.special import ndtri
from threadpoolctl import threadpool_info, threadpool_limits

from tckr.engine.executors.local import LocalExecutor
from tckr.errors import UserError
from tckr.membership.scorers.quantile_regression import LEVELS, MIN_POPULATION, AmongAlike, fit_quantiles
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc


def records(generator: np.random.Generator, number: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return signals, features and membership: level and spread follow from the features, members gain `shift` spreads."""
    features = generator.uniform(-1, 1, size=(number, 2))
    members = generator.random(number) < 0.5
    level, spread = 10 * np.sign(features[:, 0]), np.where(features[:, 1] > 0, 4.0, 0.5)
    return level + spread * (generator.normal(size=number) + shift * members), features, members


def test_thresholds_are_the_quantiles_of_records_that_look_alike() -> None:
    generator = np.random.default_rng(0)
    signal, features, _ = records(generator, 4000)
    tested, of_tested, _ = records(generator, 4000)
    thresholds = fit_quantiles(signal, features).thresholds(of_tested)
    assert (np.diff(thresholds, axis=0) >= 0).all()
    for corner in range(4):
        chosen = (of_tested[:, 0] > 0) + 2 * (of_tested[:, 1] > 0) == corner
        below = (tested[chosen] < thresholds[:, chosen]).mean(axis=1)
        assert below == pytest.approx(np.array(LEVELS), abs=0.08)


def test_scores_of_records_outside_of_every_training_are_standard_normal_deviates() -> None:
    generator = np.random.default_rng(1)
    signal, features, _ = records(generator, 4000)
    tested, of_tested, _ = records(generator, 2000)
    scores = fit_quantiles(signal, features).scores(tested, of_tested)
    assert np.quantile(scores, LEVELS) == pytest.approx(ndtri(np.array(LEVELS)), abs=0.2)


def test_it_finds_without_references_what_a_global_threshold_does_not() -> None:
    generator = np.random.default_rng(2)
    signal, features, _ = records(generator, 2000)
    tested, of_tested, members = records(generator, 2000, shift=1.0)
    found = auc(fit_quantiles(signal, features).scores(tested, of_tested), members, 0.95)
    plain = auc(tested, members, 0.95)
    assert isinstance(found, Estimate)
    assert isinstance(plain, Estimate)
    assert found.value > 0.7  # with the true levels and spreads 0.76
    assert plain.high < found.low - 0.05


def test_nothing_is_found_where_nothing_leaks() -> None:
    """The fit does not use the membership, so one fit serves all memberships."""
    generator, covered = np.random.default_rng(0), 0
    signal, features, _ = records(generator, 200)
    fitted = fit_quantiles(signal, features)
    for _ in range(40):
        tested, of_tested, members = records(generator, 300)
        covered += auc(fitted.scores(tested, of_tested), members, 0.95).covers(0.5)  # type: ignore[union-attr]
    assert covered >= 33  # 38 expected; fewer than 33 once in 1,000


@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_unit_and_origin_of_the_signal_change_nothing(factor: float) -> None:
    generator = np.random.default_rng(3)
    signal, features, _ = records(generator, 300)
    tested, of_tested, _ = records(generator, 100)
    expected = fit_quantiles(signal, features).scores(tested, of_tested)
    assert fit_quantiles(factor * signal, features).scores(factor * tested, of_tested) == pytest.approx(expected, rel=1e-6)


def test_equal_signals_give_finite_scores_and_few_records_an_error() -> None:
    fitted = fit_quantiles(np.ones(150), np.zeros((150, 1)))
    assert np.isfinite(fitted.scores(np.array([0.0, 1.0, 9.0]), np.zeros((3, 1)))).all()
    with pytest.raises(UserError, match=r"found 40 records .* needs 100; add such records"):
        fit_quantiles(np.ones(40), np.zeros((40, 1)))


def test_regressions_run_in_worker_processes() -> None:
    features = np.random.default_rng(0).normal(size=(2 * MIN_POPULATION, 1))
    attack, signals = AmongAlike(features), [features[:, 0], -features[:, 0]]
    with LocalExecutor(lambda num_workers: 1) as executor:
        attack.rate_all(signals, partial(executor.map, num_workers=2))
    for signal in signals:
        assert np.array_equal(attack.known[signal.tobytes()], AmongAlike(features)(None, None, signal))


def test_a_regression_in_a_worker_process_has_one_thread_however_many_records_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = import_module("tckr.membership.scorers.quantile_regression")  # the package has a function of that name
    monkeypatch.setattr(module, "MIN_RECORDS", 0)
    features, threads = np.random.default_rng(0).normal(size=(2 * MIN_POPULATION, 1)), set[int]()

    def fit(signal: np.ndarray, features: np.ndarray) -> object:
        threads.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
        return fit_quantiles(signal, features, levels=(0.5, 0.9))

    monkeypatch.setattr(module, "fit_quantiles", fit)
    with threadpool_limits(3, "openmp"):
        AmongAlike(features)(None, None, features[:, 0])
        assert threads == {3}, "an audit in one process uses all cores"
        threads.clear()
        module._rated(features[:, 0], features)
    assert threads == {1}
