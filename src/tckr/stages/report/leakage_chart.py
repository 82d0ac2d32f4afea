"""The leakage chart: every release surface on one AUC axis, with shapes that show a surface's state without colour."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from tckr.artifacts.audit import State
from tckr.html.axes import Axis, tick_label
from tckr.html.numbers import Number
from tckr.html.svg import WIDTH, element, picture
from tckr.membership.rows import SurfaceRow

TOP, ROW_HEIGHT, EDGE = 18, 42, 8
DOT, DIAMOND = 5.0, 5.0

NO_REFERENCES = "without references"


def leakage_chart(rows: Sequence[SurfaceRow]) -> Markup:
    """Return the surfaces one below the other: name, attack and number above, the interval on the common axis below.

    A filled dot is an attack with reference runs; a hollow dot with a dashed interval is one without, which is weak. A bar
    from 0.5 to the number marks a surface that leaks. The diamond is the strongest attack found.
    """
    axis = leakage_axis([row.auc for row in rows] + [row.strongest for row in rows])
    bottom = TOP + ROW_HEIGHT * len(rows)
    ticks = [mark for tick in axis.ticks(5) for mark in _tick(axis(tick), bottom, tick_label(tick))]
    chance = [
        element("line", x1=axis(0.5), x2=axis(0.5), y1=TOP - 4, y2=bottom, class_="reference"),
        element("text", "0.5 = guessing", x=axis(0.5), y=TOP - 8, class_="tick" if axis(0.5) < WIDTH / 2 else "tick end"),
    ]
    drawn = [_row(axis, TOP + ROW_HEIGHT * number, row) for number, row in enumerate(rows)]
    name = element("text", "membership AUC", x=WIDTH / 2, y=bottom + 32, class_="axis middle")
    legend = _legend(bottom + 54)
    title = "Leakage: membership AUC of every release surface, 0.5 is guessing"
    description = "; ".join(_in_words(row) for row in rows)
    return picture(WIDTH, bottom + 64, title, *ticks, *chance, *drawn, name, *legend, description=description)


def leakage_axis(numbers: Sequence[Number]) -> Axis:
    """Return an axis for all intervals and 0.5, with ends at multiples of 0.05 and at least 0.2 long."""
    ends = [end for number in numbers for end in (number.low, number.value, number.high) if end is not None]
    low = max(0.0, math.floor(20 * min([0.5, *ends]) - 0.2) / 20)
    high = max(min(1.0, math.ceil(20 * max([0.5, *ends]) + 0.2) / 20), low + 0.2)
    return Axis(low=low, high=high, start=EDGE, end=WIDTH - EDGE)


def state_mark(state: State) -> Markup:
    """Return a state as a shape: filled triangle, open circle, dashed square. No shape means `safe`."""
    shape = {
        "leaks": element("path", d="M8 1.8L15 14.2L1 14.2Z", class_="solid"),
        "no measurable leakage": element("circle", cx=8, cy=8, r=5.6, class_="open"),
        "not measured": element("rect", x=2.5, y=2.5, width=11, height=11, class_="open dashed"),
    }[state]
    return picture(16, 16, state, shape, class_=f"mark {state_class(state)}")


def state_class(state: State) -> str:
    """Return a state's CSS class."""
    return {"leaks": "leaks", "no measurable leakage": "nothing", "not measured": "unknown"}[state]


def _row(axis: Axis, top: float, row: SurfaceRow) -> Markup:
    attack = row.attack if row.has_references else f"{row.attack}, {NO_REFERENCES}" if row.attack else ""
    name = element(
        "text",
        element("tspan", row.name, class_="label strong"),
        element("tspan", attack, dx=7, class_="minor"),
        x=EDGE,
        y=top + 15,
        class_="halo",
    )
    number = element("text", row.auc.text, x=WIDTH - EDGE, y=top + 15, class_="label end halo")
    y = top + 28.0
    track = element("line", x1=axis.start, x2=axis.end, y1=y, y2=y, class_="track")
    marks = _marks(axis, y, row) if row.auc.value is not None else []
    return element("g", element("title", _in_words(row)), name, number, track, *marks)


def _marks(axis: Axis, y: float, row: SurfaceRow) -> list[Markup]:
    value, low, high = row.auc.value, row.auc.low, row.auc.high
    assert value is not None
    assert low is not None
    assert high is not None
    colour = row.key if row.key in ("teacher", "student") else "other"
    start, end = axis(0.5), axis(value)
    bar = element("rect", x=start, y=y - 5, width=end - start, height=10, class_=f"leak {colour}")
    hollow = "" if row.has_references else " hollow"
    whisker = element("line", x1=axis(low), x2=axis(high), y1=y, y2=y, class_=f"whisker {colour}{hollow}")
    dot = element("circle", cx=end, cy=y, r=DOT, class_=f"dot {colour}{hollow}")
    # a surface may leak by canaries or copies although this attack finds nothing
    leaks = row.state == "leaks" and end > start
    return [*([bar] if leaks else []), whisker, *_strongest(axis, y, row), dot]


def _strongest(axis: Axis, y: float, row: SurfaceRow) -> list[Markup]:
    """Return the diamond of the strongest attack, unless it is the attack already shown."""
    value = row.strongest.value
    if value is None or value == row.auc.value:
        return []
    return [element("path", d=_diamond(axis(value), y), class_="diamond")]


def _diamond(x: float, y: float) -> str:
    return f"M{x:.1f} {y - DIAMOND:.1f}L{x + DIAMOND:.1f} {y:.1f}L{x:.1f} {y + DIAMOND:.1f}L{x - DIAMOND:.1f} {y:.1f}Z"


def _tick(x: float, bottom: float, label: str) -> list[Markup]:
    return [
        element("line", x1=x, x2=x, y1=TOP, y2=bottom, class_="grid"),
        element("text", label, x=x, y=bottom + 15, class_="tick middle"),
    ]


def _legend(y: float) -> list[Markup]:
    """Return the marks with their meaning, on one line."""
    middle = y - 3.5
    return [
        element("circle", cx=EDGE + 5, cy=middle, r=DOT, class_="dot ink"),
        element("text", "with reference runs", x=EDGE + 15, y=y, class_="minor"),
        element("circle", cx=141, cy=middle, r=DOT, class_="dot ink hollow"),
        element("text", "without: weak, unchecked", x=151, y=y, class_="minor"),
        element("path", d=_diamond(318, middle), class_="diamond"),
        element("text", "strongest found", x=328, y=y, class_="minor"),
    ]


def _in_words(row: SurfaceRow) -> str:
    if row.auc.value is None:
        return f"{row.name}: {row.auc.text} ({row.auc.reason})"
    references = "with reference runs" if row.has_references else NO_REFERENCES
    strongest = f"; strongest found {row.strongest.text}, {row.strongest_by}" if row.strongest.value is not None else ""
    return f"{row.name}: {row.auc.text}, {row.attack}, {references}: {row.state} ({row.why}){strongest}"
