"""What Chromium makes of the pages: nothing is cut, nothing is loaded, every image is printed, axe-core finds nothing."""

from __future__ import annotations

import re

import pytest

from tests.stages.report.browser import CHROMIUM, axe_findings, has_axe, page_widths, printed, requests
from tests.stages.report.conftest import SMALL, make_report
from tests.stages.report.sample import Sample

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.slow,
]
PAGES = ["report", "private_report", "long_report", "invalid_report", "bare_report"]


@pytest.mark.parametrize("which", PAGES)
def test_no_page_is_wider_than_its_window_and_no_table_is_cut(which, request, tmp_path):
    for window, page, beyond in page_widths(request.getfixturevalue(which).html, [390, 820, 1440], tmp_path):
        assert page <= window, beyond
        assert beyond == []


def test_nothing_is_loaded_even_without_the_policy_that_forbids_it(private_report, tmp_path):
    assert [address for address in requests(private_report.html, tmp_path) if not address.startswith("data:")] == []


def test_every_image_is_printed(private_report, tmp_path):
    shown = set(re.findall(r'src="(data:image/png[^"]+)"', private_report.html))
    assert len(shown) > 30
    (tmp_path / "report.html").write_text(private_report.html, encoding="utf-8")
    assert printed(tmp_path / "report.html", tmp_path).count(b"/Subtype /Image") >= len(shown)


@pytest.mark.skipif(not has_axe(), reason="needs axe-core: .ci/libraries installs it")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("which", ["report", "private_report", "invalid_report", "bare_report"])
def test_axe_finds_nothing_serious(which, dark, request, tmp_path):
    found = axe_findings(request.getfixturevalue(which).html, tmp_path, dark=dark)
    assert found["tested"] > 20
    assert [one for one in found["violations"] if one["impact"] in ("serious", "critical")] == []


def test_large_pictures_are_shown_large(tmp_path):
    made = make_report(tmp_path, Sample(**SMALL | {"image_size": 224}), include_private=True)
    for window, page, beyond in page_widths(made.html, [390, 1440], tmp_path):
        assert (page <= window, beyond) == (True, [])
    assert '<div class="gallery paired large">' in made.html
