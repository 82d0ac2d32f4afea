"""What benchmarks share: rounds within a time, timing, the peak of matrix products, a GPU's busy share, results as JSON."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.profiler import ProfilerActivity, profile

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was found of one way.

    Attributes:
        way: its name.
        speed: median over the rounds, in `unit`.
        unit: of the speed.
        to_plain: how many times as fast as the plain way of the same round: median, smallest, largest; None for none.
        of_peak: share of the measured peak of matrix products.
        busy: share of the time in which some kernel ran on the GPU.
        memory_gb: peak, 10^9 bytes; on a GPU, what torch had allocated there.
        note: anything else.
    """

    way: str
    speed: float
    unit: str = "images/s"
    to_plain: tuple[float, float, float] | None = None
    of_peak: float | None = None
    busy: float | None = None
    memory_gb: float | None = None
    note: str = ""


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `gpu.py` passes to every benchmark."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there, after every round")
    parser.add_argument("--seconds", type=float, help="begin no round that would end later after the start of the process")


def write_result(file: Path | None, rows: Sequence[Row], **facts: Any) -> None:
    """Write `facts` and the rows as one complete JSON file; write nothing if no file was requested."""
    if file is None:
        return
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(json.dumps(facts | {"rows": [asdict(row) for row in rows]}, indent=1), encoding="utf-8")
    partial.replace(file)


def rounds_within(most: int, seconds: float | None) -> Iterator[int]:
    """Yield 0 .. `most` - 1, but after the first no round that, as long as the longest yet, ends later than `seconds`.

    They count from the start of this process, so that imports and the making of models are in them.
    """
    longest = 0.0
    for number in range(most):
        if number and seconds is not None and process_seconds() + longest > seconds:
            print(f"{number} of {most} rounds: the next one would not end within {seconds:.0f} s", flush=True)
            return
        started = time.perf_counter()
        yield number
        longest = max(longest, time.perf_counter() - started)


def process_seconds() -> float:
    """Return the seconds since this process was started."""
    return time.time() - psutil.Process().create_time()


def print_rows(rows: Sequence[Row]) -> None:
    """Print one line per way."""
    print(f"{'way':18s} {'speed':>20s} {'to plain (rounds)':>24s} {'of peak':>8s} {'busy':>5s} {'memory':>9s}  other")
    for row in rows:
        ratio = "{:.2f} ({:.2f} to {:.2f})".format(*row.to_plain) if row.to_plain else "-"
        of_peak, busy = (f"{share:.1%}" if share is not None else "-" for share in (row.of_peak, row.busy))
        memory = "-" if row.memory_gb is None else f"{row.memory_gb:.2f} GB"
        speed = f"{row.speed:.4g} {row.unit}"
        print(f"{row.way:18s} {speed:>20s} {ratio:>24s} {of_peak:>8s} {busy:>5s} {memory:>9s}  {row.note}", flush=True)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, smallest and largest."""
    return statistics.median(values), min(values), max(values)


def busy_seconds() -> float:
    """Return the CPU seconds that all processes of this machine have used; 0 where the system does not say."""
    statistics_file = Path("/proc/stat")
    if not statistics_file.exists():
        return 0.0
    ticks = [int(value) for value in statistics_file.read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / 100  # without idle and waiting for disks


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its living workers; the latter only where /proc says."""
    ticks = 0
    for child in multiprocessing.active_children():
        stat = Path(f"/proc/{child.pid}/stat")
        if stat.exists():
            ticks += sum(int(value) for value in stat.read_text().rsplit(")", 1)[1].split()[11:13])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Timing:
    """What an image took: wall-clock seconds, CPU seconds of this process, peak GPU memory of the turn in bytes."""

    seconds: float
    cpu: float
    memory: int


class Stopwatch:
    """Time a turn after its first steps; on a GPU, with what they left to be done."""

    def __init__(self, device: str) -> None:
        self.on_gpu = device.startswith("cuda")

    def start(self) -> None:
        """Forget what was before."""
        if self.on_gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        self.cpu, self.began = cpu_seconds(), time.perf_counter()

    def stop(self, images: int) -> Timing:
        """Return what each of `images` took since the start."""
        if self.on_gpu:
            torch.cuda.synchronize()
        seconds, cpu = time.perf_counter() - self.began, cpu_seconds() - self.cpu
        return Timing(seconds / images, cpu / images, torch.cuda.max_memory_allocated() if self.on_gpu else 0)


def timed(compute: Callable[[], object], device: str) -> float:
    """Return the seconds of a call, with what it left to be done on a GPU."""
    started = time.perf_counter()
    compute()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matmul_peak(device: str, precision: str) -> float:
    """Return the floating-point operations per second of the best of some products of square matrices."""
    on_gpu = device.startswith("cuda")
    side, times = (8192, 50) if on_gpu else (2048, 10)  # a GPU raises its clock within the first ones
    left, right = (torch.randn(side, side, device=device, dtype=PRECISIONS[precision]) for _ in range(2))
    return 2 * side**3 / min(timed(lambda: left @ right, device) for _ in range(times))


def device_busy_share(compute: Callable[[], object], device: str) -> float:
    """Return the share of a call's seconds in which some kernel ran on the GPU; kernels side by side count once.

    Named ranges that span several kernels, such as an optimizer's step, are no kernels.
    """
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        seconds = timed(compute, device)
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiler.events() or ()
        if event.device_type == torch.autograd.DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
    )
    busy, reached = 0.0, 0.0
    for start, end in spans:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return busy / 1e6 / seconds
