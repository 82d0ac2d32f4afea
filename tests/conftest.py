"""What tests of several folders share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

THREADS = torch.get_num_threads()

SCORERS_OF_EACH_KIND = (
    "global_threshold",
    "lira_online_fixed_variance",
    "lira_offline_fixed_variance",
    "lira_online",
    "bavaria_online",
    "rmia_offline",
)

LONGEST = (
    "test_end_to_end.py",
    "test_test_split.py",
    "test_full_disk.py",
    "test_draws.py",
    "test_memorizing.py",
    "releasing",
)
"""Files and folders whose tests share a run of the whole product."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: at the end no process waits for another, and no two make the same shared run."""
    items.sort(key=lambda item: not {item.path.name, item.path.parent.name} & set(LONGEST))


def pytest_collection_finish() -> None:
    """Leave what the libraries made when they were loaded out of every later garbage collection: one takes 0.2 s with it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _threads_of_the_session() -> Iterator[None]:
    """Take back the threads that a run in this process set: those of several tests at once would wait for one another's."""
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread: processes of several threads each would wait for one another's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def few_scorers() -> Iterator[None]:
    """Let audits try one attack of each kind: an audit takes a third as long, and what is said of all holds of these."""
    from tckr.membership.scorers import SCORERS

    before = dict(SCORERS)
    for name in before.keys() - set(SCORERS_OF_EACH_KIND):
        del SCORERS[name]
    yield
    SCORERS.clear()
    SCORERS.update(before)  # in their old order
