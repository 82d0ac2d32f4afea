"""Compare attacks with the published scores of real models that accompany BaVarIA (Brännvall 2026, arXiv 2603.11799).

The folder holds the logits of ten shadow models in five complementary pairs, and scores of one of them with the eight models
of the other pairs as references. The formulas are the paper's; where it
leaves a variance open, the one that gives the published scores was chosen. They must give these scores to 1e-5 of the larger
of 1 and their size; then the AUC of every scorer of ours stands beside that of the published scores. Run:
python benchmarks/published_scores.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.special import gammaln

from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.lira import log_normal
from tckr.membership.scorers.references import Tally, tally
from tckr.metrics.membership import auc

TOLERANCE = 1e-5
KAPPA, ALPHA = 1.0, 2.0
"""Of the normal-inverse-gamma prior of BaVarIA-t."""


def log_predictive(side: Tally, mean: float, variance: float, signal: np.ndarray) -> np.ndarray:
    """Return the log density of the posterior predictive t of one side; `mean` and `variance`: of all its logits."""
    kappa, alpha = KAPPA + side.count, ALPHA + side.count / 2
    centre = (KAPPA * mean + side.count * side.mean) / kappa
    beta = variance * (ALPHA - 1) + side.squares / 2 + KAPPA * side.count * (side.mean - mean) ** 2 / (2 * kappa)
    scale, freedom = beta * (kappa + 1) / (alpha * kappa), 2 * alpha
    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom * np.pi * scale)
    return constant - (freedom + 1) / 2 * np.log1p((signal - centre) ** 2 / (freedom * scale))


def main() -> int:
    """Compare, print and return the exit status."""
    folder = Path(sys.argv[1])
    logits, masks = np.load(folder / "shadow_logits.npy").T, np.load(folder / "shadow_mask.npy").T
    published = np.load(folder / "reference_scores_K8.npz")
    runs = [2 * int(published["target_pair"]), *published["shadow_idx"].tolist()]
    signals, members = logits[runs].astype(np.float64), masks[runs]
    sides = tally(signals, members, 0)
    values = [signals[1:][members[1:] == saw] for saw in (True, False)]
    empty = Tally(*np.zeros((3, signals.shape[1])))
    inside, outside = (
        log_predictive(side, value.mean(), value.var(), signals[0]) for side, value in zip(sides, values, strict=True)
    )
    prior = log_predictive(empty, values[0].mean(), values[0].var(), signals[0])
    normals = [log_normal(signals[0], side.mean, value.var()) for side, value in zip(sides, values, strict=True)]
    ours = {
        "BaVarIA-t_online": inside - outside,
        "BaVarIA-t_offline": prior - outside,
        "LiRA_online": normals[0] - normals[1],  # one variance per side: that of all logits of the side
    }
    sound = True
    for name, scores in ours.items():
        expected = published[f"scores_{name}"]
        difference = float((np.abs(scores - expected) / np.maximum(np.abs(expected), 1)).max())
        sound &= difference < TOLERANCE
        print(f"{name:20s} largest difference from the published scores: {difference:.1e}")
    for name in published.files:
        if name.startswith("scores_"):
            print(f"published {name.removeprefix('scores_'):27s} AUC {auc(published[name].astype(float), members[0], 0.95)}")
    for name, scorer in SCORERS.items():
        print(f"ours      {name:27s} AUC {auc(scorer.score(signals, members, 0), members[0], 0.95)}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
