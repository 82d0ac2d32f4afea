"""A page of sentences, tables and charts, as self-contained HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from tckr.errors import printable
from tckr.html.jinja import environment, style_sheet
from tckr.html.svg import element

Cells = Sequence[Sequence[str]]
"""A table; its first row contains the headings."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page.

    Attributes:
        title: heading; a section without one continues the previous section.
        sentences: paragraphs before the table.
        table: empty for none.
        reports: path of the report of each row, for links in HTML; empty for none.
        charts: file name -> chart; HTML contains the charts, Markdown refers to the files.
        notes: paragraphs at the end.
    """

    title: str = ""
    sentences: Sequence[str] = ()
    table: Cells = ()
    reports: Sequence[str | None] = ()
    charts: Mapping[str, Markup] = field(default_factory=dict)
    notes: Sequence[str] = ()


def page_files(stem: str, title: str, sections: Sequence[Section]) -> dict[str, str]:
    """Return a page as files, name -> text: `stem`.html, `stem`.md, and the charts that the Markdown refers to."""
    charts = {name: chart_file(chart) for section in sections for name, chart in section.charts.items()}
    return {**charts, f"{stem}.md": markdown_page(title, sections), f"{stem}.html": html_page(title, sections)}


def html_page(title: str, sections: Sequence[Section]) -> str:
    """Return the page as HTML in the report's style; all text is escaped."""
    return environment("tckr.html").get_template("page.html.j2").render(title=title, sections=sections, css=style_sheet())


def markdown_page(title: str, sections: Sequence[Section]) -> str:
    """Return the page as Markdown."""
    return "\n\n".join([f"# {title}", *(part for section in sections for part in _markdown(section))]) + "\n"


def chart_file(chart: Markup) -> str:
    """Return a chart as a separate SVG file, with colours and a name space."""
    head, _, rest = chart.partition(">")
    paper = element("rect", x=0, y=0, width="100%", height="100%", fill="var(--paper)")
    style = element("style", style_sheet())
    return f'{head} xmlns="http://www.w3.org/2000/svg" font-family="sans-serif">{style}{paper}{rest}'


def _markdown(section: Section) -> list[str]:
    return [
        *([f"## {section.title}"] if section.title else []),
        *section.sentences,
        *([_markdown_table(section.table)] if section.table else []),
        *(f"![{file}]({file})" for file in section.charts),
        *section.notes,
    ]


def _markdown_table(cells: Cells) -> str:
    head, *body = ([printable(cell).replace("|", "\\|") for cell in row] for row in cells)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))
