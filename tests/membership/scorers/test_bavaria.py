from __future__ import annotations

import numpy as np
import pytest
from scipy.special import polygamma
from scipy.stats import multivariate_t, norm
from scipy.stats import t as student_t

from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.bavaria import (
    Prior,
    estimated_prior,
    inverse_trigamma,
    log_predictive_ratio,
    log_upper_tail,
    variance_prior,
)
from tckr.membership.scorers.references import tally
from tckr.metrics.membership import placements
from tests.membership.worlds import membership, world

PRIOR = Prior(gap=1.2, ratio=0.7, spread=0.4, freedom=5.0, scale=0.8)
LEVEL_VARIANCE = 1e7
"""Of the level m, in units of v: as good as flat."""


def uneven_world(rows: int, records: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return a world whose records differ in level, noise and leakage; members are half as noisy."""
    generator = np.random.default_rng(0)
    members = membership(generator, rows, records)
    noise = np.exp(0.5 * generator.normal(size=records))
    found = np.where(members, 0.5**0.5, 1.0) * generator.normal(size=members.shape) * noise
    return found + 3 * generator.normal(size=records) + members * (1 + 0.5 * noise * generator.normal(size=records)), members


def log_density(signals: np.ndarray, seen: np.ndarray) -> float:
    """Return the log density of all signals of one record under the model as it is written, means and v integrated out.

    A level of variance LEVEL_VARIANCE v instead of a flat one multiplies by v^-1/2, which one degree of freedom undoes.
    """
    freedom = PRIOR.freedom - 1
    covariance = np.diag(np.where(seen, PRIOR.ratio, 1.0)) + LEVEL_VARIANCE + PRIOR.spread * np.outer(seen, seen)
    return float(
        multivariate_t.logpdf(signals, PRIOR.gap * seen, PRIOR.freedom * PRIOR.scale / freedom * covariance, df=freedom)
    )


@pytest.mark.parametrize("seen", [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0], [1], [0]])
def test_online_is_the_posterior_ratio_of_the_model(seen: list[int]) -> None:
    """The reference runs and the target are jointly multivariate t, once as if the record were a member, once not."""
    generator = np.random.default_rng(len(seen))
    references, target = generator.normal(3, 1, size=len(seen)), 4.5
    expected = [log_density(np.append(references, target), np.append(seen, guess)) for guess in (1, 0)]
    signals, members = np.append(target, references)[:, None], np.append(0, seen)[:, None].astype(bool)
    found = log_predictive_ratio(PRIOR, *tally(signals, members, 0), signals[0])
    assert found == pytest.approx([expected[0] - expected[1]], abs=1e-5)


def test_online_equals_a_direct_computation_with_scipy() -> None:
    """In-models 4, 6 and out-models 1, 2, 3 of one record: every step of the posterior by hand."""
    signals, members = np.array([[4.5, 4, 6, 1, 2, 3]]).T, np.array([[True, True, True, False, False, False]]).T
    squares = 2 / 0.7 + 2 + (5 - 2 - 1.2) ** 2 / (0.4 + 0.7 / 2 + 1 / 3)
    freedom = 5 + 1 + 2 + 1
    v = (5 * 0.8 + squares) / freedom
    weight_in, lent_in = 2 / 0.7, 3 / (1 + 0.4 * 3)
    weight_out, lent_out = 3, (2 / 0.7) / (1 + 0.4 * 2 / 0.7)
    mean_in = (weight_in * 5 + lent_in * (2 + 1.2)) / (weight_in + lent_in)
    mean_out = (weight_out * 2 + lent_out * (5 - 1.2)) / (weight_out + lent_out)
    scale_in, scale_out = (v * (0.7 + 1 / (weight_in + lent_in))) ** 0.5, (v * (1 + 1 / (weight_out + lent_out))) ** 0.5
    expected = student_t.logpdf(4.5, freedom, mean_in, scale_in) - student_t.logpdf(4.5, freedom, mean_out, scale_out)
    assert log_predictive_ratio(PRIOR, *tally(signals, members, 0), signals[0]) == pytest.approx([expected], abs=1e-9)


def test_offline_equals_a_direct_computation_with_scipy() -> None:
    found, members = uneven_world(rows=9)
    outside = tally(found, members, 0)[1]
    typical = outside.squares.sum() / outside.freedom.sum()
    freedom, scale = variance_prior(outside.squares, outside.freedom, typical)
    scores = SCORERS["bavaria_offline"].score(found, members, 0)
    for record in np.flatnonzero(outside.count >= 2)[::10]:
        signals = found[1:, record][~members[1:, record]]
        total = freedom + len(signals) - 1
        v = (freedom * scale + ((signals - signals.mean()) ** 2).sum()) / total
        width = (v * (1 + 1 / len(signals))) ** 0.5
        expected = -student_t.logsf(found[0, record], total, signals.mean(), width)
        assert scores[record] == pytest.approx(expected, abs=1e-9)


def test_online_tends_to_lira_as_runs_grow() -> None:
    """Against LiRA's normals with each record's own means, and one variance up to the ratio that both sides share."""

    def distance(rows: int) -> float:
        found, members = uneven_world(rows)
        inside, outside = tally(found, members, 0)
        ratio = estimated_prior(inside, outside).ratio
        v = (inside.squares / ratio + outside.squares) / (inside.freedom + outside.freedom)
        lira = norm.logpdf(found[0], inside.mean, (ratio * v) ** 0.5) - norm.logpdf(found[0], outside.mean, v**0.5)
        return float(np.abs(SCORERS["bavaria_online"].score(found, members, 0) - lira).mean())

    assert distance(1001) < 0.05
    assert distance(1001) < 0.4 * distance(201) < 0.1 * distance(31)


def test_offline_tends_to_lira_offline_as_runs_grow() -> None:
    found, members = uneven_world(rows=2001)
    difference = SCORERS["bavaria_offline"].score(found, members, 0) - SCORERS["lira_offline"].score(found, members, 0)
    assert np.abs(difference).mean() < 0.02


def test_prior_finds_the_numbers_the_signals_were_made_with() -> None:
    generator = np.random.default_rng(0)
    members = membership(generator, 33, 20_000)
    v = 0.8 * 5 / generator.chisquare(5, size=20_000)
    gaps = 1.2 + (0.4 * v) ** 0.5 * generator.normal(size=20_000)
    found = 3 * generator.normal(size=20_000) + members * gaps
    found += (v * np.where(members, 0.7, 1.0)) ** 0.5 * generator.normal(size=members.shape)
    prior = estimated_prior(*tally(found, members, 0))
    assert prior.gap == pytest.approx(1.2, abs=0.02)
    assert prior.ratio == pytest.approx(0.7, rel=0.05)
    assert prior.spread == pytest.approx(0.4, rel=0.1)
    assert prior.freedom == pytest.approx(5, rel=0.05)
    assert prior.scale == pytest.approx(0.8, rel=0.05)


def test_equal_variances_are_found_to_be_equal() -> None:
    found, members = world(records=5000)
    inside, outside = tally(found, members, 0)
    assert estimated_prior(inside, outside).freedom > 50
    assert estimated_prior(inside, outside).scale == pytest.approx(1, abs=0.05)


def test_two_reference_runs_find_more_than_any_lira_does() -> None:
    """What each record's own mean cannot tell, the average difference can."""
    found, members = world(rows=3, records=5000)
    areas = {name: placements(SCORERS[name].score(found, members, 0), members[0])[0].mean() for name in SCORERS}
    assert areas["bavaria_online"] > max(area for name, area in areas.items() if name.startswith("lira"))
    assert areas["bavaria_online"] > areas["lira_online_fixed_variance"] + 0.03


@pytest.mark.parametrize("freedom", [0.6, 4.0, 30.0, 1e6])
def test_upper_tail_is_students(freedom: float) -> None:
    t = np.array([-40.0, -3, 0, 0.5, 3, 20])
    assert log_upper_tail(t, np.full(6, freedom)) == pytest.approx(student_t.logsf(t, freedom), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("freedom", [0.6, 30.0, 1e6])
def test_upper_tail_falls_without_end(freedom: float) -> None:
    t = np.concatenate([np.linspace(30, 45, 400), np.geomspace(50, 1e150, 400)])
    found = log_upper_tail(t, np.full(800, freedom))
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


@pytest.mark.parametrize("value", [1e-5, 0.1, 1.0, 30.0, 1e4])
def test_inverse_trigamma_is_inverse(value: float) -> None:
    assert polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-9)
