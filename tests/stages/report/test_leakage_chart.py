"""The chart of leakage in closed form: where the marks of each surface lie, and that they tell the state without colour."""

from __future__ import annotations

import re

import pytest

from tckr.html.svg import WIDTH
from tckr.stages.report.leakage_chart import EDGE, leakage_axis, leakage_chart, state_mark
from tckr.stages.report.report_json import Number, SurfaceRow

NONE = Number(text="not attacked", reason="no attack was run")


def number(value, low, high):
    return Number(text=f"{value:.3f} [{low:.3f}, {high:.3f}]", value=value, low=low, high=high, n=100)


def row(auc, strongest=NONE, *, key="images", has_references=True, state="leaks"):
    return SurfaceRow(
        key=key,
        name=key,
        question="",
        attack="LiRA online" if auc.value is not None else "",
        has_references=has_references,
        state=state,
        why="its reason",
        auc=auc,
        strongest=strongest,
        strongest_by="RMIA online",
        tpr=NONE,
        epsilon=NONE,
        covers="",
    )


def place(value, low=0.45, high=0.8):
    """Return where the axis from `low` to `high` puts a value."""
    return EDGE + (WIDTH - 2 * EDGE) * (value - low) / (high - low)


def marks(svg, pattern):
    return [tuple(map(float, found.groups())) for found in re.finditer(pattern, svg)]


def test_the_axis_holds_guessing_and_every_interval_between_multiples_of_a_twentieth():
    axis = leakage_axis([number(0.62, 0.58, 0.66), number(0.75, 0.72, 0.78)])
    assert (axis.low, axis.high) == pytest.approx((0.45, 0.8)), "guessing does not lie on the edge"
    below = leakage_axis([number(0.47, 0.44, 0.5)])
    assert (below.low, below.high) == pytest.approx((0.4, 0.6))
    assert (leakage_axis([NONE]).low, leakage_axis([NONE]).high) == pytest.approx((0.45, 0.65))


def test_interval_dot_and_bar_from_guessing_lie_where_the_numbers_are():
    svg = leakage_chart([row(number(0.65, 0.6, 0.77))])
    assert marks(svg, r'x1="([\d.]+)" x2="([\d.]+)" y1="[\d.]+" y2="[\d.]+" class="whisker other"')[0] == pytest.approx(
        (place(0.6), place(0.77)), abs=0.01
    )
    assert marks(svg, r'<circle cx="([\d.]+)" cy="[\d.]+" r="5" class="dot other"')[0] == pytest.approx(
        (place(0.65),), abs=0.01
    )
    bar = marks(svg, r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="10" class="leak other"')[0]
    assert bar == pytest.approx((place(0.5), place(0.65) - place(0.5)), abs=0.01)


def test_there_is_no_bar_if_nothing_was_measured_above_guessing():
    svg = leakage_chart([row(number(0.51, 0.48, 0.77), state="no measurable leakage")])
    assert "leak other" not in svg
    assert "whisker other" in svg


def test_no_bar_points_backwards_if_something_else_than_this_attack_shows_the_leak():
    assert "leak other" not in leakage_chart([row(number(0.49, 0.46, 0.52), state="leaks")])


def test_an_attack_without_references_is_hollow_and_says_so():
    svg = leakage_chart([row(number(0.65, 0.6, 0.7), has_references=False), row(number(0.6, 0.55, 0.65), key="teacher")])
    assert svg.count('class="dot other hollow"') == 1
    assert svg.count('class="whisker other hollow"') == 1
    assert svg.count('class="dot teacher"') == 1
    assert "LiRA online, without references" in svg
    assert "with reference runs" in svg


def test_the_strongest_attack_is_a_diamond_of_its_own_unless_it_is_the_declared_one():
    plain, apart = number(0.6, 0.55, 0.65), number(0.7, 0.66, 0.74)
    legend_alone = leakage_chart([row(plain, plain)]).count('class="diamond"')
    both = leakage_chart([row(plain, apart)])
    assert legend_alone == 1
    assert both.count('class="diamond"') == 2
    axis = leakage_axis([plain, apart])
    assert re.search(r'd="M([\d.]+) [^"]+" class="diamond"', both).group(1) == f"{axis(0.7):.1f}"


def test_what_nobody_attacked_says_so_and_has_no_mark():
    svg = leakage_chart([row(NONE, state="not measured")])
    assert ">not attacked<" in svg
    assert "whisker" not in svg


def test_the_description_tells_every_surface_without_eyes():
    rows = [row(number(0.65, 0.6, 0.7)), row(NONE, key="adapter", state="not measured")]
    description = re.search(r"<desc>(.*?)</desc>", leakage_chart(rows)).group(1)
    assert description == (
        "images: 0.650 [0.600, 0.700], LiRA online, with reference runs: leaks (its reason); "
        "adapter: not attacked (no attack was run)"
    )


def test_states_differ_in_shape_and_carry_their_words():
    states = ("leaks", "no measurable leakage", "not measured")
    shapes = {state: re.search(r"</title><(\w+)", state_mark(state)).group(1) for state in states}
    assert len(set(shapes.values())) == 3
    assert all(f'aria-label="{state}"' in state_mark(state) for state in states)


def test_names_in_the_chart_are_escaped():
    assert "<script" not in leakage_chart([row(number(0.6, 0.55, 0.65), key="<script>")])
