"""Inline SVG: elements with escaped attributes, and the frame of a chart."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from tckr.html.axes import Axis, tick_label

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 44


def element(name: str, *children: str | Markup, **attributes: object) -> Markup:
    """Return `<name ...>children</name>`. Text is escaped; `class_` becomes `class`, other underscores become hyphens."""
    written = "".join(
        f' {_attribute(key)}="{escape(_number(value))}"' for key, value in attributes.items() if value is not None
    )
    inside = Markup("").join(children)  # escapes what is not Markup yet
    return Markup(f"<{name}{written}>{inside}</{name}>")


def picture(
    width: float, height: float, title: str, *children: Markup, class_: str = "chart", description: str = ""
) -> Markup:
    """Return a scalable `<svg>` with an accessible name and, if given, a description."""
    box = f"0 0 {width:g} {height:g}"
    words = [element("title", title), *([element("desc", description)] if description else [])]
    return element("svg", *words, *children, class_=class_, viewBox=box, role="img", aria_label=title)


def path(points: list[tuple[float, float]]) -> str:
    """Return the `d` attribute of a line through points in pixels."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The plot area of a chart with its two axes."""

    x: Axis
    y: Axis
    names: tuple[str, str]

    def draw(self) -> list[Markup]:
        """Return grid lines, tick labels and axis names."""
        return [*self._grid(), *self._names()]

    def line(self, points: list[tuple[float, float]], class_: str, name: str) -> Markup:
        """Return a line through points in data units, with a name for tooltips and screen readers."""
        placed = [(self.x(x), self.y(y)) for x, y in points]
        return element("path", element("title", name), d=path(placed), class_=class_)

    def _grid(self) -> list[Markup]:
        marks = []
        for tick in self.y.ticks():
            y = self.y(tick)
            marks.append(element("line", x1=self.x.start, x2=self.x.end, y1=y, y2=y, class_="grid"))
            marks.append(element("text", tick_label(tick), x=self.x.start - 7, y=y + 3.5, class_="tick end"))
        for tick in self.x.ticks(7):
            x = self.x(tick)
            marks.append(element("line", x1=x, x2=x, y1=self.y.start, y2=self.y.end, class_="grid"))
            marks.append(element("text", tick_label(tick), x=x, y=self.y.start + 16, class_="tick middle"))
        return marks

    def _names(self) -> list[Markup]:
        middle = (self.y.start + self.y.end) / 2
        return [
            element("text", self.names[0], x=(self.x.start + self.x.end) / 2, y=self.y.start + 36, class_="axis middle"),
            element("text", self.names[1], x=13, y=middle, class_="axis middle", transform=f"rotate(-90 13 {middle:g})"),
        ]


def plot_frame(
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    names: tuple[str, str],
    *,
    log: bool = False,
    height: int = HEIGHT,
) -> Frame:
    """Return the frame of a chart of the standard width; `log` makes both axes logarithmic."""
    x = Axis(low=x_range[0], high=x_range[1], start=LEFT, end=WIDTH - RIGHT, log=log)
    y = Axis(low=y_range[0], high=y_range[1], start=height - BOTTOM, end=TOP, log=log)
    return Frame(x=x, y=y, names=names)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
