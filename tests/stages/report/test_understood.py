"""The report says whether splits and membership follow groups."""

from __future__ import annotations

from tckr.stages.report.understood import understood_lines
from tests.stages.report.sample import LAYOUT, Sample


def test_groups_are_counted_where_there_are_some() -> None:
    card = Sample()._card().model_copy(update={"groups": {"pool": 80, "validation": 9, "test": 21, "members": 40}})
    for private in (False, True):
        said = "\n".join(understood_lines(LAYOUT, card, private))
        assert "Groups: pool 80, validation 9, test 21, members 40." in said
        assert "the audit judges, by group" in said


def test_without_groups_it_says_so() -> None:
    assert "No groups (patients, parts) were named" in understood_lines(LAYOUT, Sample()._card(), False)[-1]


def test_a_drawn_test_split_is_told_from_the_sources_own() -> None:
    drawn = LAYOUT.model_copy(update={"parts": LAYOUT.parts[:1]})
    assert "one was drawn" in understood_lines(drawn, Sample()._card(), False)[1]
    assert "is the source's own" in understood_lines(LAYOUT, Sample()._card(), False)[1]
