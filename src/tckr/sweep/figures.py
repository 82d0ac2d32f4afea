"""Charts of a sweep: accuracy against AUC, and measures against cardinality, in the style of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tckr.html.axes import Axis, spanning
from tckr.html.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Frame, element, picture, plot_frame
from tckr.metrics.estimate import Estimate
from tckr.sweep.frontier import Frontier


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line over cardinality. `class_` is its colour: student, teacher or other; `line` is bold or dashed (`diagonal`)."""

    name: str
    points: Sequence[tuple[float, Estimate]]
    class_: str = "student"
    line: str = "bold"


def tradeoff_chart(frontier: Frontier) -> Markup | None:
    """Return accuracy against attack AUC with error bars, labelled by cardinality; None if no run was audited."""
    placed = [(point.cardinality, point.auc, point.accuracy) for point in frontier.points if point.auc is not None]
    if not placed:
        return None
    xs = [end for _, auc, _ in placed for end in (auc.low, auc.high)]
    ys = [end for _, _, accuracy in placed for end in (accuracy.low, accuracy.high)]
    frame = plot_frame(spanning([*xs, 0.5]), spanning(ys), ("attack AUC on the Student (0.5 = guessing)", "test accuracy"))
    guess = element("line", x1=frame.x(0.5), x2=frame.x(0.5), y1=frame.y.end, y2=frame.y.start, class_="reference")
    path = frame.line([(auc.value, accuracy.value) for _, auc, accuracy in placed], "thin", "by cardinality")
    marks = [_cross(frame, auc, accuracy, f"{size:g}x", size == frontier.knee) for size, auc, accuracy in placed]
    title = "accuracy against attack AUC: " + "; ".join(f"{size:g}x {y.value:.3f} at {x.value:.3f}" for size, x, y in placed)
    return picture(WIDTH, HEIGHT, title, *frame.draw(), guess, path, *marks)


def cardinality_chart(title: str, curves: Sequence[Curve], name: str) -> Markup:
    """Return curves with error bars over cardinality (log axis)."""
    sizes = [size for curve in curves for size, _ in curve.points]
    ends = [end for curve in curves for _, number in curve.points for end in (number.low, number.high)]
    low, high = min(sizes) / 1.3, max(sizes) * 1.3
    bottom, top = spanning(ends)
    frame = Frame(
        x=Axis(low=low, high=high, start=LEFT, end=WIDTH - RIGHT, log=True),
        y=Axis(low=bottom, high=top, start=HEIGHT - BOTTOM, end=TOP),
        names=("synthetic images per private one", name),
    )
    drawn = [mark for curve in curves for mark in _curve(frame, curve)]
    words = "; ".join(f"{curve.name}: {_listed(curve)}" for curve in curves)
    return picture(WIDTH, HEIGHT, title, *frame.draw(), *drawn, description=words)


def bar_chart(title: str, bars: Sequence[tuple[str, Estimate, str]], name: str) -> Markup:
    """Return horizontal bars of (label, number, class) with their intervals, from 0 to the largest."""
    label_width, row = 210, 20
    high = max(number.high for _, number, _ in bars)
    axis = Axis(low=0.0, high=high or 1.0, start=label_width, end=WIDTH - 50)
    marks = []
    for place, (label, number, class_) in enumerate(bars):
        y = 6 + row * place
        marks += [
            element("text", label, x=label_width - 8, y=y + 11, class_="minor end"),
            element(
                "rect",
                x=axis.start,
                y=y,
                width=max(1.0, axis(number.value) - axis.start),
                height=13,
                class_=f"fill {class_}",
            ),
            element("line", x1=axis(number.low), x2=axis(number.high), y1=y + 6.5, y2=y + 6.5, class_="whisker other"),
            element("text", f"{number.value:.3f}", x=axis(number.high) + 5, y=y + 11, class_="minor"),
        ]
    tall = 6 + row * len(bars) + 18
    return picture(WIDTH, tall, title, *marks, element("text", name, x=label_width, y=tall - 4, class_="minor"))


def _curve(frame: Frame, curve: Curve) -> list[Markup]:
    line = frame.line([(size, number.value) for size, number in curve.points], f"{curve.line} {curve.class_}", curve.name)
    return [line, *(_upright_bar(frame, size, number, curve) for size, number in curve.points)]


def _upright_bar(frame: Frame, size: float, number: Estimate, curve: Curve) -> Markup:
    x = frame.x(size)
    title = element("title", f"{curve.name}, {size:g}x: {number.value:.3f} [{number.low:.3f}, {number.high:.3f}]")
    bar = element("line", x1=x, x2=x, y1=frame.y(number.low), y2=frame.y(number.high), class_=f"whisker {curve.class_}")
    return element("g", title, bar, element("circle", cx=x, cy=frame.y(number.value), r=3.2, class_=f"dot {curve.class_}"))


def _cross(frame: Frame, auc: Estimate, accuracy: Estimate, label: str, chosen: bool) -> Markup:
    x, y = frame.x(auc.value), frame.y(accuracy.value)
    return element(
        "g",
        element("title", f"{label}: accuracy {accuracy}, AUC {auc}"),
        element("line", x1=frame.x(auc.low), x2=frame.x(auc.high), y1=y, y2=y, class_="whisker student"),
        element("line", x1=x, x2=x, y1=frame.y(accuracy.low), y2=frame.y(accuracy.high), class_="whisker student"),
        element("circle", cx=x, cy=y, r=5 if chosen else 3.4, class_="dot student"),
        element("text", f"{label} (knee)" if chosen else label, x=x + 6, y=y - 6, class_="label halo"),
    )


def _listed(curve: Curve) -> str:
    return ", ".join(f"{size:g}x {number.value:.3f}" for size, number in curve.points)
