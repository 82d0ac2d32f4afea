"""The report says whether splits and membership follow groups."""

from __future__ import annotations

from tckr.stages.report.understood import understood_lines
from tests.stages.report.sample import LAYOUT, Sample


def test_groups_are_counted_where_there_are_some() -> None:
    card = Sample()._card().model_copy(update={"groups": {"pool": 80, "validation": 9, "test": 21, "members": 40}})
    for private in (False, True):
        said = "\n".join(understood_lines(LAYOUT, card, private))
        assert "Groups: pool 80, validation 9, test 21, members 40." in said
        assert "the audit counts groups" in said


def test_without_groups_it_says_so() -> None:
    assert "No groups (patients, parts) were given" in understood_lines(LAYOUT, Sample()._card(), False)[-1]


def test_a_sampled_test_split_is_distinguished_from_the_sources_own() -> None:
    drawn = LAYOUT.model_copy(update={"parts": LAYOUT.parts[:1]})
    assert "one was sampled" in understood_lines(drawn, Sample()._card(), False)[1]
    assert "is that of the source" in understood_lines(LAYOUT, Sample()._card(), False)[1]
