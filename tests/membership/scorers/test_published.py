"""Scorers as published equal a plain computation, record by record, with scipy's densities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm, t

from tckr.membership.scorers import SCORERS
from tests.membership.worlds import world

Density = Callable[[np.ndarray, float, float, float], float]


def log_t(own: np.ndarray, mean: float, variance: float, signal: float) -> float:
    """alpha0 = 2, kappa0 = 1, beta0 = variance * (alpha0 - 1); the predictive t of the values in `own`."""
    n, average = len(own), own.mean() if len(own) else 0.0
    kappa, alpha = 1 + n, 2 + n / 2
    beta = variance + ((own - average) ** 2).sum() / 2 + n * (average - mean) ** 2 / (2 * kappa)
    scale = (beta * (kappa + 1) / (alpha * kappa)) ** 0.5
    return float(t.logpdf(signal, 2 * alpha, (mean + n * average) / kappa, scale))


def log_n(own: np.ndarray, mean: float, variance: float, signal: float) -> float:
    """alpha0 = 1, beta0 = variance; the normal at the runs' mean with the posterior mean of the variance."""
    if not len(own):
        return float(norm.logpdf(signal, mean, variance**0.5))
    n, average = len(own), own.mean()
    beta = variance + ((own - average) ** 2).sum() / 2 + n * (average - mean) ** 2 / (2 * (1 + n))
    return float(norm.logpdf(signal, average, (beta / (n / 2)) ** 0.5))


def directly(density: Density, found: np.ndarray, members: np.ndarray, *, online: bool) -> list[float]:
    values, seen = found[1:], members[1:]
    moments = [(values[side].mean(), values[side].var()) for side in (seen, ~seen)]
    scores = []
    for record in range(found.shape[1]):
        own, others = (values[side[:, record], record] for side in (seen, ~seen))
        ours = own if online else own[:0]
        signal = found[0, record]
        scores.append(density(ours, *moments[0], signal) - density(others, *moments[1], signal))
    return scores


@pytest.mark.parametrize(("form", "density"), [("t", log_t), ("n", log_n)])
@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("rows", [3, 9])
def test_bavaria_equals_its_equations(form: str, density: Density, online: bool, rows: int) -> None:
    """With two reference runs, a quarter of the records are members of both, and another quarter of none."""
    found, members = world(rows=rows, records=60)
    scores = SCORERS[f"bavaria_{form}_{'online' if online else 'offline'}"].score(found, members, 0)
    assert scores == pytest.approx(np.array(directly(density, found, members, online=online)), rel=1e-9)


def test_lira_has_one_variance_per_side_over_records_and_runs() -> None:
    found, members = world(rows=17, records=60)
    values, seen = found[1:], members[1:]
    moments = [
        (np.array([column[side].mean() for column, side in zip(values.T, chosen.T, strict=True)]), values[chosen].std())
        for chosen in (seen, ~seen)
    ]
    online = norm.logpdf(found[0], *moments[0]) - norm.logpdf(found[0], *moments[1])
    assert SCORERS["lira_online_global_variance"].score(found, members, 0) == pytest.approx(online, rel=1e-9)
    offline = norm.logcdf(found[0], *moments[1])
    assert SCORERS["lira_offline_global_variance"].score(found, members, 0) == pytest.approx(offline, rel=1e-9)


def test_offline_forms_read_of_the_runs_that_saw_records_two_moments_alone() -> None:
    """Exchanging what the in-runs say of two records changes nothing for the others, nor their own scores."""
    found, members = world(rows=9, records=60)
    both = members[1:].all(axis=0) | ~members[1:].any(axis=0)
    changed = found.copy()
    rows = np.flatnonzero(members[1:, 0] & members[1:, 1]) + 1
    assert len(rows)
    assert not both[:2].any()
    changed[np.ix_(rows, [0, 1])] = found[np.ix_(rows, [1, 0])]
    for name in ("bavaria_t_offline", "bavaria_n_offline", "lira_offline_global_variance"):
        assert SCORERS[name].score(changed, members, 0) == pytest.approx(SCORERS[name].score(found, members, 0), rel=1e-9)
    online = SCORERS["bavaria_t_online"].score
    assert (np.abs(online(changed, members, 0) - online(found, members, 0))[:2] > 1e-3).all()
