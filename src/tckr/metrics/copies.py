"""Copies: whether synthetic images are closer to training members than to hold-out records, measured on features.

**Near.** An image is near a set if its nearest record in the set is at most tau away. Tau is fixed without the synthetic
images: 5 % of the real records have another real record (of either set) within tau, so near means "as close as the closest
pairs of different real images". Because both sets are used, tau does not depend on which of them contains the members.

**Excess** = share of synthetic images near a member - share near a hold-out record. A generator that learned the
distribution, but no single record, is near both equally often. **Closer** = share of images whose nearest record is a
member: the share of Platzer and Reutterer (2021); Meehan et al. (2020) test the same idea by ranks.

**Equal sizes.** A larger set has nearer records just by its size. Both are therefore compared at the size m of the smaller
set: every share is its average over all subsets of m records of the larger set, in closed form (for an image with c of n
records within reach 1 - C(n - c, m) / C(n, m)), so no random subset is needed. A copy of a member then counts m / n.

**Intervals.** Images near the same record are one observation, because it depends on a single random choice whether that
record is a member. The variance is therefore that of a difference of sums over records, which were randomized by the split
(Neyman 1923); an image counts for its nearest record. It is used as a design effect (Rao and Scott 1992): Bonett-Price and
Wilson intervals of n / effect images. Simulated without leakage (100 members, 100 hold-out records, 2,000 synthetic images;
eight worlds of 2 to 64 dimensions, 200 times each), 95 % intervals covered in 92 to 100 % of the cases by world, 95 % on
average (excess and closer alike); without the design effect in 52 to 93 % and 24 to 74 %.

**Limits.**

- The features should be pixels, or come from a model trained on neither set. A model trained on the members may map them
  differently from hold-out records, so the two sets are not exchangeable, as the intervals assume.
- There is one tau for the complete space. Where real images are dense (blank ones, easy classes), nearness by chance is
  common
  and a copy is not detected; where they are sparse, only exact copies are near.
- One record copied a hundred times is one observation: the excess keeps a wide interval, but the flagged images show it.
- A record and its twin (same patient, next frame) on two sides of the split hide a copy, because it is near both sets. With
  groups they are on one side, and images near records of one group are one observation.
- Images of one caption that are near different records count as independent.
- After flagged images were replaced, the excess is too low by construction: copies of members were removed, but not the
  images
  near hold-out records by chance. It shows that the list was processed, not that the generator forgot.

Shape suffixes: S synthetic images, M members, H hold-out records, D dimensions, N some set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln
from scipy.stats import norm

from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.neighbours import count_within, nearest, nearest_other
from tckr.metrics.proportions import bonett_price, bonett_price_z, wilson
from tckr.metrics.results import CopiesResult, FlaggedImage

NEAR_QUANTILE = 0.05


@dataclass(frozen=True)
class FeatureSet:
    """Images as points of one feature space.

    Attributes:
        vectors: real numbers [N, D]; may be a memory map.
        ids: int64 [N], `index` of synthetic images or `record` of real ones.
        groups: int64 [N], groups of real records (patients, parts) if they were sampled by group; else None.
    """

    vectors: np.ndarray
    ids: np.ndarray
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)


@dataclass(frozen=True)
class _Reach:
    """A set of real records with the distances to the S synthetic images.

    Attributes:
        records: the set.
        distances, nearest: [S], distance and row of each image's nearest record.
    """

    records: FeatureSet
    distances: np.ndarray
    nearest: np.ndarray


def measure_copies(
    synthetic: FeatureSet,
    members: FeatureSet,
    holdout: FeatureSet,
    *,
    confidence: float,
    quantile: float = NEAR_QUANTILE,
) -> CopiesResult:
    """Compare the nearness of synthetic images to members with that to hold-out records, as defined above.

    Args:
        synthetic: features of the released images.
        members: features of the records that the generator was trained on.
        holdout: features of records of the same source that it was not trained on.
        confidence: level of the intervals.
        quantile: share of the real records that have another one within the threshold.
    """
    sizes = {"num_synthetic": len(synthetic), "num_members": len(members), "num_holdout": len(holdout)}
    if len(synthetic) == 0 or min(len(members), len(holdout)) < 2:
        reason = (
            f"copies need a synthetic image, two members and two hold-out records; found {len(synthetic)}, {len(members)} "
            f"and {len(holdout)}"
        )
        none = NotMeasurable(reason, len(synthetic))
        return CopiesResult(
            excess=none, near_member=none, near_holdout=none, closer=none, threshold=None, quantile=quantile, **sizes
        )
    threshold = near_threshold(members.vectors, holdout.vectors, quantile)
    inside, outside = (_Reach(side, *nearest(synthetic.vectors, side.vectors)) for side in (members, holdout))
    flagged = _suspicious(inside.distances, outside.distances, threshold)
    return CopiesResult(
        **_shares(synthetic, inside, outside, threshold, confidence),
        threshold=threshold,
        quantile=quantile,
        flagged=[_flag(synthetic, inside, outside, row) for row in _by_suspicion(synthetic, inside, outside, flagged)],
        num_flagged=int(flagged.sum()),
        num_mirrored=int(_suspicious(outside.distances, inside.distances, threshold).sum()),
        **sizes,
    )


def near_threshold(members_MD: np.ndarray, holdout_HD: np.ndarray, quantile: float) -> float:
    """Return the distance within which a share `quantile` of all M + H records has another record."""
    within = [nearest_other(records)[0] for records in (members_MD, holdout_HD)]
    across = [nearest(members_MD, holdout_HD)[0], nearest(holdout_HD, members_MD)[0]]
    return float(np.quantile(np.concatenate([np.minimum(*pair) for pair in zip(within, across, strict=True)]), quantile))


def near_copies(vectors_SD: np.ndarray, members_MD: np.ndarray, holdout_HD: np.ndarray, threshold: float) -> np.ndarray:
    """Return bool [S], as flagged by `measure_copies`: near a member and closer to it than to any hold-out record."""
    distances_S, others_S = (nearest(vectors_SD, side)[0] for side in (members_MD, holdout_HD))
    return _suspicious(distances_S, others_S, threshold)


def _shares(synthetic: FeatureSet, inside: _Reach, outside: _Reach, threshold: float, confidence: float) -> dict[str, Any]:
    sampled = min(len(inside.records), len(outside.records))
    radii_S = np.full(len(synthetic), threshold)
    near_member_S, near_holdout_S = (_chance_within(synthetic, side, radii_S, sampled) for side in (inside, outside))
    closer_S = _chance_closer(synthetic, inside, outside, sampled)
    gained_S, lost_S = near_member_S * (1 - near_holdout_S), near_holdout_S * (1 - near_member_S)
    nothing_S = np.zeros(len(synthetic))
    effect = _design_effect(inside, gained_S, outside, lost_S)
    return {
        "excess": _difference(gained_S, lost_S, effect, confidence),
        "p_value": float(norm.sf(bonett_price_z(gained_S.sum() / effect, lost_S.sum() / effect, len(gained_S) / effect))),
        "near_member": _share(near_member_S, _design_effect(inside, near_member_S, outside, nothing_S), confidence),
        "near_holdout": _share(near_holdout_S, _design_effect(inside, nothing_S, outside, near_holdout_S), confidence),
        "closer": _share(closer_S, _design_effect(inside, closer_S, outside, 1 - closer_S), confidence),
    }


def _chance_within(synthetic: FeatureSet, side: _Reach, radii_S: np.ndarray, sampled: int) -> np.ndarray:
    """Return the probability [S] that `sampled` random records of a side include one within the radius."""
    size = len(side.records)
    if sampled == size:
        return (side.distances <= radii_S).astype(np.float64)
    return chance_of_any(count_within(synthetic.vectors, side.records.vectors, radii_S), size, sampled)


def chance_of_any(counts: np.ndarray, size: int, sampled: int) -> np.ndarray:
    """Return the probability that `sampled` of `size` records, without replacement, include one of `counts` marked ones."""
    left = size - counts
    log_missed = _log_choose(np.maximum(left, sampled), sampled) - _log_choose(np.array(size), sampled)
    return np.where(left < sampled, 1.0, -np.expm1(log_missed))


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)


def _chance_closer(synthetic: FeatureSet, inside: _Reach, outside: _Reach, sampled: int) -> np.ndarray:
    """Return the probability [S] that an image's nearest record is a member, for `sampled` random ones per set; ties 1/2."""
    swapped = len(inside.records) < len(outside.records)
    larger, smaller = (outside, inside) if swapped else (inside, outside)
    radii_S = smaller.distances
    strictly_S = _chance_within(synthetic, larger, np.nextafter(radii_S, -np.inf), sampled)
    chance_S = (strictly_S + _chance_within(synthetic, larger, radii_S, sampled)) / 2
    return 1 - chance_S if swapped else chance_S


def _design_effect(inside: _Reach, gained_S: np.ndarray, outside: _Reach, lost_S: np.ndarray) -> float:
    """Return how many images count as one: variance over records divided by variance over images, from 1 to S.

    For the variance over images, one image is added to each kind of outcome, as in the Bonett-Price interval.
    """
    n, gained, lost = len(gained_S), gained_S.sum(), lost_S.sum()
    over_images = gained + lost + 2 - (gained - lost) ** 2 / (n + 2)
    over_records = _spread(inside, gained_S) + _spread(outside, lost_S)
    return float(np.clip(over_records / over_images, 1, n))


def _spread(side: _Reach, outcomes_S: np.ndarray) -> float:
    """Return the estimated variance of the sum of `outcomes_S`, where an image counts for its nearest record or group."""
    drawn, groups = side.nearest, side.records.groups
    count = len(side.records)
    if groups is not None:
        numbers = np.unique(groups, return_inverse=True)[1]
        drawn, count = numbers[drawn], int(numbers.max()) + 1
    sums = np.bincount(drawn, outcomes_S, minlength=count)
    return float(count * sums.var(ddof=1)) if count > 1 else float(outcomes_S.sum() ** 2)


def _difference(gained_S: np.ndarray, lost_S: np.ndarray, effect: float, confidence: float) -> Estimate:
    n, gained, lost = len(gained_S), float(gained_S.sum()), float(lost_S.sum())
    ends = bonett_price(gained / effect, lost / effect, n / effect, confidence)
    return _estimate((gained - lost) / n, ends, n, effect, "Bonett-Price interval, paired over images")


def _share(chances_S: np.ndarray, effect: float, confidence: float) -> Estimate:
    n, hits = len(chances_S), float(chances_S.sum())
    ends = wilson(hits / effect, n / effect, confidence)
    return _estimate(hits / n, ends, n, effect, "Wilson interval over images")


def _estimate(value: float, ends: tuple[float, float], n: int, effect: float, interval: str) -> Estimate:
    method = f"{interval}, design effect {effect:.2f} of images near the same record"
    return Estimate(value, min(value, ends[0]), max(value, ends[1]), n, method)


def _suspicious(distances_S: np.ndarray, others_S: np.ndarray, threshold: float) -> np.ndarray:
    """Return bool [S]: near a record of one side and closer to it than to any of the other side."""
    return (distances_S <= threshold) & (distances_S < others_S)


def _by_suspicion(synthetic: FeatureSet, inside: _Reach, outside: _Reach, flagged_S: np.ndarray) -> np.ndarray:
    """Return the rows of flagged images by the ratio of distances, then the distance to the member, then the index."""
    rows = np.flatnonzero(flagged_S)
    distances = inside.distances[rows]
    ratios = distances / outside.distances[rows]  # a flagged image is closer to a member, so this is never 0 / 0
    return rows[np.lexsort((synthetic.ids[rows], distances, ratios))]


def _flag(synthetic: FeatureSet, inside: _Reach, outside: _Reach, row: int) -> FlaggedImage:
    return FlaggedImage(
        synthetic=int(synthetic.ids[row]),
        member=int(inside.records.ids[inside.nearest[row]]),
        member_distance=float(inside.distances[row]),
        holdout=int(outside.records.ids[outside.nearest[row]]),
        holdout_distance=float(outside.distances[row]),
    )
