"""Lists and dictionaries on disk are read like those in memory, and hold none of their values there."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from tckr.data.layouts.readings import Part, Row
from tckr.data.stored import CHUNK, ListStore, StoredList, StoredMap

ODD = ["", "a", "\udcff.png", "half \ud83d", "\U0001f600", "null", 'quo"te', "\n"]


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_a_stored_list_is_the_list(count: int) -> None:
    items = [(ODD[number % len(ODD)], number, None) for number in range(count)]
    stored = StoredList(items, read=tuple)
    assert (len(stored), list(stored), stored[:CHUNK:7]) == (count, items, items[:CHUNK:7])
    assert [list(stored.since(start)) for start in (0, 1, count)] == [items[start:] for start in (0, 1, count)]
    assert not count or (stored[-1], stored[count // 2]) == (items[-1], items[count // 2])
    with pytest.raises(IndexError):
        stored[count]


def test_lists_of_one_store_keep_apart_while_they_grow_in_turn() -> None:
    store = ListStore()
    one, other = (StoredList[int](store=store) for _ in range(2))
    for number in range(2 * CHUNK + 1):
        one.append(number)
        other.append(-number)
    assert list(one) == [-number for number in other] == list(range(2 * CHUNK + 1))


def test_rows_come_back_as_they_were() -> None:
    rows = [Row("a.png", "a.png", Part("Test", "test"), 3, "a"), Row("t.csv#1", None, Part("train", "train"), None)]
    stored = StoredList(rows * CHUNK, read=Row.read)
    assert stored[0] == rows[0]
    assert stored[1] == rows[1]
    assert stored[0].part.use == "test"


def test_a_stored_dictionary_is_the_dictionary() -> None:
    items = {text: [number, text] for number, text in enumerate(ODD)}
    stored = StoredMap([*((text, []) for text in ODD), *items.items()])
    assert dict(stored) == items
    assert list(stored) == sorted(ODD)
    assert (len(stored), bool(stored), bool(StoredMap())) == (len(ODD), True, False)
    assert ("no" in stored, stored.get("no"), stored.setdefault("a", []), stored.setdefault("no", [])) == (
        *(False, None),
        *(items["a"], []),
    )
    assert stored["no"] == []


def test_values_are_not_in_memory() -> None:
    def growth(fill: Callable[[int], object]) -> float:
        tracemalloc.start()
        kept = [fill(count) for count in (2 * CHUNK, 20 * CHUNK)]
        sizes = []
        for _ in range(2):
            before = tracemalloc.get_traced_memory()[0]
            kept.pop()
            sizes.append(before - tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        return (sizes[0] - sizes[1]) / (18 * CHUNK)

    assert growth(lambda count: StoredList(f"{number:040}" for number in range(count))) < 1
    assert growth(lambda count: StoredMap((f"{number:040}", number) for number in range(count))) < 1
