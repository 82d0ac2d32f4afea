"""What the number of a surface covers at each depth, and how attacks are called."""

from __future__ import annotations

import pytest

from tckr.membership.coverage import covers_of, scorer_name
from tests.stages.report.sample import Sample


@pytest.mark.parametrize(
    ("depth", "surface", "covers"),
    [
        ("teacher", "teacher", "Complete: each reference run computed its own."),
        ("teacher", "student", "No reference run repeated this at depth teacher: a weak attack without controls."),
        ("distill", "images", "No reference run repeated this at depth distill: a weak attack without controls."),
        ("distill", "soft_labels", "Through the labels only: all runs share the generator."),
        ("full", "student", "Complete: each reference run computed its own."),
        ("full", "captions", "Complete: each reference run computed its own."),
    ],
)
def test_each_surface_says_what_its_number_covers_at_this_depth(depth, surface, covers):
    assert covers_of(Sample(class_names=["a", "b"], depth=depth).audit(), surface) == covers


def test_a_surface_nobody_attacked_is_not_covered():
    assert covers_of(Sample(class_names=["a", "b"], measured=False).audit(), "images") == "This surface was not attacked."


@pytest.mark.parametrize(
    ("scorer", "name"),
    [
        ("global_threshold", "global threshold"),
        ("lira_online_fixed_variance", "LiRA online, fixed variance"),
        ("rmia_offline", "RMIA offline"),
        ("accuracy", "accuracy"),
    ],
)
def test_scorers_have_readable_names(scorer, name):
    assert scorer_name(scorer) == name
