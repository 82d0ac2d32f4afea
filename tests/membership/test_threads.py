from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tckr.membership import threads
from tckr.membership.threads import MIN_RECORDS, in_threads


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: 2)


def test_two_items_are_worked_on_at_a_time_where_records_are_many() -> None:
    both = threading.Barrier(2, timeout=20)
    assert list(in_threads(lambda item: (both.wait(), item)[1], range(6), MIN_RECORDS)) == list(range(6))


def test_few_records_need_no_thread() -> None:
    names = in_threads(lambda item: threading.current_thread().name, range(6), MIN_RECORDS - 1)
    assert set(names) == {threading.current_thread().name}


def test_few_items_are_taken_before_results_are_read() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = in_threads(lambda item: item, items(), MIN_RECORDS)
    assert next(results) == 0
    assert len(taken) == 3  # two in work and the next


def test_an_error_in_a_thread_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda item: 1 / item, [1, 0, 2], MIN_RECORDS))
