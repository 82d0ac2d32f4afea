"""Accuracy gained and privacy lost with more synthetic images, by cardinality, and a rule for where to stop.

The stopping rule is fixed in advance. It is the one-standard-error rule (Breiman et al. 1984): the knee is the smallest
cardinality whose Student is within one standard error of the best one on the validation split. The test split is not used
for the choice; test accuracy, AUC and AOP are printed beside it.

If the source has a test split, runs of all seeds share it, and a t-interval over seeds alone would describe the variation of
training on these images, but not that of other test images. Therefore each half of the interval is the root of the sum of
two squares: the half width of the t-interval over seeds, and the mean half width of the runs' own intervals. If each seed
samples its own test split, the t-interval already contains a part of that variation, and the interval is too wide rather
than too narrow. Gains from one cardinality to the next have only the t-interval over seeds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scipy import stats

from tckr.metrics.estimate import Estimate
from tckr.sweep.table import Row

CARDINALITY = "generate.cardinality"
SEED = "seed"
RULE = (
    "the smallest cardinality whose mean validation accuracy is within one standard error of the best (the larger of the "
    "standard error over seeds and that over one seed's images, with two right and two wrong images added)"
)
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Point:
    """One cardinality of a frontier.

    Attributes:
        cardinality: synthetic images per private one.
        num_runs: number of variants, one per seed.
        validation, accuracy: accuracy of the Student on the validation split and on the test split.
        auc, aop: of the attack on the Student; None if no run was audited.
        num_audited: number of audited runs.
        seconds: mean time of a run as if it had run alone, without its audit.
        gap: test accuracy of the Student minus that of its Teacher.
        num_test: smallest number of test images of a run.
        accuracy_gain, auc_gain: difference to the previous cardinality, paired by seed; None for the first.
    """

    cardinality: float
    num_runs: int
    validation: Estimate
    accuracy: Estimate
    auc: Estimate | None
    aop: Estimate | None
    num_audited: int
    seconds: float
    gap: Estimate
    num_test: int
    accuracy_gain: Estimate | None
    auc_gain: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """All cardinalities of variants that otherwise differ only in the seed.

    Attributes:
        fixed: the other swept settings and their values.
        points: by cardinality, ascending; at least two.
        knee: the cardinality chosen by the stopping rule.
        best: the cardinality of the best mean validation accuracy.
        teacher: accuracy of the Teacher on the test split.
    """

    fixed: dict[str, Any]
    points: Sequence[Point]
    knee: float
    best: float
    teacher: Estimate

    def at(self, cardinality: float) -> Point:
        """Return the point of a cardinality."""
        return next(point for point in self.points if point.cardinality == cardinality)

    @property
    def gap(self) -> Estimate:
        """Return the test accuracy of the Student at `best` minus that of the Teacher."""
        return self.at(self.best).gap

    @property
    def sentence(self) -> str:
        """Return e.g. `1x is the knee: 5x gains 0.3 points [-2.1, 2.7] for +0.040 AUC [0.012, 0.068]`."""
        later = [point for point in self.points if point.cardinality > self.knee]
        if not later:
            return f"No knee: {self.knee:g}x, the largest, is best on the validation split; more images may gain more."
        after = later[0]
        gain, cost = after.accuracy_gain, after.auc_gain
        bought = f"gains {100 * gain.value:.1f} points {_ends(gain, 100, 1)}" if gain else "has no run of the same seed"
        price = f" for {cost.value:+.3f} AUC {_ends(cost, 1, 3)}" if cost else ""
        return f"{self.knee:g}x is the knee: {after.cardinality:g}x {bought}{price}."


def frontiers(rows: Sequence[Row], swept: Sequence[str]) -> list[Frontier]:
    """Return one frontier per combination of the `swept` settings except cardinality, seed and those of the audit.

    Runs that differ only in the audit have the same Student and count once (`one_per_seed`).

    Incomplete variants are left out, and so are combinations with fewer than two cardinalities.
    """
    if CARDINALITY not in swept:
        return []
    others = [name for name in swept if name not in (CARDINALITY, SEED) and not name.startswith("audit.")]
    found = [frontier(group, {name: group[0][name] for name in others}) for group in alike(rows, others)]
    return [one for one in found if one is not None]


def frontier(rows: Sequence[Row], fixed: dict[str, Any]) -> Frontier | None:
    """Return the frontier of complete variants that differ only in cardinality, seed and audit."""
    by_size: dict[float, list[Row]] = {}
    for row in rows:
        by_size.setdefault(float(row[CARDINALITY]), []).append(row)
    by_size = {size: one_per_seed(group) for size, group in by_size.items()}
    sizes = sorted(by_size)
    if len(sizes) < 2:
        return None
    previous = [None, *sizes[:-1]]
    points = [
        _point(size, by_size[size], [] if before is None else by_size[before])
        for size, before in zip(sizes, previous, strict=True)
    ]
    best = max(points, key=lambda point: (_tied(point), -point.cardinality))
    return Frontier(
        fixed=fixed,
        points=points,
        knee=knee(points, [by_size[size] for size in sizes]),
        best=best.cardinality,
        teacher=_measured(list({_seed(row): row for row in rows}.values()), "teacher_accuracy"),
    )


def alike(rows: Sequence[Row], names: Sequence[str]) -> list[list[Row]]:
    """Return the complete variants in groups with equal settings `names`."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["state"] == "complete":
            groups.setdefault(repr([row[name] for name in names]), []).append(row)
    return list(groups.values())


def one_per_seed(rows: Sequence[Row]) -> list[Row]:
    """Return one row per seed: the first of those with the most reference runs.

    Rows of one seed differ only in their audit; the same Student counted twice would make an interval over seeds too narrow.
    """
    kept: dict[Any, Row] = {}
    for row in sorted(rows, key=lambda row: row["num_reference_runs"] or 0, reverse=True):
        kept.setdefault(_seed(row), row)
    return [row for row in rows if kept[_seed(row)] is row]


def knee(points: Sequence[Point], rows: Sequence[Sequence[Row]]) -> float:
    """Return the cardinality chosen by the stopping rule (`RULE`); `rows` are the variants of each point."""
    place = max(range(len(points)), key=lambda index: (_tied(points[index]), -index))
    bar = _tied(points[place]) - standard_error(rows[place])
    return next(point.cardinality for point in points if _tied(point) >= bar)


def _tied(point: Point) -> float:
    """Return the mean validation accuracy, rounded so that it does not depend on the order of summation."""
    return round(point.validation.value, 9)


def standard_error(rows: Sequence[Row]) -> float:
    """Return the standard error of the mean validation accuracy: the larger of those over seeds and over images.

    The validation images of several seeds are sampled from one data set and overlap, so they count as those of one seed. Two
    right and two wrong images are added (Agresti and Coull 1998); otherwise a Student that is always right would have none.
    """
    values = [row["student_validation_accuracy"] for row in rows]
    images = min(row["num_validation"] for row in rows) + 4
    mean = (sum(values) / len(values) * (images - 4) + 2) / images
    over_images = math.sqrt(mean * (1 - mean) / images)
    over_seeds = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return max(over_images, float(over_seeds))


def over_runs(rows: Sequence[Row], name: str) -> Estimate | None:
    """Return the mean of a column of shares over the runs that have it; None if no run has it.

    For a single run the interval is its own.
    """
    known = [row for row in rows if row[name] is not None]
    if len(known) < 2:
        return _estimate(known[0], name, "one run") if known else None
    mean = _over_seeds_and_images(known, name)
    return replace(mean, low=max(0.0, mean.low), high=min(1.0, mean.high))


def _over_seeds_and_images(rows: Sequence[Row], name: str) -> Estimate:
    """Return the mean of at least two runs with different seeds, with the interval described at the top of this file."""
    mean = mean_over([row[name] for row in rows])
    below = statistics.fmean(row[name] - row[f"{name}_low"] for row in rows)
    above = statistics.fmean(row[f"{name}_high"] - row[name] for row in rows)
    half, method = mean.high - mean.value, "t over seeds, and the runs' own intervals"
    return replace(mean, low=mean.value - math.hypot(half, below), high=mean.value + math.hypot(half, above), method=method)


def gap_to_teacher(rows: Sequence[Row]) -> Estimate:
    """Return the mean difference of test accuracy, Student minus Teacher, over runs with different seeds."""
    if len(rows) > 1:
        return _over_seeds_and_images(rows, "student_minus_teacher")
    return _estimate(rows[0], "student_minus_teacher", "one run, paired over images")


def mean_over(values: Sequence[float]) -> Estimate:
    """Return the mean of at least two values with its t-interval."""
    mean = sum(values) / len(values)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half, len(values), "t-interval over seeds")


def _measured(rows: Sequence[Row], name: str) -> Estimate:
    """Return the mean of a column that every complete run has."""
    found = over_runs(rows, name)
    assert found is not None, f"no run has {name}"
    return found


def _point(size: float, rows: Sequence[Row], before: Sequence[Row]) -> Point:
    return Point(
        cardinality=size,
        num_runs=len(rows),
        validation=_measured(rows, "student_validation_accuracy"),
        accuracy=_measured(rows, "student_accuracy"),
        auc=over_runs(rows, "student_auc"),
        aop=over_runs(rows, "student_aop"),
        num_audited=sum(row["student_auc"] is not None for row in rows),
        seconds=sum(row["seconds"] - row["seconds_audit"] - row["seconds_report"] for row in rows) / len(rows),
        gap=gap_to_teacher(rows),
        num_test=min(row["num_test"] for row in rows),
        accuracy_gain=_gain(rows, before, lambda row: row["student_accuracy"]),
        auc_gain=_gain(rows, before, lambda row: row["student_auc"]),
    )


def _gain(rows: Sequence[Row], before: Sequence[Row], value: Callable[[Row], float | None]) -> Estimate | None:
    """Return the mean difference of runs with equal seeds; a single pair has no interval (low = high)."""
    earlier = {_seed(row): value(row) for row in before}
    pairs = [(value(row), earlier.get(_seed(row))) for row in rows]
    gains = [after - first for after, first in pairs if after is not None and first is not None]
    if not gains:
        return None
    return mean_over(gains) if len(gains) > 1 else Estimate(gains[0], gains[0], gains[0], 1, "one pair of runs, no interval")


def _ends(gain: Estimate, scale: int, digits: int) -> str:
    interval = f"[{scale * gain.low:.{digits}f}, {scale * gain.high:.{digits}f}]"
    return interval if gain.n > 1 else "(one pair of runs, no interval)"


def _estimate(row: Row, name: str, method: str) -> Estimate:
    return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], 1, method)


def _seed(row: Row) -> Any:
    return row.get(SEED)
