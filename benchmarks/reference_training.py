"""Time the training of many classifiers, against a plain loop that trains one after another.

    python benchmarks/reference_training.py                      # the embedded ResNet on this machine's CPU
    python benchmarks/reference_training.py --device cuda --model resnet18 --models 8 --members 25600 --precision bfloat16
    python benchmarks/reference_training.py --model resnet18 --models 2 --members 16 --validation 8 --batch-size 8 --epochs 1

The ways, all with the same data, order, augmentation draws, schedule and validation for each model:

    plain      the loop one writes with PyTorch and kornia, all cores, one model after another
    fit        TCKR's training loop, all cores, one model after another
    one-thread TCKR's training loop with one thread, one model after another
    processes  TCKR's training loop in workers that share the cores, as reference runs are trained
    stacked    weights of all models stacked, convolutions grouped by torch.func.vmap
    streams    one process, each model on a CUDA stream of its own (on a CPU: in turn)
    graphs     the same with each model's step recorded as a CUDA graph (on a CPU: in turn)

First every way trains two steps in float64 and must come to the plain loop's weights. (In float32 two orders of the same sum
suffice to move a small weight by a per cent within an epoch, because AdamW divides small gradients by their own size.)

Each round then times every way once, beginning with another one, and measures what other processes use of the cores.
Printed are medians over the rounds in which the ways compared were left alone; in brackets, how many these are, and with
(0) the median over all rounds, which says little: threads of one process that wait for one another suffer most from company.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from lockstep_ways import train_in_streams, train_stacked, train_with_graphs
from tckr.engine.execution import available_cores
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
    """Return the ways by name; the module's docstring says what they are."""
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


def busy_seconds() -> float:
    """Return the CPU seconds that all processes of this machine have used; 0 where the system does not say."""
    statistics_file = Path("/proc/stat")
    if not statistics_file.exists():
        return 0.0
    ticks = [int(value) for value in statistics_file.read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / 100  # without idle and waiting for disks


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


def matmul_peak(task: Task) -> float:
    """Return the floating-point operations per second of the best of ten products of square matrices."""
    side = 8192 if task.device.startswith("cuda") else 2048
    with task.forward_precision():
        left, right = (torch.randn(side, side, device=task.device) for _ in range(2))
        if task.precision == "bfloat16":
            left, right = left.bfloat16(), right.bfloat16()
        seconds = min(_timed(lambda: left @ right, task) for _ in range(10))
    return 2 * side**3 / seconds


def _timed(compute: Callable[[], object], task: Task) -> float:
    started = time.perf_counter()
    compute()
    if task.device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def check_results(ways: dict[str, Way], task: Task, runs: Sequence[int]) -> None:
    """Stop unless every way comes to the same weights in double precision."""
    short = replace(task, epochs=1, num_members=2 * task.batch_size, precision="float64")
    expected = train_plainly(short, runs)
    for name, way in ways.items():
        difference = largest_difference(way(short, runs), expected)
        print(f"{name:10s} differs from the plain loop after two steps in float64 by {difference:.0e}", flush=True)
        if difference > SAME:
            raise SystemExit(f"{name} does not train the same models")


def run_rounds(
    ways: dict[str, Way], task: Task, runs: Sequence[int], num_rounds: int, processes: Processes
) -> list[dict[str, Timing]]:
    """Time every way once per round, each round beginning with another one, and print as it goes."""
    for way in ways.values():
        way(replace(task, epochs=1), runs)  # libraries choose their kernels at first use
    names, rounds = list(ways), []
    for number in range(num_rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        rounds.append({name: measure(ways[name], task, runs, processes) for name in order})
        shown = (f"{name} {rounds[-1][name].seconds:.2f} s ({rounds[-1][name].others:.0%})" for name in names)
        print(f"round {number}: " + ", ".join(shown), flush=True)
    return rounds


def summarize(rounds: Sequence[dict[str, Timing]], task: Task, num_models: int) -> None:
    """Print the median ratios and what share of the machine's measured peak each way reaches."""
    peak, flops = matmul_peak(task), training_flops(task)
    print(f"\npeak of a matrix product in {task.precision}: {peak / 1e12:.3g} TFLOP/s; one model: {flops / 1e12:.3g} TFLOP")
    print(f"{'way':10s} {'models/h':>12s} {'to plain':>10s} {'to fit':>10s} {'of peak':>8s}")
    for name in rounds[0]:
        chosen, count = undisturbed(rounds, name)
        seconds = statistics.median(timings[name].seconds for timings in chosen) / num_models
        ratios = [ratio(rounds, name, baseline) if baseline in rounds[0] else "-" for baseline in ("plain", "fit")]
        speed = f"{3600 / seconds:.0f} ({count})"
        print(f"{name:10s} {speed:>12s} {ratios[0]:>10s} {ratios[1]:>10s} {flops / seconds / peak:8.1%}")


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
    check_results(ways, task, runs)
    summarize(run_rounds(ways, task, runs, arguments.rounds, processes), task, len(runs))


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
    return parser.parse_args()


if __name__ == "__main__":
    main()
