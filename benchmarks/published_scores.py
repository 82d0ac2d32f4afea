"""Compare attacks with the published scores of real models that accompany BaVarIA (Brännvall 2026, arXiv 2603.11799).

The folder holds the logits of ten shadow models in five complementary pairs, and scores of one of them with the eight models
of the other pairs as references. TCKR's scorers of `PUBLISHED` must give the published scores to 1e-5 of the larger of 1 and
their size; then the AUC of every scorer stands beside those of the published scores. Run:
python benchmarks/published_scores.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tckr.membership.scorers import SCORERS
from tckr.metrics.membership import auc

TOLERANCE = 1e-5
PUBLISHED = {
    "LiRA_online": "lira_online_global_variance",
    "LiRA_offline": "lira_offline_global_variance",
    "BaVarIA-t_online": "bavaria_t_online",
    "BaVarIA-t_offline": "bavaria_t_offline",
    "BaVarIA-n_online": "bavaria_n_online",
    "BaVarIA-n_offline": "bavaria_n_offline",
}
"""Published name -> scorer that must give the same numbers."""


def main() -> int:
    """Compare, print and return the exit status."""
    folder = Path(sys.argv[1])
    logits, masks = np.load(folder / "shadow_logits.npy").T, np.load(folder / "shadow_mask.npy").T
    published = np.load(folder / "reference_scores_K8.npz")
    runs = [2 * int(published["target_pair"]), *published["shadow_idx"].tolist()]
    signals, members = logits[runs].astype(np.float64), masks[runs]
    sound = True
    for name, scorer in PUBLISHED.items():
        expected = published[f"scores_{name}"]
        difference = np.abs(SCORERS[scorer].score(signals, members, 0) - expected) / np.maximum(np.abs(expected), 1)
        sound &= bool(difference.max() < TOLERANCE)
        print(f"{scorer:28s} largest difference from the published scores: {difference.max():.1e}")
    for name in published.files:
        if name.startswith("scores_"):
            print(f"published {name.removeprefix('scores_'):28s} AUC {_auc(published[name].astype(float), members[0])}")
    for name, attack in SCORERS.items():
        print(f"ours      {name:28s} AUC {_auc(attack.score(signals, members, 0), members[0])}")
    return 0 if sound else 1


def _auc(scores: np.ndarray, members: np.ndarray) -> str:
    found = auc(scores, members, 0.95)
    return f"{found.value:.4f} [{found.low:.3f}, {found.high:.3f}]"  # type: ignore[union-attr]


if __name__ == "__main__":
    sys.exit(main())
