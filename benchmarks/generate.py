"""Time the drawing of a synthetic set, against a plain loop over the pipeline of diffusers.

    python benchmarks/generate.py                                    # the embedded checkpoint on this machine's CPU
    python benchmarks/generate.py --memory                           # peak memory of 100 and of 10,000 images
    python benchmarks/generate.py --model sd2 --size 224 --device cuda --images 512 --settings compile=true
    python benchmarks/generate.py --model sd2 --size 224 --images 1 --steps 2 --rounds 1      # on a CPU

The ways:

    plain      `pipe(prompts)` in batches of 32 (--plain-batch), each image saved as PNG before the next batch, all cores
    product    the stage `generate` as `tckr run` calls it: worker processes on a CPU, one process on a GPU, Parquet shards
    float32    the same with generate.precision=float32
    one        the product's way in one process (on a CPU: all cores as threads)

First plain and product must draw the same images of the same noise: float32, at most one grey level apart. Then a first
round, not counted, starts workers, loads the model and lets libraries choose their kernels; its seconds are printed. Each
further round times every way once, beginning with another one. Printed are medians; `others` is the share of the cores that
other programs used meanwhile. Full-size models have random weights (`full_size.py`): the work of the published ones.
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
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from diffusers import DiffusionPipeline
from torch.utils.flop_counter import FlopCounterMode

from full_size import PIPELINES, build_pipeline
from measure import busy_seconds, cpu_seconds, matmul_peak
from tckr.data.shards import write_shard
from tckr.engine.execution import ExecutionConfig, available_cores
from tckr.engine.executors.local import LocalExecutor
from tckr.engine.step import StepContext, Workers
from tckr.models.diffusion.generator import Sampling
from tckr.models.diffusion.load import load_generator
from tckr.models.embedded import resolve
from tckr.models.quiet import quiet_libraries
from tckr.stages.generate import stage
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.plan import Plan, make_plan

CLASS_NAMES = [f"class {number}" for number in range(10)]
WAYS = ("plain", "product", "float32", "one")
SAMPLE_SECONDS = 0.1
CHECKED = 16
"""Images."""
MEGABYTE = 10**6


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every way draws, and where."""

    model: str
    size: int
    config: GenerateConfig
    device: str
    settings: dict[str, Any]
    plain_batch: int
    folder: Path

    def plan(self) -> Plan:
        """Return what to draw: as the stage plans it."""
        return make_plan(
            cardinality=self.config.cardinality,
            class_names=CLASS_NAMES,
            labels=np.arange(len(CLASS_NAMES)),
            captions=[f"a drawing, kind {number}" for number in range(len(CLASS_NAMES))],
            prompt_form="n: c",
            descriptions={},
            root_seed=0,
            redraw=[],
        )


def write_inputs(task: Task) -> dict[str, Path]:
    """Write the artifacts that the stage reads: captions, and an adapter of no steps."""
    adapter, captions = task.folder / "adapter", task.folder / "captions"
    for folder in (adapter, captions):
        folder.mkdir(exist_ok=True)
    facts = {"model": task.model, "revision": None, "rank": 4, "steps": 0}
    facts |= {"prompt_form": "n: c", "descriptions": {}, "image_size": task.size}
    (adapter / "adapter.json").write_text(json.dumps(facts))
    (captions / "classes.json").write_text(json.dumps(CLASS_NAMES))
    labels = np.arange(len(CLASS_NAMES))
    columns = {"record": labels, "label": labels, "caption": [f"a drawing, kind {label}" for label in labels]}
    write_shard(captions / "captions.parquet", columns)
    return {"adapter": adapter, "captions": captions}


def draw_with_stage(task: Task, config: GenerateConfig, workers: Workers | None) -> Path:
    """Run the stage into a new folder and return that."""
    out = Path(tempfile.mkdtemp(dir=task.folder))
    context = StepContext(
        inputs=write_inputs(task),
        out=out,
        scratch=out,
        seed=0,
        run=0,
        execution=ExecutionConfig(device=task.device, **task.settings),
        track=lambda total, unit, done=0: nullcontext(lambda amount: None),
        log=lambda event, **fields: print(event, fields) if event == "warning" else None,
        workers=workers,
    )
    stage.run(config, context)
    return out


class PlainLoop:
    """What one writes with diffusers; the pipeline is loaded once."""

    def __init__(self, task: Task, dtype: torch.dtype) -> None:
        with quiet_libraries():
            self._pipeline = DiffusionPipeline.from_pretrained(resolve(task.model), dtype=dtype, safety_checker=None)
        self._pipeline.to(task.device).set_progress_bar_config(disable=True)
        self._task = task

    def __call__(self) -> Path:
        """Draw the whole plan and save every image as PNG; return the folder."""
        task, plan = self._task, self._task.plan()
        out = Path(tempfile.mkdtemp(dir=task.folder))
        for start in range(0, plan.num_images, task.plain_batch):
            planned = [plan.image(index) for index in range(start, min(start + task.plain_batch, plan.num_images))]
            images = self._pipeline(
                [image.prompt for image in planned],
                num_inference_steps=task.config.steps,
                guidance_scale=task.config.guidance_scale,
                height=task.size,
                width=task.size,
                generator=[torch.Generator().manual_seed(image.seed) for image in planned],
            ).images
            for image, drawn in zip(planned, images, strict=True):
                drawn.save(out / f"{image.index:06d}.png")
        return out


def check_images(task: Task, count: int) -> None:
    """Stop unless product and plain loop draw the same `count` images in float32, within one grey level.

    Printed is also how far they move in bfloat16.
    """
    generator = load_generator(task.model, task.device, torch.float32)
    planned = [task.plan().image(index) for index in range(count)]
    sampling = Sampling(steps=task.config.steps, guidance_scale=task.config.guidance_scale, size=task.size)
    conditioning, negative = generator.encode_prompts([image.prompt for image in planned]), generator.encode_prompts([""])
    seeds = [image.seed for image in planned]
    found = generator.decode(generator.denoise(conditioning, negative, seeds=seeds, sampling=sampling))
    expected = generator.pipeline(
        [image.prompt for image in planned],
        num_inference_steps=task.config.steps,
        guidance_scale=task.config.guidance_scale,
        height=task.size,
        width=task.size,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
    ).images
    difference = int(np.abs(np.rint(expected * 255).astype(int) - found).max())
    print(f"{count} images differ from the plain pipeline's by at most {difference} grey levels", flush=True)
    if difference > 1:
        raise SystemExit("product and plain loop do not draw the same images")
    rounded = generator.denoise(conditioning, negative, seeds=seeds, sampling=replace(sampling, bfloat16=True))
    moved = np.abs(generator.decode(rounded).astype(int) - found)
    print(f"in bfloat16 they move by {moved.mean():.2f} grey levels on average, {(moved <= 1).mean():.1%} by at most one")


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


def run_rounds(ways: dict[str, Callable[[], Path]], device: str, num_rounds: int) -> dict[str, list[Timing]]:
    """Return the timings by way; prints as it goes."""
    for name, way in ways.items():
        print(f"first {name}: {measure(way, device).seconds:.1f} s with all that is done once", flush=True)
    rounds: dict[str, list[Timing]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(num_rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            rounds[name].append(measure(ways[name], device))
        shown = (f"{name} {timings[-1].seconds:.1f} s (others {timings[-1].others:.0%})" for name, timings in rounds.items())
        print(f"round {number}: " + ", ".join(shown), flush=True)
    return rounds


def denoiser_flops(task: Task) -> float:
    """Return the floating-point operations of one call of the denoiser for one image."""
    generator = load_generator(task.model, task.device)
    conditioning = generator.encode_prompts([""])
    with FlopCounterMode(display=False) as counter:
        sampling = Sampling(steps=1, guidance_scale=1.0, size=task.size)
        generator.denoise(conditioning, conditioning, seeds=[0], sampling=sampling)
    return float(counter.get_total_flops())


def summarize(rounds: dict[str, list[Timing]], task: Task) -> None:
    """Print medians, ratios to the plain loop of the same round, and the share of the measured peak."""
    images = task.plan().num_images
    calls = task.config.steps * (2 if task.config.guidance_scale > 1 else 1)
    flops = denoiser_flops(task)
    peak = matmul_peak(task.device, "bfloat16" if task.device.startswith("cuda") else "float32")
    print(
        f"denoiser: {flops / 1e12:.3g} TFLOP per call and image, {calls} calls; peak of a product {peak / 1e12:.3g} TFLOP/s"
    )
    print(f"{'way':10s} {'images/s':>9s} {'to plain':>9s} {'of peak':>8s} {'core-ms/image':>14s} {'memory':>10s}")
    for name, timings in rounds.items():
        seconds = statistics.median(timing.seconds for timing in timings)
        plain = rounds.get("plain", timings)
        ratio = statistics.median(base.seconds / own.seconds for base, own in zip(plain, timings, strict=True))
        share = flops * calls * images / seconds / peak
        cores = statistics.median(timing.core_seconds for timing in timings) / images * 1e3
        memory = max(timing.peak for timing in timings) / MEGABYTE
        print(f"{name:10s} {images / seconds:9.3g} {ratio:9.2f} {share:8.1%} {cores:14.1f} {memory:7.0f} MB")


def compare_memory(task: Task, workers: Workers) -> None:
    """Print the peak memory while 100 images are drawn, then 10,000; the libraries are loaded by 100 others before.

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
        execution = ExecutionConfig(device=task.device, **task.settings)
        with LocalExecutor(execution.threads_for) as executor:
            if arguments.memory:
                compare_memory(task, executor.map)
                return
            check_images(task, min(CHECKED, arguments.images))
            ways: dict[str, Callable[[], Path]] = {}
            if "plain" in arguments.ways:
                ways["plain"] = PlainLoop(task, torch.float16 if task.device.startswith("cuda") else torch.float32)
            if "product" in arguments.ways:
                ways["product"] = lambda: draw_with_stage(task, task.config, executor.map)
            if "float32" in arguments.ways:
                exact = task.config.model_copy(update={"precision": "float32"})
                ways["float32"] = lambda: draw_with_stage(task, exact, executor.map)
            if "one" in arguments.ways:
                ways["one"] = lambda: draw_with_stage(task, task.config, None)
            summarize(run_rounds(ways, task.device, arguments.rounds), task)


def _task(arguments: argparse.Namespace, folder: Path) -> Task:
    model = arguments.model if arguments.folder is None else str(arguments.folder)
    if model in PIPELINES:
        model = str(folder / arguments.model)
        build_pipeline(arguments.model).save_pretrained(model, safe_serialization=True)
    config = GenerateConfig(
        steps=arguments.steps, guidance_scale=arguments.guidance, cardinality=arguments.images / len(CLASS_NAMES)
    )
    return Task(
        model=model,
        size=arguments.size,
        config=config,
        device=arguments.device,
        settings=dict(setting.split("=", 1) for setting in arguments.settings),
        plain_batch=arguments.plain_batch,
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
    parser.add_argument("--ways", nargs="+", default=list(WAYS[:3]), choices=WAYS)
    parser.add_argument("--settings", nargs="*", default=[], help="of the section execution, e.g. compile=true threads=1")
    parser.add_argument("--memory", action="store_true", help="compare the peak memory of 100 and 10,000 images")
    return parser.parse_args()


if __name__ == "__main__":
    main()
