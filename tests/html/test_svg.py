"""No text of a chart can become a mark."""

from __future__ import annotations

from tckr.html.svg import element
from tckr.stages.report.figures import bar


def test_svg_text_and_attributes_are_escaped():
    assert element("text", "<b>", class_='"x') == '<text class="&#34;x">&lt;b&gt;</text>'
    assert "<i>" not in bar(0.5, "<i>")
