"""Fidelity: similarity of a set of images to a reference set in some feature space, computed from features.

No value has a meaning by itself: all depend on the features, and all but KID also on the number of images. Two sets to be
compared are therefore measured against one reference set, in one feature space, with equally many images in each set.

**Intervals.** Jackknife over `GROUPS` groups, leaving one group of both sets out at a time, with Student's t. On average its
variance is not too small for any statistic that treats all images equally (Efron and Stein 1981), also if the sets hardly
differ and other approximations fail; binomial intervals that take the other set as fixed are too narrow. FID is biased
upwards by a term of order 1 / n: its interval is for the value expected with n images, not with infinitely many. A bootstrap
would add its own bias, because it repeats images. Intervals of shares are at least as wide as a Wilson interval.

Shape suffixes: N images of either side, R reference images, S images that are judged, C centres of balls, P points, K
neighbours, D dimensions, G groups, V variants: the complete set, then without each group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.neighbours import k_nearest, pairs_within
from tckr.metrics.proportions import wilson
from tckr.metrics.results import FidelityScores

GROUPS = 10
MIN_IMAGES = 2 * GROUPS
MANIFOLD_NEIGHBOURS = 3
"""k of precision and recall, as published."""
BALL_NEIGHBOURS = 5
"""k of density and coverage, as published."""
LISTED = 4
"""Neighbours that are computed for each of the k; enough remain when those of one group are left out."""


def measure_fidelity(reference_RD: np.ndarray, samples_SD: np.ndarray, confidence: float) -> FidelityScores:
    """Return all measures of `samples_SD` against `reference_RD`, which must be in random order, because of the groups."""
    fewest = min(len(reference_RD), len(samples_SD))
    if fewest < MIN_IMAGES:
        none = NotMeasurable(f"fidelity needs {MIN_IMAGES} images of each side; found {fewest}", fewest)
        return FidelityScores(**dict.fromkeys(FidelityScores.model_fields, none))
    precision, recall = precision_recall(reference_RD, samples_SD, confidence)
    density, coverage = density_coverage(reference_RD, samples_SD, confidence)
    return FidelityScores(
        fid=frechet_distance(reference_RD, samples_SD, confidence),
        kid=kernel_distance(reference_RD, samples_SD, confidence),
        precision=precision,
        recall=recall,
        density=density,
        coverage=coverage,
    )


@dataclass(frozen=True)
class Moments:
    """Moments of features: number of images, their sum [D], and the sum of their outer products [D, D]."""

    n: int
    total: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, features_ND: np.ndarray) -> Moments:
        """Return the moments of features, computed in float64."""
        features_ND = features_ND.astype(np.float64)
        return cls(len(features_ND), features_ND.sum(axis=0), features_ND.T @ features_ND)

    def without(self, part: Moments) -> Moments:
        """Return the moments of the other images."""
        return Moments(self.n - part.n, self.total - part.total, self.products - part.products)

    def mean(self) -> np.ndarray:
        """Return the mean [D]."""
        return self.total / self.n

    def covariance(self) -> np.ndarray:
        """Return the unbiased covariance [D, D]."""
        return (self.products - np.outer(self.total, self.total) / self.n) / (self.n - 1)


def frechet_distance(reference_RD: np.ndarray, samples_SD: np.ndarray, confidence: float) -> Estimate:
    """Return the Frechet distance of Gaussians fitted to both sets: FID (Heusel et al. 2017, eq. 6) in these features."""
    centre_D = reference_RD.mean(axis=0, dtype=np.float64)  # does not change distances, but small numbers lose fewer digits
    sides = [side - centre_D for side in (reference_RD, samples_SD)]
    whole = [Moments.of(side) for side in sides]
    left_out = []
    for group in zip(*(_groups(side) for side in sides), strict=True):
        parts = [total.without(Moments.of(part)) for total, part in zip(whole, group, strict=True)]
        left_out.append(frechet_of_moments(*parts))
    note = f"of the value expected with {min(map(len, sides)):,} images"
    return _jackknife(frechet_of_moments(*whole), left_out, len(samples_SD), confidence, note=note, limits=(0.0, np.inf))


def frechet_of_moments(first: Moments, second: Moments) -> float:
    """Return `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)`, the squared Wasserstein-2 distance of two Gaussians.

    The argument of the root is symmetric and positive, so its trace is the sum of the roots of its eigenvalues; negative
    rounding errors count as zero. Singular covariances are allowed.
    """
    gap_D, one_DD, other_DD = first.mean() - second.mean(), first.covariance(), second.covariance()
    values_D, vectors_DD = np.linalg.eigh(one_DD)
    root_DD = (vectors_DD * np.sqrt(values_D.clip(0))) @ vectors_DD.T
    crossed = np.linalg.eigvalsh(root_DD @ other_DD @ root_DD)
    found = gap_D @ gap_D + np.trace(one_DD) + np.trace(other_DD) - 2 * np.sqrt(crossed.clip(0)).sum()
    return max(0.0, float(found))


def kernel_distance(reference_RD: np.ndarray, samples_SD: np.ndarray, confidence: float) -> Estimate:
    """Return the unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3: KID (Binkowski et al. 2018).

    It may be negative if the sets hardly differ. All pairs are used, instead of subsets of 1,000 images as published: the
    value has the same expectation and less variance.
    """
    references, samples = (_groups(side.astype(np.float64)) for side in (reference_RD, samples_SD))
    sums = _kernel_sums(references, references), _kernel_sums(samples, samples), _kernel_sums(references, samples)
    sizes = np.array([len(group) for group in references]), np.array([len(group) for group in samples])
    left_out = [_discrepancy(sums, sizes, np.arange(GROUPS) != group) for group in range(GROUPS)]
    value = _discrepancy(sums, sizes, np.ones(GROUPS, dtype=bool))
    return _jackknife(value, left_out, len(samples_SD), confidence, note="all pairs")


def _kernel_sums(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> np.ndarray:
    """Return [G, G]: the kernel summed over the pairs of two groups, without pairs of an image with itself."""
    sums_GG = np.array([[_kernel(first, second).sum() for second in other] for first in one])
    if one is other:
        own = [((np.square(group).sum(axis=1) / group.shape[1] + 1) ** 3).sum() for group in one]
        sums_GG[np.diag_indices(GROUPS)] -= own
    return sums_GG


def _kernel(one_ND: np.ndarray, other_ND: np.ndarray) -> np.ndarray:
    return (one_ND @ other_ND.T / one_ND.shape[1] + 1) ** 3


def _discrepancy(sums: Sequence[np.ndarray], sizes: Sequence[np.ndarray], kept_G: np.ndarray) -> float:
    """Return the unbiased estimate from the kept groups of both sets (Gretton et al. 2012, eq. 3)."""
    among_references, among_samples, across = (found[np.ix_(kept_G, kept_G)].sum() for found in sums)
    m, n = (int(size[kept_G].sum()) for size in sizes)
    return float(among_references / (m * (m - 1)) + among_samples / (n * (n - 1)) - 2 * across / (m * n))


def precision_recall(
    reference_RD: np.ndarray, samples_SD: np.ndarray, confidence: float, k: int = MANIFOLD_NEIGHBOURS
) -> tuple[Estimate, Estimate]:
    """Return improved precision and recall (Kynkaanniemi et al. 2019, eq. 1 to 3).

    Precision: share of samples inside the ball of at least one reference image, which reaches to its k-th nearest other
    reference image. Recall: the same with the sets exchanged.
    """
    _, balls_VS = _within_reach(reference_RD, samples_SD, k)
    _, balls_VR = _within_reach(samples_SD, reference_RD, k)
    return _share(balls_VS > 0, confidence), _share(balls_VR > 0, confidence)


def density_coverage(
    reference_RD: np.ndarray, samples_SD: np.ndarray, confidence: float, k: int = BALL_NEIGHBOURS
) -> tuple[Estimate, Estimate]:
    """Return density and coverage (Naeem et al. 2020, eq. 3 and 4) with the balls of `precision_recall`.

    Density: mean number of balls around a sample, divided by k; about 1 for samples of the same distribution, but not
        bounded.
    Coverage: share of reference images whose ball contains a sample.
    """
    samples_VR, balls_VS = _within_reach(reference_RD, samples_SD, k)
    return _mean(balls_VS / k, confidence), _share(samples_VR > 0, confidence)


def _within_reach(centres_CD: np.ndarray, points_PD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return [V, C], the number of points in the ball of each centre, and [V, P], the number of balls around each point.

    A ball reaches to the k-th nearest other centre. Pairs within the largest ball of any variant are computed once.
    """
    radii_VC, centre_groups, point_groups = _radii(centres_CD, k), _group_of(len(centres_CD)), _group_of(len(points_PD))
    points_VC, balls_VP = np.zeros(radii_VC.shape, dtype=int), np.zeros((GROUPS + 1, len(points_PD)), dtype=int)
    for centres, points, distances in pairs_within(centres_CD, points_PD, radii_VC.max(axis=0)):
        for variant, radii_C in enumerate(radii_VC):
            inside = distances <= radii_C[centres]
            inside &= (centre_groups[centres] != variant - 1) & (point_groups[points] != variant - 1)
            points_VC[variant] += np.bincount(centres[inside], minlength=len(centres_CD))
            balls_VP[variant] += np.bincount(points[inside], minlength=len(points_PD))
    return points_VC, balls_VP


def _radii(features_ND: np.ndarray, k: int) -> np.ndarray:
    """Return the distance [V, N] to the k-th nearest other image; the nearest of all is the image itself, or its equal."""
    listed = min(len(features_ND), 1 + LISTED * k)
    distances_NK, indices_NK = k_nearest(features_ND, features_ND, listed)
    groups_NK = _group_of(len(features_ND))[indices_NK]
    radii_VN = np.empty((GROUPS + 1, len(features_ND)))
    for variant in range(GROUPS + 1):
        reached_NK = (groups_NK != variant - 1).cumsum(axis=1) > k
        reached_NK[:, -1] = True  # practically never needed: all but k of LISTED * k neighbours in one random group
        radii_VN[variant] = np.take_along_axis(distances_NK, reached_NK.argmax(axis=1)[:, None], axis=1)[:, 0]
    return radii_VN


def _share(hits_VN: np.ndarray, confidence: float) -> Estimate:
    found, n = _mean(hits_VN, confidence, at_most=1.0), hits_VN.shape[1]
    low, high = wilson(found.value * n, n, confidence)
    return Estimate(found.value, min(found.low, low), max(found.high, high), n, f"{found.method}, or Wilson if wider")


def _mean(values_VN: np.ndarray, confidence: float, at_most: float = np.inf) -> Estimate:
    groups, n = _group_of(values_VN.shape[1]), values_VN.shape[1]
    left_out = [float(values_VN[group + 1, groups != group].mean()) for group in range(GROUPS)]
    return _jackknife(float(values_VN[0].mean()), left_out, n, confidence, note="both sets sampled", limits=(0.0, at_most))


def _groups(features_ND: np.ndarray) -> list[np.ndarray]:
    return [features_ND[_group_of(len(features_ND)) == group] for group in range(GROUPS)]


def _group_of(n: int) -> np.ndarray:
    return np.arange(n) % GROUPS


def _jackknife(
    value: float,
    left_out: Sequence[float],
    n: int,
    confidence: float,
    *,
    note: str,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Return the estimate with variance (G - 1) / G times the squared deviations of the values without one group."""
    found = np.array(left_out)
    spread = ((len(found) - 1) * found.var()) ** 0.5
    half = float(student_t.ppf((1 + confidence) / 2, len(found) - 1) * spread)
    method = f"jackknife over {len(found)} groups of images, {note}"
    return Estimate(value, max(limits[0], value - half), min(limits[1], value + half), n, method)
