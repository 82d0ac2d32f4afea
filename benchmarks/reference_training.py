"""Time the training of many classifiers, against a plain loop that trains one after another.

    python benchmarks/reference_training.py                      # the embedded ResNet on this machine's CPU
    python benchmarks/reference_training.py --device cuda --model resnet18 --models 8 --members 25600 --precision bfloat16
    python benchmarks/reference_training.py --model resnet18 --models 2 --members 16 --validation 8 --batch-size 8 --epochs 1

The ways, all with the same data, order, augmentation, schedule and validation for each model:

    plain      the loop one writes with PyTorch and kornia, all cores, one model after another
    fit        TCKR's training loop, all cores, one model after another
    one-thread TCKR's training loop with one thread, one model after another
    processes  TCKR's training loop in workers that share the cores, as reference runs are trained
    stacked    weights of all models stacked, convolutions grouped by torch.func.vmap
    streams    one process, each model on a CUDA stream of its own (on a CPU: in turn)
    graphs     the same with each model's step recorded as a CUDA graph (on a CPU: in turn)

First every way trains two steps in float64; those that do not come to the plain loop's weights are not measured, and the
command ends with an error. (In float32 two orders of the same sum
suffice to move a small weight by a per cent within an epoch, because AdamW divides small gradients by their own size.)

Each round then times every way once, beginning with another one, and measures what other processes use of the cores.
Printed are medians over the rounds in which the ways compared were left alone; in brackets, how many these are, and with
(0) the median over all rounds, which says little: threads of one process that wait for one another suffer most from company.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from lockstep_ways import train_in_streams, train_stacked, train_with_graphs
from measure import (
    Row,
    add_shared_arguments,
    busy_seconds,
    device_busy_share,
    matmul_peak,
    print_rows,
    rounds_within,
    spread,
    write_result,
)
from tckr.process import available_cores
from training_ways import LOSS, NAMES, SIZE, Processes, Task, Way, Weights, new_model, train_plainly, train_with_fit

UNDISTURBED = 0.1
"""Share of the cores that others may use during a measurement before it is left out."""


SAME = 1e-6
"""Largest relative difference of a tensor of weights; the recorded steps hold the learning rate in float32."""


@dataclass(frozen=True)
class Timing:
    """One way's turn in one round: wall-clock seconds, and the share of the cores that other processes used."""

    seconds: float
    others: float


def ways_of(task: Task, processes: Processes) -> dict[str, Way]:
    """Return the ways by name, as the module's docstring describes them."""
    ways: dict[str, Way] = {"plain": train_plainly, "fit": train_with_fit}
    if task.device == "cpu":
        ways["one-thread"] = _with_one_thread
    return ways | {
        "processes": processes,
        "stacked": train_stacked,
        "streams": train_in_streams,
        "graphs": train_with_graphs,
    }


def _with_one_thread(task: Task, runs: Sequence[int]) -> list[Weights]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train_with_fit(task, runs)
    finally:
        torch.set_num_threads(threads)


def measure(way: Way, task: Task, runs: Sequence[int], processes: Processes) -> Timing:
    """Time one way; its own CPU time is this process's and that of its workers."""
    own, busy, started = time.process_time() + processes.cpu_seconds, busy_seconds(), time.perf_counter()
    way(task, runs)
    seconds = time.perf_counter() - started
    used = time.process_time() + processes.cpu_seconds - own
    return Timing(seconds, max(0.0, busy_seconds() - busy - used) / seconds / available_cores())


def largest_difference(found: Sequence[Weights], expected: Sequence[Weights]) -> float:
    """Return the largest distance of a tensor from the expected one, relative to the norm of the latter."""
    return max(
        float(np.linalg.norm(weights[name] - tensor) / max(np.linalg.norm(tensor), 1e-12))
        for weights, reference in zip(found, expected, strict=True)
        for name, tensor in reference.items()
    )


def training_flops(task: Task) -> float:
    """Return the floating-point operations of one model's training steps: products of matrices and convolutions alone."""
    model = new_model(task, 0)
    images_BCHW, targets_BK = torch.rand(task.batch_size, 3, SIZE, SIZE), torch.full((task.batch_size, len(NAMES)), 0.1)
    with FlopCounterMode(display=False) as counter:
        LOSS(model(images_BCHW), targets_BK, images_BCHW).backward()
    return float(counter.get_total_flops() * task.steps_per_epoch * task.epochs)


def equal_ways(ways: dict[str, Way], task: Task, runs: Sequence[int]) -> dict[str, Way]:
    """Return the ways that come to the plain loop's weights in double precision; says which do not, or why one fails."""
    short = replace(task, epochs=1, num_members=2 * task.batch_size, precision="float64")
    expected, equal = train_plainly(short, runs), {}
    for name, way in ways.items():
        try:
            difference = largest_difference(way(short, runs), expected)
        except Exception as error:  # of one way: the others can still be compared
            print(f"{name:10s} failed: {type(error).__name__}: {error}", flush=True)
            continue
        print(f"{name:10s} differs from the plain loop after two steps in float64 by {difference:.0e}", flush=True)
        if difference <= SAME:
            equal[name] = way
    return equal


def run_rounds(
    ways: dict[str, Way], task: Task, runs: Sequence[int], numbers: Iterator[int], processes: Processes
) -> Iterator[list[dict[str, Timing]]]:
    """Time every way once per round, each round beginning with another one, and yield all rounds after each."""
    names: list[str] = []
    for name, way in ways.items():
        try:
            way(replace(task, epochs=1), runs)  # libraries choose their kernels at first use
            names.append(name)
        except Exception as error:  # of one way, as in `equal_ways`
            print(f"{name:10s} failed: {type(error).__name__}: {error}", flush=True)
    rounds: list[dict[str, Timing]] = []
    for number in numbers:
        order = names[number % len(names) :] + names[: number % len(names)]
        rounds.append({name: measure(ways[name], task, runs, processes) for name in order})
        shown = (f"{name} {rounds[-1][name].seconds:.2f} s ({rounds[-1][name].others:.0%})" for name in names)
        print(f"round {number}: " + ", ".join(shown), flush=True)
        yield rounds


def rows_of(rounds: Sequence[dict[str, Timing]], num_models: int, flops: float, peak: float) -> list[Row]:
    """Return the median ratios and what share of the machine's measured peak each way reaches."""
    rows = []
    for name in rounds[0]:
        chosen, count = undisturbed(rounds, name)
        seconds = statistics.median(timings[name].seconds for timings in chosen) / num_models
        to_fit = f"to fit {ratio(rounds, name, 'fit')}, " if "fit" in rounds[0] else ""
        pairs, _ = undisturbed(rounds, name, "plain")
        rows.append(
            Row(
                way=name,
                speed=3600 / seconds,
                unit="models/h",
                to_plain=spread([timings["plain"].seconds / timings[name].seconds for timings in pairs]),
                of_peak=flops / seconds / peak,
                note=f"{to_fit}{count} of {len(rounds)} rounds undisturbed",
            )
        )
    return rows


def ratio(rounds: Sequence[dict[str, Timing]], name: str, baseline: str) -> str:
    """Return how many times as fast as `baseline` a way is, and in how many undisturbed rounds that was found."""
    chosen, count = undisturbed(rounds, name, baseline)
    return f"{statistics.median(timings[baseline].seconds / timings[name].seconds for timings in chosen):.2f} ({count})"


def undisturbed(rounds: Sequence[dict[str, Timing]], *names: str) -> tuple[Sequence[dict[str, Timing]], int]:
    """Return the rounds in which the named ways were left alone and their number; all rounds and 0 where there is none."""
    alone = [timings for timings in rounds if max(timings[name].others for name in names) <= UNDISTURBED]
    return alone or rounds, len(alone)


def main() -> None:
    """Read the arguments, check that the ways agree, measure, print."""
    arguments = _arguments()
    task = Task(
        model=arguments.model,
        num_members=arguments.members,
        num_validation=arguments.validation,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        device=arguments.device,
        precision=arguments.precision,
    )
    processes = Processes(arguments.workers, max(1, available_cores() // arguments.workers))
    ways = ways_of(task, processes)
    ways = {name: way for name, way in ways.items() if name == "plain" or name in (arguments.ways or ways)}
    runs = range(1, arguments.models + 1)
    length = f"{task.epochs} epochs of {task.num_members} images in batches of {task.batch_size}"
    print(f"{len(runs)} x {task.model}, {length}; {task.device}, {available_cores()} cores, torch {torch.__version__}")
    equal = equal_ways(ways, task, runs)
    measured = compare_ways(equal, task, runs, processes, arguments)
    missing = [name for name in ways if name not in measured]
    if missing:
        raise SystemExit(f"these failed, or do not train the same models: {', '.join(missing)}")


def compare_ways(
    ways: dict[str, Way], task: Task, runs: Sequence[int], processes: Processes, arguments: argparse.Namespace
) -> list[str]:
    """Measure all ways, and how busy each of one process keeps a GPU; print, and return the names of those measured."""
    with task.forward_precision():
        peak = matmul_peak(task.device, "bfloat16" if task.precision == "bfloat16" else "float32")
    flops = training_flops(task)
    print(f"peak of a matrix product in {task.precision}: {peak / 1e12:.3g} TFLOP/s; one model: {flops / 1e12:.3g} TFLOP")
    for rounds in run_rounds(ways, task, runs, rounds_within(arguments.rounds, arguments.seconds), processes):
        rows = rows_of(rounds, len(runs), flops, peak)
        write_result(arguments.json, rows, peak=peak, flops_of_a_model=flops, models=len(runs))
    if task.device.startswith("cuda"):
        short = replace(task, epochs=1)
        rows = [
            row
            if row.way == "processes"  # the profiler sees this process alone
            else replace(row, busy=device_busy_share(lambda way=ways[row.way]: way(short, runs), task.device))
            for row in rows
        ]
        write_result(arguments.json, rows, peak=peak, flops_of_a_model=flops, models=len(runs))
    print_rows(rows)
    return [row.way for row in rows]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("embedded", "resnet18"), default="embedded")
    parser.add_argument("--models", type=int, default=4, help="classifiers to train (default 4)")
    parser.add_argument("--members", type=int, default=640, help="training images of each, in whole batches (default 640)")
    parser.add_argument("--validation", type=int, default=130, help="images measured after each epoch (default 130)")
    parser.add_argument("--batch-size", type=int, default=64, help="images per step (default 64)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the members (default 4)")
    parser.add_argument("--rounds", type=int, default=5, help="times that every way is measured (default 5)")
    parser.add_argument("--workers", type=int, default=available_cores(), help="worker processes (default: the cores)")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    parser.add_argument("--precision", choices=("float32", "tf32", "bfloat16"), default="float32")
    parser.add_argument("--ways", nargs="+", help="only these and the plain loop (default: all)")
    add_shared_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
