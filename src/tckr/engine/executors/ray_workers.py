"""Code that runs in Ray's worker processes: jobs, the items that a job maps over, and the messages to the driver."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from tckr.engine.executors import Item, Job, Result
from tckr.engine.executors.relay import Relay
from tckr.errors import UserError
from tckr.process import Gang, set_up_process

ATTEMPTS = 3
"""Maximum number of attempts for a job or an item: if a machine is lost, the work continues elsewhere."""

AHEAD = 2
"""Items per actor that `RayMap` hands out: one is worked on, one waits."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A process's share of a machine: CPU cores (`threads` of torch, or fewer if no machine has as many) and GPUs."""

    threads: int
    cpus: float
    gpus: float

    @property
    def resources(self) -> dict[str, float]:
        """Return what Ray counts of the share: CPU cores and GPUs, those of which it has any."""
        return {kind: amount for kind, amount in (("CPU", self.cpus), ("GPU", self.gpus)) if amount}

    def options(self) -> dict[str, Any]:
        """Return the share as options of a Ray task."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD"}


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The resources of a cluster.

    Attributes:
        most_cpus: CPU cores of the largest machine.
        most_beside_gpu: CPU cores of the largest machine that has a GPU; None where no GPUs are used.
    """

    most_cpus: float
    most_beside_gpu: float | None = None

    def of(self, threads: int, *, device: bool) -> Share:
        """Return the share of a process that computes with `threads` threads, on a GPU if `device` and GPUs are used.

        It has no more CPU cores than a machine that it may run on, so that there is one.
        """
        beside = self.most_beside_gpu if device else None
        most = self.most_cpus if beside is None else beside
        return Share(threads=threads, cpus=min(float(threads), most), gpus=float(beside is not None))


@dataclass(frozen=True, kw_only=True)
class Hands:
    """The actors that a job may map over: how many at `most`, and what each of a number of them is given."""

    most: int
    share_for: Callable[[int], Share]


class Mailbox:
    """Stores messages of jobs until the driver fetches them."""

    def __init__(self) -> None:
        """Start empty."""
        self._messages: deque[tuple[Any, ...]] = deque()

    def put(self, message: tuple[Any, ...]) -> None:
        """Store a message."""
        self._messages.append(message)

    def take(self) -> list[tuple[Any, ...]]:
        """Return all messages since the last call."""
        taken = list(self._messages)
        self._messages.clear()
        return taken


@ray.remote(max_retries=0)
def do_job(job: Job, place: Path, share: Share, mailbox: Any, *, hands: Hands | None, gang: Gang | None) -> Any:
    """Return the result of a job; one that is given `hands` may map over them."""
    set_up(place, share)
    listener = Relay(lambda message: mailbox.put.remote(message))
    with ExitStack() as stack:
        workers = stack.enter_context(RayMap(place, hands)) if hands else None
        return job(listener=listener, workers=workers, gang=gang)


class Hand:
    """Calls functions in one process, which keeps their caches between calls: a model is loaded once."""

    def begin(self, place: Path, share: Share) -> None:
        """Set this process up like one of a local executor. An error of `__init__` would not arrive as it is."""
        set_up(place, share)

    def call(self, function: Callable[[Item], Result], item: Item) -> Result:
        """Return `function(item)`."""
        return function(item)


class RayMap:
    """Maps a function over items in actors, which exist until the `with` block ends."""

    def __init__(self, place: Path, given: Hands) -> None:
        """Take the folder to work in, and what there is to map over."""
        self._place, self._given = place, given
        self._hands: list[Any] = []
        self._starting: dict[Any, tuple[int, int]] = {}

    def __enter__(self) -> RayMap:
        """Return the map; actors start with the first call."""
        return self

    def __exit__(self, *error: Any) -> None:
        """End the actors."""
        for hand in self._hands:
            ray.kill(hand)

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], num_workers: int) -> Iterator[Result]:
        """Yield results as they finish, in any order. An item whose actor was lost is started again by another actor.

        Only actors that have started are given items: other jobs may hold the machines that the rest wait for.

        Raises:
            UserError: three actors were lost with one item, or at their start in one place.
        """
        num_workers = min(num_workers, self._given.most)
        share = self._given.share_for(num_workers)
        if share.gpus:
            num_workers = max(1, num_workers - 1)  # the mapping process uses a GPU as well
        self._hands, self._starting = [None] * num_workers, {}
        for place in range(num_workers):
            self._open(place, share)
        waiting, again = iter(items), deque[tuple[Item, int]]()
        at_work: dict[Any, tuple[int, Any, Item, int]] = {}
        places: deque[int] = deque()
        while True:
            while places and (taken := _next(again, waiting)):
                place, (item, attempt) = places.popleft(), taken
                hand = self._hands[place]
                at_work[hand.call.remote(function, item)] = place, hand, item, attempt
            if not at_work and places:
                return
            (done, *_), _ = ray.wait([*at_work, *self._starting], num_returns=1)
            if done in self._starting:
                places.extend(self._begun(done, share))
                continue
            place, hand, item, attempt = at_work.pop(done)
            try:
                yield _result(done)
                places.append(place)
            except RayActorError as error:
                if attempt == ATTEMPTS:
                    raise UserError(lost(error)) from None
                again.append((item, attempt + 1))
                if self._hands[place] is hand:
                    places = deque(other for other in places if other != place)
                    self._open(place, share)

    def _open(self, place: int, share: Share, attempt: int = 1) -> None:
        """Start an actor; it is given items once it has begun."""
        hand = ray.remote(Hand).options(**share.options()).remote()
        self._hands[place] = hand
        self._starting[hand.begin.remote(self._place, share)] = place, attempt

    def _begun(self, done: Any, share: Share) -> list[int]:
        """Return the places for items of an actor that has begun; none where it was lost and another one is started.

        Raises:
            UserError: three were lost in one place.
        """
        place, attempt = self._starting.pop(done)
        try:
            _result(done)
        except RayActorError as error:
            if attempt == ATTEMPTS:
                raise UserError(lost(error)) from None
            self._open(place, share, attempt + 1)
            return []
        return [place] * AHEAD


def _result(done: Any) -> Any:
    """Return what an actor returned; an error of the function is raised as it was."""
    try:
        return ray.get(done)
    except RayTaskError as error:
        raise error.cause from None


def lost(error: Exception) -> str:
    """Return the message about a job that was started `ATTEMPTS` times and ended with `error`."""
    reason = " ".join(str(error).split())
    return (
        f"a worker was lost {ATTEMPTS} times at the same work, at last because: {reason[:300]} If memory ran out, set "
        "smaller batch sizes or fewer execution.workers, and give the same command again: it goes on"
    )


def _next(again: deque[tuple[Item, int]], waiting: Iterator[Item]) -> tuple[Item, int] | None:
    """Return the next item and the number of its attempt, repeated items first; None if there are no more items."""
    if again:
        return again.popleft()
    return next(((item, 1) for item in waiting), None)


def set_up(place: Path, share: Share) -> None:
    """Change to the driver's working folder, so that relative paths of the settings mean the same on all machines.

    Raises:
        UserError: the folder is not on this machine.
    """
    try:
        os.chdir(place)
    except OSError:
        raise UserError(
            f"{place} is not on machine {os.uname().nodename}; all machines of the cluster need the folder that the command "
            "is given in, and --output, under the same path, on a disk that they share"
        ) from None
    set_up_process(share.threads)
