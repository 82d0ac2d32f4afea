"""Write sweep.md and sweep.html: the frontier as sentences, table and charts, then every variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from tckr.html.pages import Cells, Section, page_files
from tckr.metrics.estimate import TEST_IMAGES, Estimate, no_difference
from tckr.sweep.figures import Curve, cardinality_chart, tradeoff_chart
from tckr.sweep.frontier import (
    RULE,
    SEED,
    Frontier,
    Point,
    alike,
    frontiers,
    gap_to_teacher,
    one_per_seed,
    over_runs,
)
from tckr.sweep.grid import short_names
from tckr.sweep.table import Row

INTERVALS = (
    "Intervals: 95 %. With several seeds they are over seeds and images, but for gains only over seeds; "
    "with one run they are over its images or records."
)
"""Explanation of the intervals of a frontier or of means over seeds."""


def pages(title: str, rows: Sequence[Row], swept: Sequence[str]) -> dict[str, str]:
    """Return sweep.md, sweep.html and the charts of sweep.md, by file name."""
    return page_files("sweep", title, _sections(frontiers(rows, swept), rows, swept))


def frontier_cells(frontier: Frontier) -> Cells:
    """Return the frontier as a table."""
    heading = [
        "cardinality",
        "runs",
        "validation",
        "test accuracy (CAS)",
        "minus Teacher",
        "gain",
        "AUC",
        "gain",
        "AOP",
        "time",
    ]
    return [heading, *(_frontier_row(point, point.cardinality == frontier.knee) for point in frontier.points)]


def mean_cells(rows: Sequence[Row], swept: Sequence[str]) -> Cells:
    """Return the means over seeds, a row per combination of the other settings; empty if there are frontiers."""
    if SEED not in swept or frontiers(rows, swept):
        return []
    labels = short_names(swept)
    others = [name for name in swept if name != SEED and not name.startswith("audit.")]
    heading = [*(labels[name] for name in others), "runs", "Teacher", "test accuracy (CAS)", "minus Teacher", "AUC", "AOP"]
    return [heading, *(_mean_row(one_per_seed(group), others) for group in alike(rows, others))]


def variant_cells(rows: Sequence[Row], swept: Sequence[str]) -> Cells:
    """Return the main columns of every variant, without settings equal in all; the Parquet file has all columns."""
    labels = short_names(swept)
    swept = [name for name in swept if len({repr(row[name]) for row in rows}) > 1]
    heading = [*(labels[name] for name in swept), "Teacher", "Student", "validation", "AUC", "AOP", "time", "added"]
    return [heading, *(_variant_row(row, swept) for row in rows)]


def percent(number: Estimate | None) -> str:
    """Return a share in percent with its interval, `-` for none."""
    if number is None:
        return "-"
    return f"{100 * number.value:.1f}" + (
        f" [{100 * number.low:.1f}, {100 * number.high:.1f}]" if number.low < number.high else ""
    )


def plain(number: Estimate | None) -> str:
    """Return a number with its interval, `-` for none."""
    if number is None:
        return "-"
    return f"{number.value:.3f}" + (f" [{number.low:.3f}, {number.high:.3f}]" if number.low < number.high else "")


def gap_sentence(frontier: Frontier) -> str:
    """Return a sentence that compares the Student at its best cardinality with its Teacher."""
    gap = frontier.gap
    origin = f"{gap.n} seeds" if gap.n > 1 else "one run"
    size = f"{100 * gap.value:+.1f} points [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    units = TEST_IMAGES if gap.n == 1 else f"{TEST_IMAGES} or seeds"
    undecided = no_difference(gap, units, frontier.at(frontier.best).num_test)
    found = undecided if gap.covers(0.0) else "above the Teacher" if gap.value > 0 else "below the Teacher"
    return f"Student at {frontier.best:g}x (best on validation) minus Teacher, test accuracy: {size}, {origin}: {found}."


def _pictures(place: int, frontier: Frontier) -> Mapping[str, Markup]:
    chart = tradeoff_chart(frontier)
    drawn = {f"frontier-{place}.svg": chart} if chart is not None else {}
    student = Curve(name="Student", points=[(point.cardinality, point.accuracy) for point in frontier.points])
    teacher = Curve(
        name="Teacher", points=[(point.cardinality, frontier.teacher) for point in frontier.points], class_="teacher"
    )
    return {
        **drawn,
        f"accuracy-{place}.svg": cardinality_chart("accuracy by cardinality", [student, teacher], "test accuracy"),
    }


def _sections(found: Sequence[Frontier], rows: Sequence[Row], swept: Sequence[str]) -> list[Section]:
    sections = [Section(sentences=[_states(rows)])]
    for place, one in enumerate(found):
        words = [one.sentence, gap_sentence(one)]
        sections.append(
            Section(title=f"Frontier{_fixed(one)}", sentences=words, table=frontier_cells(one), charts=_pictures(place, one))
        )
    means = mean_cells(rows, swept)
    sections += [Section(title="Means over seeds", table=means)] if means else []
    sections += [Section(notes=[_note(found)])] if found or means else []
    reports = [row.get("report") for row in rows]
    return [*sections, Section(title="Variants", table=variant_cells(rows, swept), reports=reports)]


def _states(rows: Sequence[Row]) -> str:
    counts = {state: sum(row["state"] == state for row in rows) for state in ("complete", "failed", "missing")}
    return f"{len(rows)} variants: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count) + "."


def _note(found: Sequence[Frontier]) -> str:
    knee = f" Time: seconds of a run as if it had run alone, without its audit. Knee: {RULE}; test accuracy is not used."
    return INTERVALS + (knee if found else "")


def _fixed(frontier: Frontier) -> str:
    return "".join(f", {name}={value}" for name, value in frontier.fixed.items())


def _frontier_row(point: Point, chosen: bool) -> list[str]:
    audited = f" ({point.num_audited} of {point.num_runs} runs)" if 0 < point.num_audited < point.num_runs else ""
    return [
        f"{point.cardinality:g}x" + (" (knee)" if chosen else ""),
        str(point.num_runs),
        percent(point.validation),
        percent(point.accuracy),
        percent(point.gap),
        percent(point.accuracy_gain) + _one_pair(point.accuracy_gain),
        plain(point.auc) + audited,
        plain(point.auc_gain) + _one_pair(point.auc_gain),
        plain(point.aop) + (audited if point.aop else ""),
        f"{point.seconds:.0f} s",
    ]


def _mean_row(rows: Sequence[Row], others: Sequence[str]) -> list[str]:
    accuracies = [percent(over_runs(rows, name)) for name in ("teacher_accuracy", "student_accuracy")]
    audited = sum(row["student_auc"] is not None for row in rows)
    of_runs = f" ({audited} of {len(rows)} runs)" if 0 < audited < len(rows) else ""
    attacked = [over_runs(rows, name) for name in ("student_auc", "student_aop")]
    return [
        *(str(rows[0][name]) for name in others),
        str(len(rows)),
        *accuracies,
        percent(gap_to_teacher(rows)),
        *(plain(number) + (of_runs if number else "") for number in attacked),
    ]


def _one_pair(gain: Estimate | None) -> str:
    return " (one pair)" if gain and gain.n == 1 else ""


def _variant_row(row: Row, swept: Sequence[str]) -> list[str]:
    values = [str(row[name]) for name in swept]
    if row["state"] != "complete":
        return [*values, row["failure"] or row["state"], "", "", "", "", "", ""]
    shown = [f"{100 * row[name]:.1f}" for name in ("teacher_accuracy", "student_accuracy", "student_validation_accuracy")]
    known = ["-" if row[name] is None else f"{row[name]:.3f}" for name in ("student_auc", "student_aop")]
    return [*values, *shown, *known, f"{row['seconds']:.0f} s", f"{row['seconds_added']:.0f} s"]
