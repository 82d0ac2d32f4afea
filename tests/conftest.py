"""What tests of several folders share."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest

from tests.small_run import small_run, two_classes  # noqa: F401

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
    "test_damage.py",
    "test_draws.py",
    "test_memorizing.py",
    "releasing",
)
"""Files and folders whose tests share a run of the complete product."""


gc.disable()  # until all tests are collected: looking through what the libraries make took a fifth of that time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest tests: then no process waits at the end, and no two compute the same shared run."""
    items.sort(key=lambda item: not {item.path.name, item.path.parent.name} & set(LONGEST))


def pytest_collection_finish() -> None:
    """Leave what the libraries made when they were loaded out of every later garbage collection: one takes 0.2 s with it.

    What tests make is looked through after 10,000 new objects, not after 700: it took a twentieth of their time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def threads_of_torch() -> int:
    """Return the threads of torch, which the process that hands out the tests to others does not load."""
    import torch

    return torch.get_num_threads()


@pytest.fixture(autouse=True)
def _threads_of_the_session(threads_of_torch: int) -> Iterator[None]:
    """Take back the threads that a run in this process set: those of several tests at once would wait for one another's."""
    import torch

    torch.set_num_threads(threads_of_torch)
    yield
    torch.set_num_threads(threads_of_torch)


@pytest.fixture(autouse=True, scope="session")
def _unnamed_methods() -> Iterator[None]:
    """Leave the names of methods out of the log of torch's launcher: for each it lists the complete call stack, twice.

    Below pytest that took 2 to 4 s of CPU for every training in several processes.
    """
    with pytest.MonkeyPatch.context() as patched:
        log = import_module("torch.distributed.elastic.rendezvous.dynamic_rendezvous")
        patched.setattr(log, "get_method_name", lambda depth=2: "method", raising=False)
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread: processes of several threads each would wait for one another's."""
    import torch

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


@contextmanager
def short_memorizers() -> Iterator[None]:
    """Let the models of the positive control learn for a few epochs: for runs whose tests do not ask what they memorized."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tckr.training.config.MEMORIZING_EPOCHS", 3)
        yield


@contextmanager
def coarse_accountant() -> Iterator[None]:
    """Let the accountant round privacy losses up to hundredths, ten times as fast: its guarantees hold with more noise.

    For tests that do not ask how little noise is enough; tests/privacy/test_accountant.py does.
    """
    from tckr.privacy import accountant

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(accountant, "INTERVAL", 1e-2)
        accountant.epsilon_of.cache_clear()
        yield
    accountant.epsilon_of.cache_clear()


@pytest.fixture
def coarse_accounting() -> Iterator[None]:
    """Let the test run with `coarse_accountant`."""
    with coarse_accountant():
        yield


@pytest.fixture
def few_redraws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redraw members 1,999 times instead of 9,999: p-values are as exact, in steps of 0.0005 (Fisher 1935)."""
    from tckr.membership import redraws

    monkeypatch.setattr(redraws, "NUM_REDRAWS", 1999)


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regress quantiles in 20 larger rounds instead of 100: for audits whose tests do not ask how well these fit."""
    quantile_regression = import_module(
        "tckr.membership.scorers.quantile_regression"
    )  # the package has a function of that name
    monkeypatch.setattr(quantile_regression, "ROUNDS", 20)
    monkeypatch.setattr(quantile_regression, "LEARNING_RATE", 0.4)
