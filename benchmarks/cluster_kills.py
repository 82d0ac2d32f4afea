"""Kill workers, nodes and the driver of a run on Ray at random moments; compare what it ends with to a run without Ray.

    python benchmarks/cluster_kills.py                                   # 4 reference runs, 10 kills, 2 of the driver
    python benchmarks/cluster_kills.py --kills 30 --driver-kills 5 --seed 1 audit.num_reference_runs=8

The cluster is three nodes of one core each on this machine; the first, which holds Ray's own state, is not killed. A worker
or the driver gets SIGKILL; of a node all processes do, and another node comes in its place. Every run must end with the
artifacts of the local executor, to the last byte. Printed for each run: what was struck, and which steps were begun again.
Exit status 1 if a byte differs.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

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


@dataclass
class Victims:
    """What may be struck: the workers and all nodes but the first, of one cluster."""

    cluster: Cluster
    random: random.Random
    nodes: list[Any] = field(default_factory=list)

    def strike(self, kind: str, driver: subprocess.Popen[bytes]) -> str:
        """Kill one of a kind; return what it was, or nothing where there is none."""
        if kind == "driver":
            driver.kill()
            driver.wait()
            return "the driver"
        if kind == "node":
            node = self.nodes.pop(self.random.randrange(len(self.nodes)))
            self.cluster.remove_node(node, allow_graceful=False)
            self.nodes.append(self.cluster.add_node(num_cpus=1))
            return "a node"
        workers = sorted(self._workers(), key=lambda process: process.pid)
        if not workers:
            return ""
        worker = self.random.choice(workers)
        with suppress(psutil.Error):
            worker.kill()
            return "a worker"
        return ""

    def _workers(self) -> Iterator[psutil.Process]:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it is over
                if " ".join(process.cmdline()).startswith(AT_WORK):
                    yield process


def run_struck(
    output: Path, settings: list[str], victims: Victims, kinds: list[str], seconds: float
) -> tuple[list[str], int]:
    """Run to the end while something is killed every `seconds` on average; return what was, and how often it was started."""
    struck: list[str] = []
    for start in range(1, MOST_STARTS + 1):
        with (output.parent / f"{output.name}.txt").open("ab") as told:
            driver = subprocess.Popen(command(output, settings), stdout=told, stderr=told)
        while kinds:
            try:
                driver.wait(victims.random.uniform(0, 2 * seconds))
                break
            except subprocess.TimeoutExpired:
                what = victims.strike(kinds[-1], driver)
                if what:
                    kinds.pop()
                    struck.append(f"{what} in {last_step(output)}")
                if what == "the driver":
                    break
        if driver.wait() in FINISHED:
            return struck, start
    raise SystemExit(f"the run did not end; see {output}.txt")


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
    return f"DIFFERENT: {', '.join(other[:5])}{' ...' * (len(other) > 5)}" if other else "same bytes"


def main() -> int:
    """Run the experiment and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="in all (default 10)")
    parser.add_argument("--driver-kills", type=int, default=2, help="of them, of the driver (default 2)")
    parser.add_argument("--node-kills", type=int, default=None, help="of them, of whole nodes (default a third)")
    parser.add_argument("--kills-per-run", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, help="seconds between kills on average (default: spread over the local run)")
    parser.add_argument("--work", type=Path, help="folder to keep; a local run that is whole in it is not made again")
    parser.add_argument("settings", nargs="*")
    arguments = parser.parse_intermixed_args()
    work, start = arguments.work or Path(tempfile.mkdtemp(prefix="tckr-cluster-")), time.perf_counter()
    if subprocess.run(command(work / "local", arguments.settings), stdout=subprocess.DEVNULL).returncode not in FINISHED:
        return 1
    seconds, expected = time.perf_counter() - start, digests(work / "local")
    print(f"local: {seconds:.0f} s, {len(expected)} files of artifacts", flush=True)
    chance = random.Random(arguments.seed)
    nodes = arguments.kills // 3 if arguments.node_kills is None else arguments.node_kills
    kinds = ["driver"] * arguments.driver_kills + ["node"] * nodes
    kinds += ["worker"] * (arguments.kills - len(kinds))
    chance.shuffle(kinds)
    os.environ |= {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    victims = Victims(cluster, chance, [cluster.add_node(num_cpus=1) for _ in range(2)])
    on_ray = [*arguments.settings, "execution.executor=ray", f"execution.ray_address={cluster.address}"]
    runs = same = 0
    try:
        while runs == 0 or kinds:
            output = work / f"run{runs}"
            (output / "store").mkdir(parents=True)
            shutil.copy(work / "local" / "store" / "secret", output / "store" / "secret")  # equal seeds
            due = [kinds.pop() for _ in range(min(len(kinds), arguments.kills_per_run))]
            start, planned = time.perf_counter(), len(due)
            struck, starts = run_struck(output, on_ray, victims, due, arguments.every or seconds / max(1, planned))
            kinds += due  # the run was over before their turn
            verdict, twice = compare(digests(output), expected), made_twice(output)
            runs, same = runs + 1, same + (verdict == "same bytes")
            print(f"run {runs}: {time.perf_counter() - start:.0f} s, started {starts} times; killed: {'; '.join(struck)}")
            print(
                f"  begun again: {begun_again(output)}; whole and made again: {', '.join(twice) or 'nothing'}; {verdict}",
                flush=True,
            )
    finally:
        cluster.shutdown()
    print(f"{same} of {runs} runs end with the bytes of the local executor")
    if same == runs and not arguments.work:
        shutil.rmtree(work)
    return 0 if same == runs else 1


if __name__ == "__main__":
    sys.exit(main())
