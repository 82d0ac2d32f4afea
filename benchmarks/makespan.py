"""Measure a complete pipeline with the ready queue and stage after stage, and compare the bytes of all artifacts.

    python benchmarks/makespan.py --rounds 3                                              # as a user runs it
    python benchmarks/makespan.py --rounds 3 execution.threads=1 execution.workers=2      # bytes must be the same

`stages` is the order that the runner had before its ready queue: the target run step by step, then the steps of the audit
stage by stage; a group starts when the previous one is complete. Here every step of a group waits for all of that group.
That also gives each step the threads that it had then: in this graph a step of the target has no peers. With
`execution.threads` set both orders compute with the same threads, and exit status 1 says that an artifact differs.

Both orders start from empty stores, in processes of their own; which goes first changes from round to round. The CPU seconds
are those of all processes. On a machine with other programs they are what can be compared; the others need quiet.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from safetensors.numpy import load_file

from tckr.config import Settings, load_settings
from tckr.engine.observer import Silent
from tckr.engine.runner import Runner
from tckr.engine.step import Role, Step
from tckr.engine.store import Store
from tckr.pipeline import STAGES, needed_for, pipeline

ORDERS = ("stages", "ready")
HOLDS_TIMES = {"manifest.json", "metrics.json"}
PR_SET_CHILD_SUBREAPER = 36
"""Of prctl.h: processes whose parent has ended become children of this one."""


def settings_of(output: Path, overrides: Sequence[str]) -> Settings:
    """Return the settings with `overrides`; of the digits, where these name no other source."""
    source = [] if any(text.startswith("prepare.source=") for text in overrides) else ["prepare.source=digits"]
    return load_settings(overrides=[*source, f"execution.output={output}", *overrides])


def stage_after_stage(steps: Sequence[Step]) -> list[Step]:
    """Return `steps` with each waiting for all of the group before it; in a group the two controls come last."""
    names = [step.name for step in steps if step.role is Role.TARGET]
    last = names.index("audit")
    key = {name: (place if place < last else len(steps) + place, 0) for place, name in enumerate(names)}
    groups: dict[tuple[int, int], list[Step]] = {}
    for step in sorted(steps, key=lambda step: step.name.endswith(".null") + 2 * step.name.endswith(".positive")):
        groups.setdefault(key.get(step.name, (last, STAGES.index(step.stage))), []).append(step)
    ordered = [groups[place] for place in sorted(groups)]
    return [*ordered[0], *(replace(step, donors=before) for before, group in pairwise(ordered) for step in group)]


def run_once(order: str, output: Path, overrides: Sequence[str]) -> None:
    """Run the pipeline up to the audit in one order."""
    settings = settings_of(output, overrides)
    steps = needed_for(pipeline(settings.run_config(), b""), "audit")
    if order == "stages":
        steps = stage_after_stage(steps)
    store, log_file = Store(settings.execution.store), output / "log.jsonl"
    Runner(store=store, execution=settings.execution, log_file=log_file, observer=Silent()).run(steps)


def measure(order: str, output: Path, overrides: Sequence[str]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of a run in a separate process, including its workers."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the fork server of a run, whose workers count, is left
    start, before = time.perf_counter(), cpu_seconds_of_children()
    command = [sys.executable, __file__, "--order", order, "--output", str(output), *overrides]
    if status := subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise SystemExit(f"the run in order {order} ended with {status}")
    took = time.perf_counter() - start
    with suppress(ChildProcessError):
        while True:
            os.wait()
    return took, cpu_seconds_of_children() - before


def cpu_seconds_of_children() -> float:
    """Return the CPU seconds of all processes below this one that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def digests(output: Path, overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each step with a SHA-256 of all that its artifact holds but times."""
    settings = settings_of(output, overrides)
    store = Store(settings.execution.store)
    for step in needed_for(pipeline(settings.run_config(), b""), "audit"):
        hashed = hashlib.sha256()
        for folder in (store.folder(step), store.sealed_folder(step)):
            for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in HOLDS_TIMES):
                hashed.update(str(path.relative_to(folder)).encode() + content(path))
        yield step.name, hashed.hexdigest()


def content(path: Path) -> bytes:
    """Return what a file holds; of weights the tensors alone, because the order of safetensors metadata is not fixed."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    return b"".join(name.encode() + tensor.tobytes() for name, tensor in sorted(load_file(path).items()))


def compare(rounds: int, overrides: Sequence[str]) -> int:
    """Run both orders in turn and print what they took; return the exit status."""
    ratios, thread_rule_is_one = [], any(text.startswith("execution.threads=") for text in overrides)
    differing: set[str] = set()
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="tckr-makespan-") as work:
            took, found = {}, {}
            for order in ORDERS if number % 2 == 0 else ORDERS[::-1]:
                took[order] = measure(order, Path(work, order), overrides)
                found[order] = dict(digests(Path(work, order), overrides))
                print(f"round {number + 1}  {order:<7} {took[order][0]:8.1f} s  CPU {took[order][1]:8.1f} s", flush=True)
                shutil.rmtree(Path(work, order))
        ratios.append(took["stages"][0] / took["ready"][0])
        differing |= {name for name, digest in found["stages"].items() if found["ready"][name] != digest}
        print(f"round {number + 1}  stages/ready {ratios[-1]:.3f}", flush=True)
    print(f"median stages/ready {statistics.median(ratios):.3f} of {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    print(
        f"{len(found['ready'])} artifacts, {len(differing)} differ{': ' if differing else ''}{', '.join(sorted(differing))}"
    )
    return 1 if differing and thread_rule_is_one else 0


def main() -> int:
    """Compare, or be one of the runs that are compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--order", choices=ORDERS, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("settings", nargs="*")
    arguments = parser.parse_args()
    if not arguments.order:
        return compare(arguments.rounds, arguments.settings)
    run_once(arguments.order, arguments.output, arguments.settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
