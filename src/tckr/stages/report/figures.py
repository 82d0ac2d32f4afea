"""The charts of the report as inline SVG: intervals, ROC curves on log axes, training histories, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tckr.html.axes import Axis, decade_below, spanning
from tckr.html.svg import HEIGHT, WIDTH, element, picture, plot_frame
from tckr.stages.report.report_json import Number
from tckr.surfaces import surface_title

Curve = Sequence[tuple[float, float]]

STRIP_WIDTH, STRIP_ROW = 150, 13
ROC_HEIGHT = 360
SMOOTHED_POINTS = 40


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart; `class_` is its CSS class."""

    name: str
    points: Curve
    class_: str


def interval_strip(
    rows: Sequence[tuple[str, Number]],
    low: float,
    high: float,
    reference: float | None = None,
    *,
    ends: tuple[str, str] | None = None,
) -> Markup:
    """Return a small chart of the intervals of (surface, number), one below the other, on the scale [low, high].

    `reference` draws a vertical line, e.g. 0.5 for guessing; `ends` labels the ends of the scale. A number that could not be
    measured leaves its row empty.
    """
    axis = Axis(low=low, high=high, start=6, end=STRIP_WIDTH - 6)
    height = STRIP_ROW * len(rows) + 6
    labels = _end_labels(axis, height, ends) if ends else []
    marks = [] if reference is None else [_upright(axis(reference), 0, height)]
    heights = [3 + STRIP_ROW * (row + 0.5) for row in range(len(rows))]
    base = [element("line", x1=axis.start, x2=axis.end, y1=y, y2=y, class_="track") for y in heights]
    placed = zip(heights, rows, strict=True)
    drawn = [_interval(axis, y, surface, number) for y, (surface, number) in placed if number.value is not None]
    title = "; ".join(f"{surface} {number.text}" for surface, number in rows)
    tall = height + (10 if ends else 0)
    return picture(STRIP_WIDTH, tall, f"{title}; scale {low:g} to {high:g}", *base, *marks, *drawn, *labels, class_="strip")


def roc_chart(surface: str, curves: Mapping[str, Curve], declared: str, num_non_members: int) -> Markup:
    """Return ROC curves on logarithmic axes: the `declared` scorer bold, the diagonal of guessing dashed.

    The area left of 1 / (number of non-members) is shaded: a false positive rate that low cannot be measured.
    """
    finest = 1 / max(num_non_members, 10)
    low = decade_below(finest)
    names = "false positive rate (non-members accused)", "true positive rate (members found)"
    frame = plot_frame((low, 1.0), (low, 1.0), names, log=True, height=ROC_HEIGHT)
    left, top, bottom = frame.x.start, frame.y.end, frame.y.start
    shade = element("rect", x=left, y=top, width=frame.x(finest) - left, height=bottom - top, class_="blind")
    diagonal = frame.line([(low, low), (1.0, 1.0)], "diagonal", "guessing: TPR = FPR")
    seen = {name: [point for point in points if point[0] >= finest * (1 - 1e-9)] for name, points in curves.items()}
    thin = [frame.line(points, "thin", name) for name, points in seen.items() if name != declared and points]
    colour = surface if surface in ("teacher", "student") else "other"
    bold = [frame.line(seen[declared], f"bold {colour}", f"{declared} (headline)")] if seen.get(declared) else []
    title = f"ROC curves of {len(curves)} scorers against {surface_title(surface)}, log axes"
    return picture(WIDTH, ROC_HEIGHT, title, shade, *frame.draw(), diagonal, *thin, *bold)


def history_chart(
    title: str, series: Sequence[Series], names: tuple[str, str], *, marked_x: float | None = None, top: float | None = None
) -> Markup:
    """Return a chart of lines over steps or epochs; `names` label the axes.

    `marked_x` draws a vertical line there, `top` is the upper end of the y axis.
    """
    points = [point for one in series for point in one.points]
    x_range = spanning([x for x, _ in points], low=min(x for x, _ in points), high=max(x for x, _ in points))
    x_range = x_range if x_range[0] < x_range[1] else (x_range[0] - 1, x_range[1] + 1)
    frame = plot_frame(x_range, spanning([y for _, y in points], high=top), names)
    mark = [] if marked_x is None else [_upright(frame.x(marked_x), frame.y.end, frame.y.start)]
    lines = [frame.line(list(one.points), one.class_, one.name) for one in series]
    single = [(one.points[0], one.class_) for one in series if len(one.points) == 1]
    dots = [element("circle", cx=frame.x(x), cy=frame.y(y), r=3, class_=f"dot {class_}") for (x, y), class_ in single]
    return picture(WIDTH, HEIGHT, title, *frame.draw(), *mark, *lines, *dots)


def bar(share: float, title: str, class_: str = "") -> Markup:
    """Return a bar that fills `share` (0 to 1) of its cell."""
    assert 0 <= share <= 1, share
    width = max(1.0, 120 * share)
    filled = element("rect", x=0, y=1, width=width, height=8, rx=1.5, class_=f"fill {class_}")
    return picture(120, 10, title, filled, class_="bar")


def smoothed(points: Curve, most: int = SMOOTHED_POINTS) -> list[tuple[float, float]]:
    """Return a noisy curve averaged over at most `most` intervals of equal length."""
    size = max(1, len(points) // most)
    stretches = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in stretches]


def _end_labels(axis: Axis, height: float, ends: tuple[str, str]) -> list[Markup]:
    places = ((axis.start - 4, "small"), (axis.end + 4, "small end"))
    return [element("text", text, x=x, y=height + 7, class_=class_) for text, (x, class_) in zip(ends, places, strict=True)]


def _upright(x: float, top: float, bottom: float, class_: str = "reference") -> Markup:
    return element("line", x1=x, x2=x, y1=top, y2=bottom, class_=class_)


def _interval(axis: Axis, y: float, surface: str, number: Number) -> Markup:
    """Return a dot with its whiskers; a bound without an upper end gets a line to the right edge."""
    assert number.value is not None
    low = number.value if number.low is None else number.low
    high = axis.high if number.high is None else number.high
    whisker = element("line", x1=axis(low), x2=axis(high), y1=y, y2=y, class_=f"whisker {surface}")
    dot = element("circle", cx=axis(number.value), cy=y, r=3.6, class_=f"dot {surface}")
    return element("g", element("title", f"{surface} {number.text}"), whisker, dot)
