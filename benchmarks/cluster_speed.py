"""Compare two machines of one core with one, on Ray, at reference runs and at generation.

    python benchmarks/cluster_speed.py                     # some thirteen minutes on two cores that nothing else uses
    python benchmarks/cluster_speed.py generate.cardinality=2 teach.epochs=10

Both machines are nodes on this one (Linux), each bound to a core of its own with all its processes. A step with one thread
of torch has further threads, which decode images and write files; with a free second core, one node would be faster than a
machine of one core is. The steps are those of the demo, with one thread each; what they need is made before. Printed are the
seconds from the start of the first step to the end of the last: the start of Ray is not counted, that of a step's actors is
(some five seconds, as long as it takes to import the libraries). Exit status 1 if two are less than 1.8 times as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ray.cluster_utils import Cluster

from tckr.config import load_settings
from tckr.engine.observer import Silent
from tckr.engine.runner import Runner
from tckr.engine.step import Role, Step
from tckr.engine.store import Store
from tckr.pipeline import needed_for, pipeline

SETTINGS = (
    "prepare.source=digits",
    "prepare.public=true",
    "audit.depth=teacher",
    "audit.num_reference_runs=8",
    "adapt.steps=4",
    "generate.cardinality=12",
    "teach.epochs=60",
    "execution.device=cpu",
    "execution.threads=1",
)
WANTED = 1.8
BEFORE = ("prepare", "caption", "adapt")


def kinds_of(overrides: Sequence[str]) -> dict[str, list[Step]]:
    """Return what is made before, and the steps that are measured, by kind."""
    chosen = dict(setting.split("=", 1) for setting in (*SETTINGS, *overrides))
    settings = load_settings(overrides=[f"{name}={value}" for name, value in chosen.items()])
    steps = needed_for(pipeline(settings.run_config(), b""), "audit")
    before = [step for step in steps if step.name in BEFORE]
    reference = [step for step in steps if step.stage == "teach" and step.role is Role.REFERENCE]
    return {"before": before, "generate": [step for step in steps if step.name == "generate"], "reference runs": reference}


def run(folder: Path, steps: Sequence[Step], **execution: object) -> float:
    """Make `steps`; return the seconds from the start of the first to the end of the last."""
    settings = load_settings(overrides=["execution.device=cpu", "execution.threads=1", f"execution.output={folder}"])
    log = folder / "log.jsonl"
    log.unlink(missing_ok=True)
    Runner(
        store=Store(settings.execution.store),
        execution=settings.execution.model_copy(update=execution),
        log_file=log,
        observer=Silent(),
    ).run(steps)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    times = {kind: [line["time"] for line in events if line["event"] == kind] for kind in ("started", "complete")}
    return max(times["complete"]) - min(times["started"])


@contextmanager
def bound_to(core: int) -> Iterator[None]:
    """Bind this process, and the processes that it starts, to one CPU core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure(base: Path, kinds: dict[str, list[Step]], nodes: int) -> dict[str, float]:
    """Return the seconds of each kind on so many nodes of one core; this process is on that of the first node."""
    folder = base.with_name(f"nodes-{nodes}")
    shutil.copytree(base, folder, symlinks=True)
    with bound_to(0):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for core in range(1, nodes):
            with bound_to(core):
                cluster.add_node(num_cpus=1)
        there = {"executor": "ray", "ray_address": cluster.address, "workers": nodes}
        made = kinds["before"]
        with bound_to(0):
            return {kind: run(folder, [*made, *steps], **there) for kind, steps in kinds.items() if kind != "before"}
    finally:
        cluster.shutdown()


def main() -> int:
    """Measure one node and two, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", help="key=value")
    arguments = parser.parse_args()
    os.environ |= {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    kinds = kinds_of(arguments.settings)
    with tempfile.TemporaryDirectory(prefix="tckr-cluster-") as name:
        base = Path(name) / "base"
        base.mkdir()
        print(f"before: {run(base, kinds['before'], workers=2):.0f} s", flush=True)
        one, two = (measure(base, kinds, nodes) for nodes in (1, 2))
    for kind, seconds in one.items():
        print(f"{kind}: {seconds:.1f} s on one node, {two[kind]:.1f} s on two: {seconds / two[kind]:.2f} times as fast")
    return int(min(one[kind] / two[kind] for kind in one) < WANTED)


if __name__ == "__main__":
    sys.exit(main())
