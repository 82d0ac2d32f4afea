"""Every layout is read as the table states, or refused with a sentence; none is silently misread."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path

import datasets
import pytest

from tckr.data.layouts.names import PICTURE_SUFFIXES, SPLIT_WORDS
from tckr.data.normalise import FORMATS
from tckr.data.sources.opening import open_source
from tckr.data.sources.record import Source
from tckr.errors import UserError
from tests.data.layouts.building import Case, Read, Refused, truth
from tests.data.layouts.cases import CASES
from tests.data.layouts.encoded_cases import CASES as ENCODED
from tests.data.layouts.stray_cases import CASES as STRAY
from tests.data.layouts.table_cases import CASES as TABLES

ALL = [*CASES, *TABLES, *ENCODED, *STRAY]


@pytest.fixture(scope="module", autouse=True)
def _collect_what_is_made_here() -> None:
    """Leave all that is older out of the collection that ends every test of a layout: it takes 0.1 s otherwise."""
    gc.collect()
    gc.freeze()


def opened(case: Case, root: Path) -> Source:
    root.mkdir()
    case.build(root)
    return open_source(str(root), cache=root.with_name("cache"), **(case.settings or {}))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # datasets leaves files open
@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_a_layout_is_understood_or_refused_as_the_table_says(case: Case, tmp_path: Path) -> None:
    if isinstance(case.outcome, Refused):
        with pytest.raises(UserError, match=case.outcome.sentence):
            opened(case, tmp_path / "data")
        return
    source = opened(case, tmp_path / "data")
    check_records(source, case.outcome)
    check_description(source, case.outcome)
    gc.collect()


def check_records(source: Source, outcome: Read) -> None:
    """Compare every picture that is read with the class and the split it holds."""
    uses: Counter[str] = Counter()
    reasons = set()
    for record in source.records():
        if record.reason:
            reasons.add(record.reason)
            continue
        if not record.data.startswith(b"\x89PNG"):
            reasons.add("not_an_image")  # as prepare says of what it cannot decode
            continue
        name = source.class_names[record.label]
        kind, split = truth(record.data)
        assert (outcome.rename or {}).get(name, name) == kind, record.file
        assert record.origin == split, record.file
        uses[record.origin] += 1
    assert (uses["train"], uses["test"]) == (outcome.train, outcome.test)
    assert reasons == set(outcome.refused)


def check_description(source: Source, outcome: Read) -> None:
    layout = source.layout
    sizes = Counter()
    for counts in layout.classes.values():
        sizes.update(counts)
    assert tuple(layout.classes) == outcome.classes
    uses: Counter[str] = Counter()
    for part in layout.parts:
        uses[part.use] += sizes[part.name]
    assert (uses["train"], uses["test"]) == (outcome.train, outcome.test)
    text = "\n".join(layout.lines())
    assert all(word in text for word in outcome.said), text


def test_at_least_sixty_layouts_are_tried_each_once() -> None:
    assert len({case.name for case in ALL}) == len(ALL) >= 60


def test_the_words_of_splits_are_those_of_datasets() -> None:
    keywords = datasets.data_files.SPLIT_KEYWORDS
    assert {str(split): tuple(words) for split, words in keywords.items()} == SPLIT_WORDS


def test_every_format_that_prepare_decodes_is_named_like_a_picture() -> None:
    assert {f".{suffix}" for suffixes in FORMATS.values() for suffix in suffixes} <= PICTURE_SUFFIXES


def row(case: Case) -> str:
    """Return the line of the table in docs/data.md."""
    if isinstance(case.outcome, Refused):
        return f"| {case.looks} | refused |"
    found = f"{case.outcome.train} + {case.outcome.test}" if case.outcome.test else f"{case.outcome.train}"
    left = f"; listed: {', '.join(f'`{reason}`' for reason in case.outcome.refused)}" if case.outcome.refused else ""
    return f"| {case.looks} | {', '.join(case.outcome.classes)}: {found}{left} |"


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_the_docs_hold_the_table(case: Case) -> None:
    assert row(case) in (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
