"""Compare our results with the published ones. Takes tables and returns tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tckr.metrics.estimate import Estimate
from tckr.reproduction.published import Cell, Figure
from tckr.sweep.frontier import CARDINALITY, SEED, Frontier, over_runs
from tckr.sweep.table import Row

MEASURES = ("cas", "auc", "aop")
SOFT = ("soft", "online")
"""Values of `distill.labels` that the published tables call soft: stored labels, or labels computed for every view."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One of our numbers and the published one; either may be missing."""

    ours: Estimate | None
    published: float | None

    @property
    def difference(self) -> float | None:
        """Return our number minus the published one."""
        return None if self.ours is None or self.published is None else self.ours.value - self.published


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """Measures of the Teacher (`cardinality` None) or of the Student at a cardinality."""

    model: str
    cardinality: float | None
    measures: dict[str, Compared]


@dataclass(frozen=True, kw_only=True)
class ComparedCell:
    """One cell of the ablation."""

    prompt: str
    labels: str
    fraction: float
    cas: Compared


def compare_results(frontier: Frontier | None, rows: Sequence[Row], published: Sequence[Figure]) -> list[ComparedRow]:
    """Return the Teacher and every cardinality that was measured or published."""
    known = {figure.cardinality: figure for figure in published}
    points = {point.cardinality: point for point in frontier.points} if frontier else {}
    teacher = _teacher(rows)
    found = [ComparedRow(model="teacher", cardinality=None, measures=_compared(teacher, known.get(None)))]
    for size in sorted({*points, *(size for size in known if size is not None)}):
        point = points.get(size)
        ours = {"cas": point.accuracy, "auc": point.auc, "aop": point.aop} if point else {}
        found.append(ComparedRow(model="student", cardinality=size, measures=_compared(ours, known.get(size))))
    return found


def compare_ablation(rows: Sequence[Row], published: Sequence[Cell]) -> list[ComparedCell]:
    """Return every cell of the ablation that was measured or published."""
    groups: dict[tuple[str, str, float], list[Row]] = {}
    for row in rows:
        if row["state"] == "complete":
            labels = "soft" if row["distill.labels"] in SOFT else row["distill.labels"]
            groups.setdefault((row["adapt.prompt_form"], labels, row["adapt.fraction"]), []).append(row)
    known = {(cell.prompt, cell.labels, cell.fraction): cell.cas for cell in published}
    return [
        ComparedCell(
            prompt=prompt,
            labels=labels,
            fraction=fraction,
            cas=Compared(
                ours=over_runs(groups[key], "student_accuracy") if key in groups else None, published=known.get(key)
            ),
        )
        for key in sorted({*groups, *known})
        for prompt, labels, fraction in [key]
    ]


def comparison_rows(results: Sequence[ComparedRow], cells: Sequence[ComparedCell]) -> list[Row]:
    """Return the complete comparison as one table with a row per number."""
    rows: list[Row] = []
    for row in results:
        place: Row = {"experiment": "cardinality", "model": row.model, CARDINALITY: row.cardinality}
        rows += [{**place, "measure": name, **_numbers(compared)} for name, compared in row.measures.items()]
    for cell in cells:
        place = {"experiment": "ablation", "model": "student", "adapt.prompt_form": cell.prompt}
        rows.append(
            {**place, "labels": cell.labels, "adapt.fraction": cell.fraction, "measure": "cas", **_numbers(cell.cas)}
        )
    return rows


def _teacher(rows: Sequence[Row]) -> dict[str, Estimate | None]:
    """Return the Teacher's numbers over seeds; they are the same for all cardinalities."""
    whole = [row for row in rows if row["state"] == "complete"]
    trained = list({row.get(SEED): row for row in whole}.values())
    audited = list({row.get(SEED): row for row in whole if row["teacher_auc"] is not None}.values())
    return {
        "cas": over_runs(trained, "teacher_accuracy"),
        "auc": over_runs(audited, "teacher_auc"),
        "aop": over_runs(audited, "teacher_aop"),
    }


def _compared(ours: dict[str, Estimate | None], figure: Figure | None) -> dict[str, Compared]:
    read: Callable[[str], float | None] = lambda name: getattr(figure, name) if figure else None  # noqa: E731
    return {name: Compared(ours=ours.get(name), published=read(name)) for name in MEASURES}


def _numbers(compared: Compared) -> Row:
    ours = compared.ours
    return {
        "ours": ours.value if ours else None,
        "ours_low": ours.low if ours else None,
        "ours_high": ours.high if ours else None,
        "runs": ours.n if ours else None,
        "published": compared.published,
        "difference": compared.difference,
    }
