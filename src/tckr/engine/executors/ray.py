"""Run jobs on Ray: on the machines of a cluster, or on this one. The driver only hands out jobs and collects results.

Ray decides where a job runs. A job that is lost with its worker or its machine, or because memory ran out, is started again
elsewhere and continues from what is in the store.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import Job, Needs
from tckr.engine.executors.ray_gang import RayGang
from tckr.engine.executors.ray_room import Machine, Request, find_machines
from tckr.engine.executors.ray_workers import ATTEMPTS, Hands, Mailbox, Share, Shares, do_job, lost
from tckr.engine.executors.relay import Receiver
from tckr.engine.observer import Listener
from tckr.errors import UserError

MOST_AT_ONCE = 10_000
"""Maximum number of jobs that Ray holds unfinished; other jobs wait in the runner."""

SECONDS_BETWEEN = 0.2
"""Seconds between two looks for messages of jobs."""

SECONDS_BETWEEN_LOOKS = 10
"""Seconds between two looks at the machines of the cluster."""

SECONDS_FOR_MACHINES = 600
"""Seconds in which machines may join a cluster that has no room for a job: an autoscaler takes minutes to start one."""

SECONDS_TO_CONNECT = 30
FEWEST_HANDS = 2
"""With fewer actors a job does its work itself."""


@dataclass(frozen=True)
class Handed:
    """A job that Ray received, in its `attempt`-th attempt."""

    future: Future[Any]
    job: Job
    needs: Needs
    request: Request
    gang: RayGang | None = None
    attempt: int = 1


class RayExecutor:
    """Runs jobs as Ray tasks, and the functions that jobs map as Ray actors."""

    def __init__(self, execution: ExecutionConfig, listener: Listener) -> None:
        """Store the settings; the connection to the cluster starts on entering the `with` block."""
        self._execution, self._listener = execution, listener
        self._receiver = Receiver(listener)
        self._at_work: dict[Any, Handed] = {}
        self._num_slots = self._threads_of_slot = 1
        self._next_look = 0.0
        self._no_room_since: dict[Any, float] = {}

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one on this machine.

        Raises:
            UserError: there is no cluster at the address.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a Ray that is started here sends nothing to its makers
        address = self._execution.ray_address or "local"
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        own = {"include_dashboard": False} if address == "local" else {}
        try:
            _look_for(address)
            ray.init(address=address, namespace="tckr", **quiet, **own)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"execution.ray_address={address}: no Ray cluster answers there ({' '.join(str(error).split())[:200]}). "
                "Start one with `ray start --head`, or leave the setting out to use this machine alone"
            ) from None
        found = find_machines()
        cpus, gpus = (sum(node.get(kind, 0.0) for node in found) for kind in ("CPU", "GPU"))
        on_gpus = gpus > 0 and self._execution.device != "cpu"
        self._num_slots = int(gpus if on_gpus else cpus) or 1
        self._threads_of_slot = self._execution.threads or (_cores_per_gpu(found) if on_gpus else 1)
        beside = max((node.get("CPU", 0.0) for node in found if node.get("GPU")), default=0.0) if on_gpus else None
        self._shares = Shares(most_cpus=max(node.get("CPU", 0.0) for node in found) or 1.0, most_beside_gpu=beside)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        lasting = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
        self._mailbox = ray.remote(Mailbox).options(scheduling_strategy=here, **lasting).remote()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """After an error, wait for the running jobs; then leave the cluster, which ends the jobs that still run."""
        if kind is not None and issubclass(kind, Exception):
            ray.wait(list(self._at_work), num_returns=len(self._at_work)) if self._at_work else None
        self._receiver.close()
        ray.shutdown()

    def adapted(self, execution: ExecutionConfig) -> ExecutionConfig:
        """Return `execution` with a worker for each GPU, or CPU core, of the cluster, unless it names a number."""
        return execution.model_copy(update={"workers": execution.workers or self._num_slots})

    def expect(self, needs: Iterable[Needs]) -> None:
        """Do nothing: Ray starts its workers itself."""

    def has_room(self, needs: Needs) -> bool:
        """Return whether Ray can take another job."""
        return len(self._at_work) < MOST_AT_ONCE

    def submit(self, job: Job, needs: Needs) -> Future[Any]:
        """Submit `job` to Ray."""
        name, threads = _name_of(job), needs.threads if needs.together == 1 else self._threads_of_slot
        request = Request(name, self._shares.of(threads, device=needs.device), needs.together)
        gang = RayGang.reserve(request.size, request.share, Path.cwd()) if request.size > 1 else None
        handed = Handed(Future(), job, needs, request, gang)
        self._hand_out(handed)
        return handed.future

    def completed(self) -> Iterator[Future[Any]]:
        """Wait until a job is done and yield the finished ones; meanwhile pass on the messages of the others.

        Raises:
            UserError: a job was lost, or failed, three times, or no machine has room for it.
        """
        done: list[Future[Any]] = []
        while self._at_work and not done:
            ended, _ = ray.wait(list(self._at_work), num_returns=1, timeout=SECONDS_BETWEEN, fetch_local=False)
            self._pass_on()
            self._look_for_room()
            done = [future for reference in ended if (future := self._concluded(reference))]
        yield from done

    def _concluded(self, reference: Any) -> Future[Any] | None:
        """Return the future of a job that ended; None if the job is started again."""
        handed = self._at_work.pop(reference)
        try:
            handed.future.set_result(ray.get(reference))
        except RayTaskError as error:
            self._again(handed, error.cause)
        except RayError as error:
            self._again(handed, error)
        if not handed.future.done():
            return None
        if handed.gang is not None:
            handed.gang.release()
        return handed.future

    def _again(self, handed: Handed, error: Exception) -> None:
        """Start a job again, unless that cannot help.

        Raises:
            UserError: it was the last attempt, or the error itself says what the user must do.
        """
        if handed.gang is not None and (isinstance(error, UserError) or handed.attempt == ATTEMPTS):
            handed.gang.release()  # jobs for which `__exit__` waits may need these places
        if isinstance(error, UserError):
            raise error
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if handed.attempt == ATTEMPTS:
            own = f"failed {ATTEMPTS} times, at last with {what}"
            raise UserError(lost(error) if isinstance(error, RayError) else f"{_name_of(handed.job)} {own}") from None
        self._listener.warned(f"{_name_of(handed.job)} starts again ({handed.attempt + 1} of {ATTEMPTS}): {what}")
        self._hand_out(replace(handed, attempt=handed.attempt + 1))

    def _hand_out(self, handed: Handed) -> None:
        gang = handed.gang
        share = self._shares.of(handed.needs.threads, device=handed.needs.device) if gang else handed.request.share
        options = gang.job_options() if gang else share.options()
        hands = None if gang else self._hands_of(handed.needs)
        task = do_job.options(**options).remote(handed.job, Path.cwd(), share, self._mailbox, hands=hands, gang=gang)
        self._at_work[task] = handed

    def _look_for_room(self) -> None:
        """From time to time, check that the machines have room for each job alone, unless it ended.

        If not, Ray would wait without end. An autoscaler, or somebody, may add machines to a cluster, so the run waits; each
        job has its own clock.

        Raises:
            UserError: there was no room for `SECONDS_FOR_MACHINES`; at once, if Ray was started on this machine only.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look, machines = now + SECONDS_BETWEEN_LOOKS, find_machines()
        # after the machines, so that a job that ended on a machine which then left is not among those
        _, running = ray.wait(list(self._at_work), num_returns=len(self._at_work), timeout=0, fetch_local=False)
        requests = {task: self._at_work[task].request for task in running}
        impossible = {task: request for task, request in requests.items() if not request.has_room(machines)}
        new = [request for task, request in impossible.items() if task not in self._no_room_since]
        self._no_room_since = {task: self._no_room_since.get(task, now) for task in impossible}
        waits = SECONDS_FOR_MACHINES if self._execution.ray_address else 0
        if new and waits:
            self._listener.warned(f"{new[0].explain(machines)}. The run waits {waits / 60:.0f} minutes for them")
        late = [request for task, request in impossible.items() if now >= self._no_room_since[task] + waits]
        if late:
            for task in impossible:
                self._drop(task)
            raise UserError(late[0].explain(machines))

    def _drop(self, task: Any) -> None:
        """Forget a job that did not start."""
        handed = self._at_work.pop(task)
        ray.cancel(task)
        if handed.gang is not None:
            handed.gang.release()

    def _hands_of(self, needs: Needs) -> Hands | None:
        """Return what a job may map over: its share of the cluster; None where that is no more than itself."""
        most = int(self._num_slots * needs.share)
        if most < FEWEST_HANDS:
            return None
        threads_for = self._execution.threads_for if needs.alone else partial(_equal, needs.threads)
        return Hands(most=most, share_for=partial(_share_of_hand, self._shares, threads_for))

    def _pass_on(self) -> None:
        try:
            messages = ray.get(self._mailbox.take.remote())
        except RayError as error:  # whoever is alive restarts the mailbox
            self._at_work.clear()  # `__exit__` can wait for nobody
            raise UserError(
                f"this process lost the Ray cluster ({' '.join(str(error).split())[:200]}): Ray's processes ended on this "
                "machine or on the first one. Give the same command again on a cluster that works; it continues"
            ) from None
        for message in messages:
            self._receiver.hear(message)


def _look_for(address: str) -> None:
    """Raise an OSError when nobody listens at a `host:port`; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_CONNECT).close()


def _cores_per_gpu(nodes: Sequence[Machine]) -> int:
    """Return how many CPU cores every GPU of a cluster can have for itself."""
    return max(1, int(min(node.get("CPU", 0.0) // node["GPU"] for node in nodes if node.get("GPU", 0.0))))


def _equal(threads: int, num_hands: int) -> int:
    """Return the threads of each of so many actors of a job that shares the cluster with others: its own."""
    return threads


def _share_of_hand(shares: Shares, threads_for: Callable[[int], int], num_hands: int) -> Share:
    """Return the resources of each actor, for a number of actors, with the threads of a local worker."""
    return shares.of(threads_for(num_hands), device=True)


def _name_of(job: Job) -> str:
    """Return the name of a job's step, for messages."""
    found = getattr(job, "args", ())
    return getattr(found[0], "name", "a job") if found else "a job"
