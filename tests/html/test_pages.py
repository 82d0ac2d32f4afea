"""A page has the same content in HTML and in Markdown, and no text of it can become HTML."""

from __future__ import annotations

from tckr.html.pages import Section, html_page, markdown_page, page_files
from tckr.html.svg import element, picture

CHART = picture(10, 10, "a chart", element("line", x1=0.0, x2=1.5, class_="whisker"))


def test_text_is_escaped_and_charts_are_not():
    section = Section(title="a < b", sentences=["<b>x</b>"], table=[["<i>"], ["1 & 2"]], charts={"c.svg": CHART})
    page = html_page("<title>", [section])
    assert not any(text in page for text in ("<b>x", "<i>", "a < b", "1 & 2", "<title></title>"))
    assert "<td>1 &amp; 2</td>" in page
    assert CHART in page
    assert page.startswith("<!doctype html>")


def test_rows_lead_to_their_reports():
    rows = [["variant"], ["whole"], ["failed"]]
    page = html_page("x", [Section(table=rows, reports=["whole/report.html", None])])
    assert '<td>whole</td><td><a href="whole/report.html">report</a></td>' in page
    assert "<td>failed</td><td>-</td>" in page
    assert "<th></th>" not in html_page("x", [Section(table=rows)])


def test_markdown_has_the_same_parts_in_their_order():
    first = Section(sentences=["One."], table=[["a|b"], ["1"]])
    second = Section(title="More", charts={"c.svg": CHART}, notes=["Note."])
    parts = ["# x", "One.", "| a\\|b |\n| --- |\n| 1 |", "## More", "![c.svg](c.svg)", "Note."]
    assert markdown_page("x", [first, second]) == "\n\n".join(parts) + "\n"


def test_a_chart_as_a_file_has_a_name_space_and_the_colours_of_the_pages():
    files = page_files("sweep", "x", [Section(charts={"c.svg": CHART})])
    assert set(files) == {"sweep.html", "sweep.md", "c.svg"}
    file = files["c.svg"]
    assert file.startswith("<svg ")
    assert 'xmlns="http://www.w3.org/2000/svg"' in file
    assert "--paper" in file
