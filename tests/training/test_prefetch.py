"""Items come in order, errors arrive where the items are wanted, and no thread is left behind."""

import threading
import time

import pytest

from tckr.training.prefetch import AHEAD, prefetched


def running():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_items_come_in_order_and_are_made_ahead_but_not_far():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    ready = prefetched(items(), "cuda")
    assert next(ready) == 0
    deadline = time.monotonic() + 10
    while len(made) < AHEAD + 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(made) == AHEAD + 2  # one taken, AHEAD waiting, one in hand
    assert [0, *ready] == list(range(20))
    assert not running()


def test_an_error_is_raised_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("broken")

    ready = prefetched(items(), "cuda")
    assert next(ready) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ready)
    assert not running()


def test_who_stops_early_leaves_no_thread():
    ready = prefetched((number for number in range(100)), "cuda")
    assert next(ready) == 0
    ready.close()
    assert not running()


def test_on_a_cpu_no_thread_takes_cores_from_the_training():
    def items():
        yield threading.current_thread()

    assert list(prefetched(items(), "cpu")) == [threading.current_thread()]
