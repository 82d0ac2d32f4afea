"""Time the drawing of a synthetic set, against a plain loop over the pipeline of diffusers.

    python benchmarks/generate.py                                    # the embedded checkpoint on this machine's CPU
    python benchmarks/generate.py --memory                           # peak memory of 100 and of 10,000 images
    python benchmarks/generate.py --model sd2 --size 224 --device cuda --images 1024 --plain-images 128 --ways plain loaded
    python benchmarks/generate.py --model sd2 --size 224 --images 1 --steps 2 --rounds 1      # on a CPU

The ways:

    plain      `pipe(prompts)` in batches of 32 (--plain-batch), each image saved as PNG before the next batch, all cores
    product    the stage `generate` as `tckr run` calls it: worker processes on a CPU, one process on a GPU, Parquet shards
    float32    the same with generate.precision=float32
    one        the product's way in one process (on a CPU: all cores as threads)
    loaded     `one` without what the stage does once per run: the generator is loaded, the batch size chosen and the
               denoiser compiled (--settings compile=true) before the rounds, as if the set were large

First plain and product draw images of the same noise in float32; if they are more than one grey level apart, the command
ends with an error after it has measured. Then a first round, not counted, starts workers, loads the model and lets libraries
choose their kernels; its seconds are printed. Each further round times every way once, beginning with another one. Printed
are medians; `others` is the share of the cores that other programs used meanwhile. Full-size models have random weights
(`full_size.py`): the work of the published ones.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from full_size import PIPELINES, build_pipeline
from generate_ways import CLASS_NAMES, WAYS, Task, build_ways, check_images, denoiser_flops, draw_with_stage
from measure import (
    Row,
    add_shared_arguments,
    busy_seconds,
    cpu_seconds,
    matmul_peak,
    print_rows,
    rounds_within,
    spread,
    write_result,
)
from tckr.engine.execution import available_cores
from tckr.engine.executors.local import LocalExecutor
from tckr.engine.step import Workers
from tckr.models.diffusion.load import load_generator
from tckr.stages.generate.config import GenerateConfig

SAMPLE_SECONDS = 0.1
CHECKED = 8
"""Images."""
MEGABYTE = 10**6


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Yield a list that holds, at the end, the peak resident bytes of this process and its workers together."""
    peak, done = [0], threading.Event()
    this = psutil.Process()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            total = 0
            for process in [this, *this.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One way's turn: seconds by the clock and of cores, peak bytes (on a GPU: allocated), others' share of the cores."""

    seconds: float
    core_seconds: float
    peak: int
    others: float


def measure(way: Callable[[], Path], device: str) -> Timing:
    """Draw the set once."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    with peak_memory() as peak:
        own, busy, started = cpu_seconds(), busy_seconds(), time.perf_counter()
        out = way()
        seconds = time.perf_counter() - started
        core_seconds = cpu_seconds() - own
        others = max(0.0, busy_seconds() - busy - core_seconds) / seconds / available_cores()
    shutil.rmtree(out)
    allocated = torch.cuda.max_memory_allocated(device) if cuda else peak[0]
    return Timing(seconds=seconds, core_seconds=core_seconds, peak=allocated, others=others)


def run_rounds(
    ways: dict[str, Callable[[], Path]], device: str, numbers: Iterator[int]
) -> Iterator[dict[str, list[Timing]]]:
    """Yield the timings by way after every round; prints as it goes."""
    rounds: dict[str, list[Timing]] = {name: [] for name in ways}
    names = list(ways)
    for number in numbers:
        first = number % len(names)
        for name in names[first:] + names[:first]:
            rounds[name].append(measure(ways[name], device))
        shown = (f"{name} {timings[-1].seconds:.1f} s (others {timings[-1].others:.0%})" for name, timings in rounds.items())
        print(f"round {number}: " + ", ".join(shown), flush=True)
        yield rounds


def time_first(ways: dict[str, Callable[[], Path]], device: str) -> dict[str, Timing]:
    """Return the timing of every way's first turn, in which workers start and libraries choose their kernels."""
    found = {}
    for name, way in ways.items():
        found[name] = measure(way, device)
        print(f"first {name}: {found[name].seconds:.1f} s with all that is done once", flush=True)
    return found


def rows_of(rounds: dict[str, list[Timing]], task: Task, flops: float, peak: float, first: dict[str, Timing]) -> list[Row]:
    """Return medians, ratios to the plain loop of the same round, and the share of the measured peak."""
    calls, rows = task.config.steps * (2 if task.config.guidance_scale > 1 else 1), []
    for name, timings in rounds.items():
        images = {way: task.plain_images if way == "plain" else task.plan().num_images for way in (name, "plain")}
        speed = images[name] / statistics.median(timing.seconds for timing in timings)
        pairs = zip(rounds.get("plain", ()), timings, strict=False)
        ratios = [base.seconds / images["plain"] * images[name] / own.seconds for base, own in pairs]
        cores = statistics.median(timing.core_seconds for timing in timings) / images[name] * 1e3
        rows.append(
            Row(
                way=f"{name}, compiled" if task.execution.compile and name != "plain" else name,
                speed=speed,
                to_plain=spread(ratios) if ratios else None,
                of_peak=flops * calls * speed / peak,
                memory_gb=max(timing.peak for timing in timings) / 1e9,
                note=f"{cores:.1f} core-ms/image, first turn {first[name].seconds:.1f} s",
            )
        )
    return rows


def compare_memory(task: Task, workers: Workers) -> None:
    """Print the peak memory while 100 images are generated, then 10,000; 100 others before load the libraries.

    In batches of 16, so that 100 images are enough batches for workers: as many processes are measured each time.
    """
    task = replace(task, settings={"generation_batch_size": 16} | task.settings)
    for count in (100, 100, 10_000):
        config = task.config.model_copy(update={"cardinality": count / len(CLASS_NAMES)})
        timing = measure(lambda config=config: draw_with_stage(task, config, workers), task.device)
        print(f"{count:6d} images: peak {timing.peak / MEGABYTE:.0f} MB, {timing.seconds:.1f} s", flush=True)


def main() -> None:
    """Read the arguments, check that the images agree, measure, print."""
    arguments = _arguments()
    torch.set_num_threads(available_cores())
    with tempfile.TemporaryDirectory() as folder:
        task = _task(arguments, Path(folder))
        print(
            f"{arguments.model}, {task.size} px, {task.config.steps} steps, guidance {task.config.guidance_scale}; ", end=""
        )
        print(f"{task.device}, {available_cores()} cores, torch {torch.__version__}", flush=True)
        with LocalExecutor(task.execution.threads_for) as executor:
            if arguments.memory:
                compare_memory(task, executor.map)
                return
            difference = compare_ways(task, executor.map, arguments)
    if difference > 1:
        raise SystemExit("product and plain loop do not draw the same images")


def compare_ways(task: Task, workers: Workers, arguments: argparse.Namespace) -> int:
    """Measure and print; return by how many grey levels product and plain loop differ at most."""
    generator = load_generator(task.model, task.device, torch.float32)
    difference = check_images(generator, task, min(CHECKED, arguments.images))
    flops, peak = denoiser_flops(generator, task), matmul_peak(task.device, "bfloat16" if task.on_gpu else "float32")
    del generator
    print(f"denoiser: {flops / 1e12:.3g} TFLOP per call and image; peak of a product {peak / 1e12:.3g} TFLOP/s", flush=True)
    ways = build_ways(task, workers, arguments.ways)
    first = time_first(ways, task.device)
    alone = rows_of({name: [timing] for name, timing in first.items()}, task, flops, peak, first)
    write_result(arguments.json, alone, peak=peak, flops=flops, difference=difference, rounds=0)
    for rounds in run_rounds(ways, task.device, rounds_within(arguments.rounds, arguments.seconds)):
        rows = rows_of(rounds, task, flops, peak, first)
        count = len(rounds[rows[0].way.split(",")[0]])
        write_result(arguments.json, rows, peak=peak, flops=flops, difference=difference, rounds=count)
    print_rows(rows)
    return difference


def _task(arguments: argparse.Namespace, folder: Path) -> Task:
    model = arguments.model if arguments.folder is None else str(arguments.folder)
    if model in PIPELINES:
        model = str(folder / arguments.model)
        on_gpu = arguments.device.startswith("cuda")  # on a GPU random weights are fast; float16 halves them
        dtype, device = (torch.float16, arguments.device) if on_gpu else (torch.float32, "cpu")
        build_pipeline(arguments.model, dtype, device).save_pretrained(model, safe_serialization=True)
    config = GenerateConfig(
        steps=arguments.steps, guidance_scale=arguments.guidance, cardinality=arguments.images / len(CLASS_NAMES)
    )
    return Task(
        model=model,
        size=arguments.size,
        config=config,
        device=arguments.device,
        settings={name: json.loads(value) for name, value in (setting.split("=", 1) for setting in arguments.settings)},
        plain_batch=arguments.plain_batch,
        plain_images=min(arguments.plain_images or arguments.images, arguments.images),
        folder=folder,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = ("embedded:generator", *PIPELINES)
    parser.add_argument("--model", choices=models, default=models[0], help="default: the embedded checkpoint")
    parser.add_argument("--folder", type=Path, help="the model saved before by full_size.py: saves building it")
    parser.add_argument("--size", type=int, default=32, help="px (default 32)")
    parser.add_argument("--images", type=int, default=256, help="images to draw (default 256)")
    parser.add_argument("--steps", type=int, default=20, help="denoising steps (default 20)")
    parser.add_argument("--guidance", type=float, default=2.0, help="guidance scale (default 2)")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    parser.add_argument("--rounds", type=int, default=5, help="times that every way is measured (default 5)")
    parser.add_argument("--plain-batch", type=int, default=32, help="images per call of the plain loop (default 32)")
    parser.add_argument("--plain-images", type=int, help="images that the plain loop draws in a round (default: all)")
    parser.add_argument("--ways", nargs="+", default=list(WAYS[:3]), choices=WAYS)
    parser.add_argument("--settings", nargs="*", default=[], help="of the section execution, e.g. compile=true threads=1")
    parser.add_argument("--memory", action="store_true", help="compare the peak memory of 100 and 10,000 images")
    add_shared_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
