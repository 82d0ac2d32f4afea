"""Render `Contents` and images as one self-contained HTML page. Jinja escapes class names and captions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from tckr.artifacts.audit import SurfaceResult
from tckr.artifacts.mistakes import MOST
from tckr.data.rejections import REASONS, RULES
from tckr.html.jinja import environment, style_sheet
from tckr.html.numbers import difference_number, duration, fraction, measured_number, megabytes, percent, plain, rounded_down
from tckr.html.svg import element
from tckr.membership.coverage import scorer_name
from tckr.membership.rows import strongest_name
from tckr.membership.wording import why_not_measured
from tckr.metrics.low_fpr import PRIORS
from tckr.metrics.rounding import round_above
from tckr.stages.report.checks import control_groups, purposes, result_of
from tckr.stages.report.classes import MAX_MATRIX, ShownMistake, worst_first
from tckr.stages.report.copies import MAX_PICTURES, MAX_ROWS
from tckr.stages.report.figures import Series, bar, history_chart, interval_strip, roc_chart, smoothed
from tckr.stages.report.flagged import Likeness
from tckr.stages.report.gallery import ClassGallery, shown_because, why_withheld
from tckr.stages.report.leakage_chart import leakage_chart, state_class, state_mark
from tckr.stages.report.measures import FPRS
from tckr.stages.report.report_json import Comparison, Contents, Number, Training
from tckr.surfaces import SURFACES, signal_title, surface_title

PREVIEW_CLASSES = 30
"""Number of classes above which tables by class are folded."""


def render(
    contents: Contents,
    galleries: Sequence[ClassGallery],
    likenesses: Sequence[Likeness] = (),
    mistakes: Sequence[ShownMistake] = (),
) -> str:
    """Return the report as HTML text."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=contents,
            audit=contents.audit,
            why_not_measured=why_not_measured(contents.audit.verdict),
            galleries=galleries,
            withheld=why_withheld(contents),
            shown_because=shown_because(contents),
            likenesses=likenesses,
            mistakes=mistakes,
            max_mistakes=MOST,
            max_matrix=MAX_MATRIX,
            max_pictures=MAX_PICTURES,
            max_rows=MAX_ROWS,
            control_groups=control_groups(contents.audit),
            purposes=purposes(contents.audit.controls),
            css=style_sheet(),
            charts=charts(contents),
            total_seconds=sum(each.seconds for each in (*contents.stages, contents.labelling) if each),
            reasons=REASONS,
            rules=RULES,
            fprs=FPRS,
            priors=tuple(PRIORS),
            preview_classes=PREVIEW_CLASSES,
            surfaces={name: surface_title(name) for name in SURFACES},
        )
    )


def code(text: str) -> Markup:
    """Return text with the parts in backticks as code."""
    parts = [escape(part) if number % 2 == 0 else element("code", part) for number, part in enumerate(text.split("`"))]
    return Markup("").join(parts)


def charts(contents: Contents) -> dict[str, Markup]:
    """Return the charts that have data, by name."""
    audit = contents.audit
    drawn = {
        "leakage": leakage_chart(contents.surfaces),
        "adapter_loss": _loss_chart("Adapter: denoising loss", contents.adaptation, "step", "other"),
    }
    if contents.dp_teacher:
        drawn["dp_teacher_loss"] = _loss_chart("DP Teacher: training loss", contents.dp_teacher.history, "epoch", "teacher")
    for name, training in (("teacher", contents.teacher), ("student", contents.student)):
        title = name.capitalize()
        drawn[f"{name}_loss"] = _loss_chart(f"{title}: training loss", training.history, "epoch", name)
        watched = "validation accuracy" if name == "teacher" else "agreement on held-out synthetic images"
        drawn[f"{name}_accuracy"] = _accuracy_chart(title, watched, training, name)
    for name, surface in audit.surfaces.items():
        drawn[f"{name}_roc"] = _roc(name, surface, audit.declared.num_non_members)
    return {name: chart for name, chart in drawn.items() if chart}


def strip(row: Comparison) -> Markup:
    """Return Teacher and Student of one row as intervals on a common, labelled scale."""
    low, high = strip_scale(row)
    form = _plain_percent if row.key.startswith("tpr") else plain
    reference = 0.5 if row.key.startswith("auc") else None
    rows = [("teacher", row.teacher), ("student", row.student)]
    return interval_strip(rows, low, high, reference, ends=(form(low), form(high)))


def strip_scale(row: Comparison) -> tuple[float, float]:
    """Return round ends of a scale for both intervals: shares end at 1, an AUC includes 0.5, leakage starts at 0."""
    ends = [end for number in (row.teacher, row.student) for end in (number.low, number.value, number.high)]
    numbers = [end for end in ends if end is not None]
    if row.key in ("accuracy", "balanced_accuracy", "aop"):
        return max(0.0, math.floor(20 * min(numbers) - 0.5) / 20), max(1.0, *numbers)
    if row.key.startswith("auc"):
        return math.floor(10 * min(0.5, *numbers)) / 10, 1.0
    return 0.0, round_above(max([*numbers, 0.009]))


def class_strip(teacher: Number, student: Number) -> Markup:
    """Return the membership AUC of one class for Teacher and Student on [0, 1]."""
    return interval_strip([("teacher", teacher), ("student", student)], 0.0, 1.0, 0.5)


def _roc(name: str, surface: SurfaceResult, num_non_members: int) -> Markup:
    curves = {scorer_name(scorer): points for scorer, points in surface.roc.items()}
    return roc_chart(name, curves, scorer_name(surface.attack), num_non_members) if curves else Markup("")


def _loss_chart(title: str, history: Sequence[dict[str, Any]], unit: str, class_: str) -> Markup:
    """Return the loss over steps; a long, noisy history is drawn thin with its mean in bold."""
    points = _points(history, unit, "loss")
    if not points:
        return Markup("")
    mean = smoothed(points)
    noisy = [Series(name="recorded loss", points=points, class_="raw")] if len(mean) < len(points) else []
    return history_chart(title, [*noisy, Series(name="loss", points=mean, class_=f"bold {class_}")], (unit, "loss"))


def _accuracy_chart(title: str, watched: str, training: Training, class_: str) -> Markup:
    points = _points(training.history, "epoch", "validation_accuracy")
    if not points:
        return Markup("")
    series = [Series(name=watched, points=points, class_=f"bold {class_}")]
    kept = training.metrics.get("best_epoch")
    marked_x = None if kept is None else kept + 1  # epochs are stored from 0 and shown from 1
    return history_chart(f"{title}: {watched}", series, ("epoch", "accuracy"), marked_x=marked_x, top=1.0)


def _points(history: Sequence[dict[str, Any]], x: str, y: str) -> list[tuple[float, float]]:
    """Return the points of a history. Steps are stored from 1; epochs are stored from 0 and shown from 1."""
    first = 1 if x == "epoch" else 0
    known = (entry for entry in history if entry.get(x) is not None and entry.get(y) is not None)
    return [(float(entry[x] + first), float(entry[y])) for entry in known]


def _plain_percent(value: float) -> str:
    return f"{plain(100 * value)} %"


@cache
def _environment() -> Environment:
    made = environment("tckr.stages.report")
    made.filters |= {
        "number": measured_number,
        "percents": lambda measured: measured_number(measured, percent),
        "difference": difference_number,
        "fraction": fraction,
        "duration": duration,
        "megabytes": megabytes,
        "plain": plain,
        "rounded_down": rounded_down,
        "scorer": scorer_name,
        "signal": signal_title,
        "surface": surface_title,
        "state_mark": state_mark,
        "state_class": state_class,
        "result": result_of,
        "strip": strip,
        "bar": bar,
        "code": code,
        "worst_first": worst_first,
    }
    made.globals |= {"class_strip": class_strip, "strongest_name": strongest_name}
    return made
