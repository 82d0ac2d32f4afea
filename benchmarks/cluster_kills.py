"""Kill workers, nodes and the driver of a run on Ray at random moments; compare what it ends with to a run without Ray.

    python benchmarks/cluster_kills.py                                   # 4 reference runs, 10 kills, 2 of the driver
    python benchmarks/cluster_kills.py --work FOLDER --kills 35 --driver-kills 5 audit.num_reference_runs=8

The cluster is three nodes of one core each on this machine; the first, which holds Ray's own state, is not killed. A worker
or the driver gets SIGKILL; of a node all processes do, and another node comes in its place. Every run must end with the
artifacts of the local executor, to the last byte. Printed for each run: what was killed, and which steps were begun again.
With --work the same command continues where it was stopped: finished runs are in FOLDER/kills.jsonl. Exit status 1 if a byte
differs or a complete step was made again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

AROUND = {
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_health_check_timeout_ms": "60000",
}
"""Environment of Ray, which reads it when it is imported: on a busy machine, processes are slow to start and to answer."""
os.environ |= AROUND

from ray.cluster_utils import Cluster  # noqa: E402

SETTINGS = (
    "audit.num_reference_runs=4",
    "audit.depth=full",
    "adapt.steps=8",
    "generate.steps=2",
    "teach.epochs=3",
    "distill.epochs=3",
    "execution.threads=1",
    "execution.workers=3",
    "execution.device=cpu",
)
CHANGING = {"manifest.json", "metrics.json", "report.html", "report.json"}
"""Files that say in how many seconds something was made."""

AT_WORK = ("ray::do_job", "ray::Hand")
"""How the command lines of workers begin that compute something."""

FINISHED = (0, 3)
"""Exit statuses of a complete run; with tiny settings a control of the audit may fail."""

MOST_STARTS = 20
"""Of the driver in one run."""

MOST_NODE_STARTS = 10

SECONDS_BETWEEN = 1
"""Seconds between two looks at the clock."""

SAME = "same bytes"


def command(output: Path, settings: list[str]) -> list[str]:
    """Return the command line of a run."""
    start = [sys.executable, "-c", "from tckr.cli import main; main()", "run", "--preset", "demo"]
    chosen = dict(setting.split("=", 1) for setting in (*SETTINGS, *settings))
    return [*start, "--output", str(output), *(f"{name}={value}" for name, value in chosen.items())]


def digests(output: Path) -> dict[str, str]:
    """Return the digest of every file of every complete artifact."""
    found = {}
    for manifest in output.glob("store/*/*/manifest.json"):
        place = manifest.parent.relative_to(output / "store")
        files = json.loads(manifest.read_text())["digests"]
        found |= {f"{place}/{name}": digest for name, digest in files.items() if name not in CHANGING}
    return found


def another_node(cluster: Cluster) -> Any:
    """Return a new node of one core; on a busy machine, Ray may give up one that is slow to start."""
    for _ in range(MOST_NODE_STARTS):
        with suppress(Exception):  # Ray raises no type of its own
            return cluster.add_node(num_cpus=1)
    raise SystemExit(f"{MOST_NODE_STARTS} new nodes did not start")


@dataclass
class WorkClock:
    """The CPU seconds of all processes below this one: a clock that stands still while others use the machine."""

    total: float = 0.0
    seen: dict[int, float] = field(default_factory=dict)

    def read(self) -> float:
        """Return the seconds so far, also of processes that have ended meanwhile."""
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it is over
                used = sum(process.cpu_times()[:2])
                self.total += max(0.0, used - self.seen.get(process.pid, 0.0))
                self.seen[process.pid] = used
        return self.total


@dataclass
class Victims:
    """What may be struck: the workers and all nodes but the first, of one cluster."""

    cluster: Cluster
    random: random.Random
    nodes: list[Any] = field(default_factory=list)

    def strike(self, kind: str, driver: subprocess.Popen[bytes]) -> bool:
        """Kill one of a kind; return whether there was one."""
        if kind == "driver":
            driver.kill()
            driver.wait()
            return True
        if kind == "node":
            node = self.nodes.pop(self.random.randrange(len(self.nodes)))
            self.cluster.remove_node(node, allow_graceful=False)
            self.nodes.append(another_node(self.cluster))
            return True
        workers = sorted(self._workers(), key=lambda process: process.pid)
        with suppress(psutil.Error, IndexError):  # none is at work, or it is over
            self.random.choice(workers).kill()
            return True
        return False

    def _workers(self) -> Iterator[psutil.Process]:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it is over
                if " ".join(process.cmdline()).startswith(AT_WORK):
                    yield process


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened in one run.

    Attributes:
        number: of the run, from 1.
        seconds: until it was complete.
        starts: how often the driver was started.
        killed: what was killed, and the step that wrote into the log last before it.
        again: the steps that were begun more than once.
        twice: the steps that were complete and made once more all the same.
        verdict: whether its files are those of the local executor.
    """

    number: int
    seconds: int
    starts: int
    killed: list[tuple[str, str]]
    again: str
    twice: list[str]
    verdict: str

    @property
    def is_good(self) -> bool:
        """Return whether the run ended as if nothing had been killed."""
        return self.verdict == SAME and not self.twice

    def told(self) -> str:
        """Return the outcome as text."""
        killed = "; ".join(f"a {kind} in {step}" for kind, step in self.killed) or "nothing"
        return (
            f"run {self.number}: {self.seconds} s, started {self.starts} times; killed: {killed}\n"
            f"  begun again: {self.again}; complete and made again: {', '.join(self.twice) or 'nothing'}; {self.verdict}"
        )


def run_struck(
    output: Path, settings: list[str], victims: Victims, kinds: list[str], seconds: float
) -> tuple[list[tuple[str, str]], int]:
    """Run to the end while something is killed every `seconds` of CPU time, on average.

    Returns:
        What was killed, each with the step that wrote into the log last, and how often the driver was started.
    """
    struck: list[tuple[str, str]] = []
    clock = WorkClock()
    for start in range(1, MOST_STARTS + 1):
        with (output.parent / f"{output.name}.txt").open("ab") as told:
            driver = subprocess.Popen(command(output, settings), stdout=told, stderr=told)
        while len(struck) < len(kinds) and runs_on(driver, clock, victims.random.uniform(0, 2 * seconds)):
            kind = kinds[len(struck)]
            if victims.strike(kind, driver):
                struck.append((kind, last_step(output)))
        if driver.wait() in FINISHED:
            return struck, start
    raise SystemExit(f"the run did not end; see {output}.txt")


def runs_on(driver: subprocess.Popen[bytes], clock: WorkClock, seconds: float) -> bool:
    """Wait for so many seconds of the clock, or for the end of the driver; return whether the driver still runs."""
    until = clock.read() + seconds
    while driver.poll() is None and clock.read() < until:
        time.sleep(SECONDS_BETWEEN)
    return driver.poll() is None


def events(output: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a run's log."""
    log = output / "demo" / "log.jsonl"
    yield from (json.loads(line) for line in (log.read_text().splitlines() if log.exists() else []))


def last_step(output: Path) -> str:
    """Return the step that wrote into the log last."""
    return next((line["step"] for line in reversed([*events(output)])), "start-up")


def begun_again(output: Path) -> str:
    """Return which steps were begun more than once, and which of them went on from what they had."""
    starts = Counter(line["step"] for line in events(output) if line["event"] == "started")
    resumed = Counter(line["step"] for line in events(output) if line["event"] == "started" and line["resumed"])
    again = [f"{step} x {count - 1}{' (went on)' * (resumed[step] > 0)}" for step, count in starts.items() if count > 1]
    return ", ".join(again) or "nothing"


def made_twice(output: Path) -> list[str]:
    """Return the steps that were computed again although they were complete."""
    whole = Counter(line["step"] for line in events(output) if line["event"] == "complete")
    return [step for step, count in whole.items() if count > 1]


def compare(found: dict[str, str], expected: dict[str, str]) -> str:
    """Return in a word whether two runs are equal, with the files that are not."""
    other = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return f"DIFFERENT: {', '.join(other[:5])}{' ...' * (len(other) > 5)}" if other else SAME


def due(wanted: Counter[str], done: list[Outcome], chance: random.Random, most: int) -> list[str]:
    """Return what is killed in the next run, in this order: at most so many of what no run has killed yet."""
    left = wanted - Counter(kind for outcome in done for kind, _ in outcome.killed)
    kinds = sorted(left.elements())
    chance.shuffle(kinds)
    return kinds[:most]


def finished(record: Path) -> list[Outcome]:
    """Return the runs of an earlier call."""
    lines = record.read_text().splitlines() if record.exists() else []
    values = [json.loads(line) for line in lines]
    return [Outcome(**{**value, "killed": [(kind, step) for kind, step in value["killed"]]}) for value in values]


def one_run(
    arguments: argparse.Namespace, work: Path, local_seconds: float, done: list[Outcome], wanted: Counter[str]
) -> Outcome:
    """Make one run on a cluster of its own while its part of what is `wanted` is killed."""
    number, output, chance = len(done) + 1, work / f"run{len(done) + 1}", random.Random(f"{arguments.seed} {len(done)}")
    kinds, started = due(wanted, done, chance, arguments.kills_per_run), time.perf_counter()
    shutil.rmtree(output, ignore_errors=True)  # of a call that was stopped
    (output / "store").mkdir(parents=True)
    shutil.copy(work / "local" / "store" / "secret", output / "store" / "secret")  # equal seeds
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        victims = Victims(cluster, chance, [another_node(cluster) for _ in range(2)])
        on_ray = [*arguments.settings, "execution.executor=ray", f"execution.ray_address={cluster.address}"]
        every = arguments.every or local_seconds / max(1, len(kinds))
        killed, starts = run_struck(output, on_ray, victims, kinds, every)
    finally:
        cluster.shutdown()
    return Outcome(
        number=number,
        seconds=round(time.perf_counter() - started),
        starts=starts,
        killed=killed,
        again=begun_again(output),
        twice=made_twice(output),
        verdict=compare(digests(output), digests(work / "local")),
    )


def seconds_here(work: Path, settings: list[str]) -> float:
    """Return in how many seconds the local executor makes the run; a complete one is not made again."""
    known = work / "local.json"
    if not known.exists():
        started = time.perf_counter()
        status = subprocess.run(command(work / "local", settings), stdout=subprocess.DEVNULL).returncode
        if status not in FINISHED:
            raise SystemExit(f"the local run ended with exit status {status}")
        known.write_text(json.dumps(time.perf_counter() - started))
    return float(json.loads(known.read_text()))


def options() -> argparse.ArgumentParser:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="in all (default 10)")
    parser.add_argument("--driver-kills", type=int, default=2, help="of them, of the driver (default 2)")
    parser.add_argument("--node-kills", type=int, default=None, help="of them, of whole nodes (default a third)")
    parser.add_argument("--kills-per-run", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--every", type=float, help="CPU seconds between kills on average (default: spread over the local run)"
    )
    parser.add_argument("--work", type=Path, help="folder to keep, in which the same command continues")
    parser.add_argument("settings", nargs="*")
    return parser


def main() -> int:
    """Run the experiment and print what happened."""
    arguments = options().parse_intermixed_args()
    work = arguments.work or Path(tempfile.mkdtemp(prefix="tckr-cluster-"))
    seconds = seconds_here(work, arguments.settings)
    print(f"local: {seconds:.0f} s, {len(digests(work / 'local'))} files of artifacts", flush=True)
    nodes = arguments.kills // 3 if arguments.node_kills is None else arguments.node_kills
    workers = arguments.kills - arguments.driver_kills - nodes
    wanted = Counter({"driver": arguments.driver_kills, "node": nodes, "worker": workers})
    record = work / "kills.jsonl"
    done = finished(record)
    print("\n".join(outcome.told() for outcome in done), end="\n" * bool(done), flush=True)
    while not done or due(wanted, done, random.Random(0), 1):
        done.append(one_run(arguments, work, seconds, done, wanted))
        with record.open("a") as file:
            file.write(json.dumps(asdict(done[-1])) + "\n")
        print(done[-1].told(), flush=True)
    good = sum(outcome.is_good for outcome in done)
    killed = Counter(kind for outcome in done for kind, _ in outcome.killed)
    print(f"killed: {', '.join(f'{count} x {kind}' for kind, count in sorted(killed.items()))}")
    print(f"{good} of {len(done)} runs end with the bytes of the local executor and made nothing twice")
    if good == len(done) and not arguments.work:
        shutil.rmtree(work)
    return 0 if good == len(done) else 1


if __name__ == "__main__":
    sys.exit(main())
