"""What the audit of the sample run proves by canaries and error rates, at low FPRs, and of a complete package."""

from __future__ import annotations

from dataclasses import replace

from tckr.artifacts.audit import LeakTest, LowFpr, Together
from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.low_fpr import PRIORS
from tckr.metrics.membership import FALSE_POSITIVE_RATES
from tckr.metrics.results import GaussianBound, OneRunBound

CANARIES: dict[str, dict[str, OneRunBound | NotMeasurable]] = {
    "student": {
        "natural": NotMeasurable("5 canaries are too few: even if all guesses were right, they would show no epsilon", 5),
        "mislabelled": OneRunBound(
            value=0.4375,
            confidence=0.95,
            delta=1e-5,
            num_canaries=250,
            guesses=124,
            correct=91,
            method="Steinke et al. 2023",
        ),
    },
    "teacher": {
        "mislabelled": OneRunBound(
            value=2.375,
            confidence=0.95,
            delta=1e-5,
            num_canaries=250,
            guesses=250,
            correct=239,
            method="Steinke et al. 2023",
            assumes="every canary in or out by a fair coin of its own; nothing of the mechanism",
            gaussian=GaussianBound(
                mu=1.375,
                epsilon=5.625,
                confidence=0.95,
                delta=1e-5,
                n=250,
                method="Mahloujifar et al. 2024",
                assumes="every canary in or out by a fair coin of its own; that the trade-off is a Gaussian's",
            ),
        )
    },
}

TOGETHER = {
    "images, soft labels and Student": Together(
        surfaces={"soft_labels": 0.3125, "student": 0.6875},
        auc=Estimate(0.57123, 0.54012, 0.60234, 1294, "DeLong"),
        test=LeakTest(name="package", attack="lira_online_fixed_variance", p_value=0.00123, family_p_value=0.0234),
    )
}
"""Package -> the attack on all of it."""


def mu_of(leak: float) -> GaussianBound:
    """Return the bound on mu that the error rates of a surface prove."""
    return GaussianBound(
        mu=max(0.0, 0.47 * leak - 0.1),
        epsilon=max(0.0, 1.63 * leak - 0.4),
        confidence=0.95,
        delta=1e-5,
        n=1294,
        method="Clopper-Pearson on FPR and TPR",
        assumes="records as independent trials",
    )


def low_fpr_of(leak: float) -> dict[str, LowFpr]:
    """Return TPR and PPV over nine runs."""
    return {
        rate: LowFpr(
            tpr=replace(around(float(rate) * (1 + leak), float(rate) / 2, 9), method="over runs"),
            tpr_of_target=around(float(rate) * (1 + leak), float(rate), 647),
            ppv={prior: around(0.4 + 0.1 * leak, 0.1, 9) for prior in PRIORS},
        )
        for rate in FALSE_POSITIVE_RATES
    }


def around(value: float, half: float, n: int) -> Estimate:
    """Return an estimate between 0 and 1."""
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), n, "95 % interval")
