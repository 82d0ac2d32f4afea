"""An outsider learns no more from a shared report than its own AUC states; from exact numbers he learns every member."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from benchmarks import attack_report
from benchmarks.attack_report import as_report, gains, subset_gain, world_gains

SEEDS = range(4)
ATTACKS = ["curve", "rates", "classes", "errors", "together"]


world = cache(attack_report.world)


@pytest.fixture(scope="module", autouse=True)
def _worlds_are_audited_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(attack_report, "world", world)
        yield


@pytest.fixture(scope="module", params=SEEDS)
def seed(request):
    return request.param


def test_an_exact_curve_is_walked_to_every_member(seed):
    walked, _, _, _, together = world_gains(seed, 300, exact=True)
    assert (walked.attack.value, walked.right) == (1.0, 300)
    assert walked.gain.low > 0.3
    assert together.attack.value == 1.0


def test_a_shared_report_adds_nothing_to_its_own_auc(seed):
    found = list(world_gains(seed, 300, exact=False))
    assert [one.name for one in found] == ATTACKS
    for one in found:
        assert one.gain.low <= 0 <= one.gain.high, one
        assert one.attack.value < 0.65, one


def test_of_many_records_an_exact_curve_tells_the_first_and_a_shared_one_none():
    one = world(0, 3000, references=2)
    exact, shared = (next(gains(as_report(one.audit, exact=exact), one.candidates, one.members)) for exact in (True, False))
    assert exact.right == exact.certain >= 40
    assert exact.gain.low > 0
    assert shared.certain == 0
    assert shared.gain.low <= 0 <= shared.gain.high


def test_an_exact_mean_would_give_a_small_set_away_and_a_shared_report_does_not(seed):
    exact, shared = (subset_gain(seed, exact=exact) for exact in (True, False))
    assert exact.right == 20
    assert shared.gain.low <= 0 <= shared.gain.high
    assert shared.certain < 5


def test_two_levels_of_confidence_give_one_curve(seed):
    one = world(seed, 300)
    other = one.audit.model_copy(update={"declared": one.audit.declared.model_copy(update={"confidence": 0.8})})
    first, second = (as_report(audit, exact=False)["surfaces"]["student"] for audit in (one.audit, other))
    assert first["roc"] == second["roc"]
    values = [
        {rate: found.get("value") for rate, found in each["tpr"]["global_threshold"].items()} for each in (first, second)
    ]
    assert values[0] == values[1]
