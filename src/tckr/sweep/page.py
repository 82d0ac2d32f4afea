"""sweep.md and sweep.html: the frontier in words, table and pictures, then every variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from tckr.metrics.estimate import Estimate
from tckr.stages.report.svg import element
from tckr.sweep.figures import Curve, alone, cardinality_chart, report_css, tradeoff_chart
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

Cells = Sequence[Sequence[str]]
"""A table: its first row holds the headings."""

INTERVALS = (
    "Intervals: 95 %; with several seeds over seeds and images, but gains over seeds alone; else over images or records of "
    "the one run."
)
"""How the numbers of a frontier, or of means over seeds, are to be read."""


def pages(title: str, rows: Sequence[Row], swept: Sequence[str]) -> dict[str, str]:
    """Return sweep.md, sweep.html and the pictures that sweep.md shows, by file name."""
    found = frontiers(rows, swept)
    pictures = {name: chart for place, one in enumerate(found) for name, chart in _pictures(place, one).items()}
    return {
        **{name: alone(chart) for name, chart in pictures.items()},
        "sweep.md": _markdown(title, found, rows, swept),
        "sweep.html": _html(title, found, rows, swept),
    }


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
    """Return the means over seeds, a row per combination of the other settings; nothing where there are frontiers."""
    if SEED not in swept or frontiers(rows, swept):
        return []
    labels = short_names(swept)
    others = [name for name in swept if name != SEED and not name.startswith("audit.")]
    heading = [*(labels[name] for name in others), "runs", "Teacher", "test accuracy (CAS)", "minus Teacher", "AUC", "AOP"]
    return [heading, *(_mean_row(one_per_seed(group), others) for group in alike(rows, others))]


def variant_cells(rows: Sequence[Row], swept: Sequence[str]) -> Cells:
    """Return the main columns of every variant, without settings that all share; the Parquet file has all."""
    labels = short_names(swept)
    swept = [name for name in swept if len({repr(row[name]) for row in rows}) > 1]
    heading = [*(labels[name] for name in swept), "Teacher", "Student", "validation", "AUC", "AOP", "time", "added"]
    return [heading, *(_variant_row(row, swept) for row in rows)]


def markdown_table(cells: Cells) -> str:
    """Return a table in Markdown."""
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in cells)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))


def html_table(cells: Cells) -> Markup:
    """Return a table in HTML; cells are escaped where they are not Markup."""
    head, *body = cells
    rows = [element("tr", *(element("td", cell) for cell in row)) for row in body]
    heading = element("thead", element("tr", *(element("th", cell) for cell in head)))
    return element("div", element("table", heading, element("tbody", *rows)), class_="scroll")


def html_page(title: str, *children: Markup) -> str:
    """Return a self-contained page in the report's style."""
    head = element(
        "head",
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width">'),
        element("title", title),
        element("style", Markup(report_css())),
    )
    inside = element("main", element("header", element("h1", title), class_="title"), *children)
    return f"<!doctype html>{element('html', head, element('body', element('div', inside, class_='page')), lang='en')}\n"


def chapter(title: str, *children: Markup) -> Markup:
    """Return a part of a page under its heading."""
    return element("section", element("h2", title), *children)


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
    """Return how the Student at its best cardinality compares with its Teacher."""
    gap = frontier.gap
    origin = f"{gap.n} seeds" if gap.n > 1 else "one run"
    size = f"{100 * gap.value:+.1f} points [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    found = "no measurable difference" if gap.covers(0.0) else "above the Teacher" if gap.value > 0 else "below the Teacher"
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


def _markdown(name: str, found: Sequence[Frontier], rows: Sequence[Row], swept: Sequence[str]) -> str:
    parts = [f"# Sweep {name}", _states(rows)]
    for place, one in enumerate(found):
        shown = [f"![{file}]({file})" for file in _pictures(place, one)]
        parts += [f"## Frontier{_fixed(one)}", one.sentence, gap_sentence(one), markdown_table(frontier_cells(one)), *shown]
    means = mean_cells(rows, swept)
    parts += ["## Means over seeds", markdown_table(means)] if means else []
    parts += [_note(found)] if found or means else []
    return "\n\n".join([*parts, "## Variants", markdown_table(variant_cells(rows, swept))]) + "\n"


def _html(name: str, found: Sequence[Frontier], rows: Sequence[Row], swept: Sequence[str]) -> str:
    parts = [element("p", _states(rows))]
    for place, one in enumerate(found):
        plots = [element("figure", chart, class_="plot") for chart in _pictures(place, one).values()]
        words = [element("p", one.sentence), element("p", gap_sentence(one))]
        shown = [html_table(frontier_cells(one)), element("div", *plots, class_="plots")]
        parts.append(chapter(f"Frontier{_fixed(one)}", *words, *shown))
    means = mean_cells(rows, swept)
    parts += [chapter("Means over seeds", html_table(means))] if means else []
    parts += [element("p", _note(found), class_="note")] if found or means else []
    head, *body = variant_cells(rows, swept)
    linked = [
        [*cells, element("a", "report", href=row["report"]) if row.get("report") else "-"]
        for cells, row in zip(body, rows, strict=True)
    ]
    return html_page(f"Sweep {name}", *parts, chapter("Variants", html_table([[*head, ""], *linked])))


def _states(rows: Sequence[Row]) -> str:
    counts = {state: sum(row["state"] == state for row in rows) for state in ("whole", "failed", "missing")}
    return f"{len(rows)} variants: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count) + "."


def _note(found: Sequence[Frontier]) -> str:
    knee = f" Time: seconds of a run as if it had been alone, without its audit. Knee: {RULE}; test accuracy takes no part."
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
    if row["state"] != "whole":
        return [*values, row["failure"] or row["state"], "", "", "", "", "", ""]
    shown = [f"{100 * row[name]:.1f}" for name in ("teacher_accuracy", "student_accuracy", "student_validation_accuracy")]
    known = ["-" if row[name] is None else f"{row[name]:.3f}" for name in ("student_auc", "student_aop")]
    return [*values, *shown, *known, f"{row['seconds']:.0f} s", f"{row['seconds_added']:.0f} s"]
