"""What the benchmarks measure beside seconds: others' use of the cores, the peak of matrix products, a GPU's busy share."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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


def timed(compute: Callable[[], object], device: str) -> float:
    """Return the seconds of a call, with what it left to be done on a GPU."""
    started = time.perf_counter()
    compute()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matmul_peak(device: str, precision: str) -> float:
    """Return the floating-point operations per second of the best of ten products of square matrices."""
    side = 8192 if device.startswith("cuda") else 2048
    left, right = (torch.randn(side, side, device=device, dtype=PRECISIONS[precision]) for _ in range(2))
    return 2 * side**3 / min(timed(lambda: left @ right, device) for _ in range(10))


def device_busy_share(compute: Callable[[], object], device: str) -> float:
    """Return the share of a call's seconds in which some kernel ran on the GPU; kernels side by side count once."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        seconds = timed(compute, device)
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    busy, reached = 0.0, 0.0
    for start, end in spans:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return busy / 1e6 / seconds
