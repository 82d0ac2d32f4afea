"""Charts in closed form: which marks are placed where."""

from __future__ import annotations

import re

import pytest

from tckr.html.svg import BOTTOM, LEFT, RIGHT, TOP, WIDTH
from tckr.stages.report.figures import Series, history_chart, interval_strip, roc_chart, smoothed
from tckr.stages.report.report_json import Number

NUMBER = Number(text="0.600 [0.550, 0.650]", value=0.6, low=0.55, high=0.65, n=100)
MISSING = Number(text="not measurable", reason="3 non-members")


def path_points(svg, class_):
    d = re.search(rf'd="M([^"]+)" class="{class_}"', svg).group(1)
    return [tuple(map(float, point.split())) for point in d.split("L")]


def test_the_diagonal_of_guessing_is_straight_and_the_declared_curve_bold():
    curve = [(0.0, 0.0), (0.001, 0.01), (0.01, 0.1), (1.0, 1.0)]
    svg = roc_chart("teacher", {"declared": curve, "other": curve}, "declared", 1000)
    x0, x1, y0, y1 = LEFT, WIDTH - RIGHT, 360 - BOTTOM, TOP
    assert path_points(svg, "diagonal") == [(x0, y0), (x1, y1)]
    third_x, third_y = (x1 - x0) / 3, (y0 - y1) / 3
    expected = [(x0, y0 - third_y), (x0 + third_x, y0 - 2 * third_y), (x1, y1)]
    for found, wanted in zip(path_points(svg, "bold teacher"), expected, strict=True):
        assert found == pytest.approx(wanted, abs=0.06)
    assert svg.count('class="thin"') == 1


def test_a_roc_chart_shades_what_fewer_than_one_false_alarm_would_be():
    svg = roc_chart("student", {"a": [(0.0, 0.0), (1.0, 1.0)]}, "a", 100)
    width = float(re.search(r'width="([\d.]+)" height="[\d.]+" class="blind"', svg).group(1))
    assert width == 0, "the axis starts at 1/100"
    wide = roc_chart("student", {"a": [(0.0, 0.0), (1.0, 1.0)]}, "a", 50)
    shaded = float(re.search(r'width="([\d.]+)" height="[\d.]+" class="blind"', wide).group(1))
    assert shaded == pytest.approx((WIDTH - RIGHT - LEFT) * 0.30103 / 2, abs=0.02)


def test_an_interval_lies_where_its_numbers_are():
    svg = interval_strip([("teacher", NUMBER), ("student", MISSING)], 0.5, 0.7, 0.5)
    start, end = (
        float(value)
        for value in re.search(r'x1="([\d.]+)" x2="([\d.]+)" y1="[\d.]+" y2="[\d.]+" class="whisker teacher"', svg).groups()
    )
    assert (start, end) == pytest.approx((6 + 138 * 0.25, 6 + 138 * 0.75))
    assert "whisker student" not in svg
    assert "student not measurable" in svg


def test_a_single_epoch_is_shown_as_a_dot():
    svg = history_chart("loss", [Series(name="loss", points=[(1.0, 0.5)], class_="bold teacher")], ("epoch", "loss"))
    assert "<circle" in svg


def test_smoothing_returns_the_means_of_neighbours():
    points = [(float(step), float(step % 2)) for step in range(80)]
    assert smoothed(points)[:2] == [(0.5, 0.5), (2.5, 0.5)]
    assert smoothed(points[:40]) == points[:40]
