"""What is said of a surface at low false positive rates, and of Gaussian differential privacy."""

from __future__ import annotations

from tckr.membership.config import MembershipConfig
from tckr.membership.verdict import judge
from tckr.metrics.estimate import Estimate, NotMeasurable
from tests.membership.worlds import evidence


def test_low_rates_are_measured_over_all_runs_with_what_they_mean_at_stated_priors() -> None:
    surface = judge(MembershipConfig(), evidence(1, shift=2.0, records=300)).surfaces["teacher"]
    assert isinstance(surface.tpr[surface.attack]["0.001"], NotMeasurable)  # 150 non-members in one run
    found = surface.low_fpr["0.001"]  # 9 runs have 1,350
    assert isinstance(found.tpr, Estimate)
    assert isinstance(found.tpr_of_target, Estimate)
    usual = surface.low_fpr["0.01"].tpr
    assert isinstance(usual, Estimate)
    assert usual.low > 0.01
    values = [ppv.value for ppv in found.ppv.values() if isinstance(ppv, Estimate)]
    assert list(found.ppv) == ["1:1", "1:10", "1:100"]
    assert values == sorted(values, reverse=True)
    assert len(values) == 3


def test_without_references_no_rate_is_fixed_on_other_runs_and_no_mu_is_bounded() -> None:
    surface = judge(MembershipConfig(), evidence(1)).surfaces["images"]
    assert not surface.low_fpr
    assert surface.mu_lower_bound is None


def test_the_error_rates_refute_a_mu_that_the_worlds_own_does_not_exceed() -> None:
    bounds = [judge(MembershipConfig(), evidence(1, shift=shift)).surfaces["teacher"].mu_lower_bound for shift in (0.0, 2.0)]
    silent, leaking = bounds
    assert silent is not None
    assert leaking is not None
    assert silent.mu == 0
    assert 0.3 < leaking.mu < 2.0  # N(0, 1) against N(2, 1), with noise of the references on top
    assert "independent trials" in leaking.assumes
