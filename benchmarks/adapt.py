"""Time the training of an adapter against the plain loop of the published method.

    python benchmarks/adapt.py                                          # the embedded generator on this machine's CPU
    python benchmarks/adapt.py --model sd2 --size 224 --device cuda     # Stable Diffusion 2 with random weights, on a GPU
    python benchmarks/adapt.py --model sd2 --size 224 --once            # one step, its seconds and peak memory

The ways, with the same weights, images (random crops of scikit-learn's two photographs, as PNG files), prompts, rank, images
per optimizer step and AdamW. On a GPU both compute in bfloat16 with a float32 adapter; on a CPU the plain loop in float32,
and TCKR as `adapt.precision` says (--precision, default auto: float32 too).

    plain   `plain_adapter.py`: every pass reads and transforms its images, encodes them and their prompts, and trains
    tckr    the loop of `tckr adapt`: images and prompts encoded once, all images of a step in one forward pass

First both compute the loss for the same noise, in the plain loop's precision; if it differs, the command ends with an error
after it has measured. A case is `IMAGES/PASS`: images per
optimizer step, and those of one pass of the plain loop (4/1 is as published). Each round times both ways on every case, the
order alternating. Printed are medians over the rounds with their range, of seconds and of CPU seconds (which the company of
other programs changes less). Encoding is timed apart and added as a share: once per image, for the passes over the images
that a training makes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from full_size import build_pipeline
from measure import (
    PRECISIONS,
    Row,
    Stopwatch,
    Timing,
    add_shared_arguments,
    busy_seconds,
    cpu_seconds,
    matmul_peak,
    print_rows,
    rounds_within,
    spread,
    write_result,
)
from plain_adapter import ImageFiles, Noise, PlainTraining, crops
from tckr.engine.execution import available_cores
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import FAMILIES
from tckr.models.embedded import resolve
from tckr.models.precision import Precision, forward_precision
from tckr.models.quiet import quiet_libraries
from tckr.stages.adapt.batches import gather, step_batches
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.draws import draw_step
from tckr.stages.adapt.encode import EncodedSet, encode_set
from tckr.stages.adapt.gradients import Passes
from tckr.stages.adapt.train import Course, train_adapter

WARM_STEPS = 2
SAME = {"cpu": 2e-3, "cuda": 2e-2}
"""Largest relative difference of the two losses: encodings are stored in float16; on a GPU the models are bfloat16."""


@dataclass(frozen=True)
class Round:
    """Both ways on one case (images per step, images per pass of the plain loop), and the encoding of that round."""

    case: tuple[int, int]
    plain: Timing
    tckr: Timing
    encoding: Timing


@dataclass(frozen=True, kw_only=True)
class Task:
    """What both ways train on."""

    pipeline: Any
    files: list[Path]
    pixels: np.ndarray
    prompts: list[str]
    size: int
    rank: int
    device: str
    precision: str
    chosen: Precision
    folder: Path
    compiled: bool

    def dataset(self, *, flip: bool) -> ImageFiles:
        """Return the files for the plain loop."""
        return ImageFiles(self.files, self.prompts, self.pipeline.tokenizer, self.size, flip)

    def generator(self) -> LatentDiffusion:
        """Return the same pipeline as TCKR sees it."""
        return LatentDiffusion(FAMILIES[type(self.pipeline).__name__](self.pipeline))

    def encode(self, *, flip: bool) -> EncodedSet:
        """Encode all images and prompts again, in a separate folder."""
        return encode_set(
            self.generator(),
            self.pixels,
            np.arange(len(self.pixels)),
            self.prompts,
            flip=flip,
            batch_size=min(32, len(self.pixels)),
            cache=Path(tempfile.mkdtemp(dir=self.folder)),
        )

    def config(self, images: int, *, flip: bool = True) -> AdaptConfig:
        """Return the published settings for `images` per step."""
        settings = {"schedule": "constant", "caption_dropout": 0, "horizontal_flip": flip, "precision": self.chosen}
        return AdaptConfig(method="lora", ema_decay=0, rank=self.rank, batch_size=images, **settings)

    def course(self, steps: int, folder: Path) -> Course:
        """Return a training of `steps` that leaves its checkpoint in `folder`."""
        checkpoint = folder / "checkpoint.safetensors"
        return Course(num_steps=steps, seed=0, device=self.device, checkpoint=checkpoint, compiled=self.compiled)

    def forget_adapter(self) -> None:
        """Take the adapter out again, and compiled code: the next turn begins with a new one."""
        self.pipeline.unet.delete_adapters(list(self.pipeline.unet.peft_config))
        if self.compiled:
            self.pipeline.unet._compiled_call_impl = None
            torch.compiler.reset()

    def lay_out_plainly(self) -> None:
        """Undo the order of the weights in memory that TCKR chooses on a GPU."""
        for part in (self.pipeline.unet, self.pipeline.vae):
            part.to(memory_format=torch.contiguous_format)


def time_plain(task: Task, images: int, per_pass: int, steps: int) -> Timing:
    """Time `steps` of the plain loop."""
    watch = Stopwatch(task.device)
    task.lay_out_plainly()
    dataset = task.dataset(flip=True)
    training = PlainTraining(task.pipeline, dataset, rank=task.rank, images=images, per_pass=per_pass, device=task.device)
    for step in range(WARM_STEPS + steps):
        if step == WARM_STEPS:
            watch.start()
        training.step()
    timing = watch.stop(steps * images)
    task.forget_adapter()
    return timing


def time_tckr(task: Task, encoded: EncodedSet, images: int, steps: int) -> Timing:
    """Time `steps` of `tckr adapt`, the last checkpoint included."""
    watch, done = Stopwatch(task.device), [0]

    def advance(amount: int) -> None:
        done[0] += amount
        if amount and done[0] == WARM_STEPS:
            watch.start()

    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        train_adapter(
            task.generator(),
            encoded,
            task.config(images),
            task.course(WARM_STEPS + steps, Path(folder)),
            passes=Passes(images),
            advance=advance,
        )
    timing = watch.stop(steps * images)
    task.forget_adapter()
    return timing


def losses_agree(task: Task) -> bool:
    """Return whether both ways give the same mean loss for the same images, noise and levels."""
    generator, encoded, dataset = task.generator(), task.encode(flip=False), task.dataset(flip=False)
    draws = draw_step(
        0,
        0,
        num_images=len(dataset),
        num_drawn=4,
        latent_shape=encoded.latent_shape,
        num_timesteps=generator.num_timesteps,
        flip=False,
        caption_dropout=0.0,
    )
    noise = Noise(*(tensor.to(task.device) for tensor in (draws.posterior_noise, draws.noise, draws.timesteps)))
    items = [dataset[int(row)] for row in draws.rows]
    training = PlainTraining(task.pipeline, dataset, rank=task.rank, images=4, per_pass=4, device=task.device)
    with torch.no_grad(), forward_precision(bfloat16=task.device.startswith("cuda"), device=task.device):
        ours = generator.training_loss(*gather(generator, encoded, draws).tensors(0, 4, task.device)).mean().item()
        plain = training.loss({name: torch.stack([item[name] for item in items]) for name in items[0]}, noise).item()
    task.forget_adapter()
    print(f"loss of the same four images with the same draws: plain {plain:.6f}, tckr {ours:.6f}", flush=True)
    return abs(plain - ours) <= SAME[task.device.split(":")[0]] * plain


def training_flops(task: Task, encoded: EncodedSet) -> float:
    """Return the floating-point operations per image of forward and backward pass: matrix products and convolutions."""
    generator, config = task.generator(), task.config(1)
    (batch,) = step_batches(generator, encoded, config, steps=range(1), seed=0, device=task.device)
    generator.add_lora(task.rank, 0)
    with FlopCounterMode(display=False) as counter:
        generator.training_loss(*batch.tensors(0, 1, task.device)).sum().backward()
    task.forget_adapter()
    return float(counter.get_total_flops())


def run_rounds(
    task: Task, encoded: EncodedSet, cases: Sequence[tuple[int, int]], numbers: Iterator[int], images: int
) -> Iterator[list[Round]]:
    """Time both ways on every case in each round, about `images` per turn; yield all turns after each case."""
    found: list[Round] = []
    for number in numbers:
        encoding = time_encoding(task)
        for case in cases:
            steps, turns = max(1, images // case[0]), {}
            busy, own, began = busy_seconds(), cpu_seconds(), time.perf_counter()
            ways: dict[str, Callable[[], Timing]] = {
                "plain": partial(time_plain, task, *case, steps),
                "tckr": partial(time_tckr, task, encoded, case[0], steps),
            }
            for way in sorted(ways, reverse=bool(number % 2)):
                turns[way] = ways[way]()
            used, seconds = cpu_seconds() - own, time.perf_counter() - began
            others = max(0.0, busy_seconds() - busy - used) / seconds / available_cores()
            shown = ", ".join(f"{way} {1 / turn.seconds:.2f} images/s" for way, turn in sorted(turns.items()))
            print(f"round {number}, {case[0]}/{case[1]}: {shown} (others: {others:.0%} of the cores)", flush=True)
            found.append(Round(case, turns["plain"], turns["tckr"], encoding))
            yield found


def time_encoding(task: Task) -> Timing:
    """Time the encoding of all images, mirrored ones too, and of their prompts."""
    watch = Stopwatch(task.device)
    watch.start()
    task.encode(flip=True)
    return watch.stop(len(task.files))


def rows_of(found: Sequence[Round], flops: float, peak: float, passes: Sequence[float]) -> list[Row]:
    """Return medians of speed and of the ratios round by round, with and without what the encoding adds to each pass."""
    rows = []
    for case in dict.fromkeys(turn.case for turn in found):
        turns = [turn for turn in found if turn.case == case]
        for way in ("plain", "tckr"):
            timings = [getattr(turn, way) for turn in turns]
            speed = statistics.median(1 / timing.seconds for timing in timings)
            shares = [0.0, *(1 / number for number in passes)] if way == "tckr" else []
            ratios = [_ratio(turns, "seconds", share) for share in shares]
            encoded = (f"{ratio[0]:.2f} over {n:g}" for ratio, n in zip(ratios[1:], passes, strict=False))
            cpu = "CPU seconds {:.2f} ({:.2f} to {:.2f})".format(*_ratio(turns, "cpu", 0))
            rows.append(
                Row(
                    way=f"{way} {case[0]}/{case[1]}",
                    speed=speed,
                    to_plain=ratios[0] if ratios else None,
                    of_peak=speed * flops / peak,
                    memory_gb=max(timing.memory for timing in timings) / 1e9 or None,
                    note=f"{cpu}; with encoding {', '.join(encoded)} passes" if ratios else "",
                )
            )
    return rows


def _ratio(turns: Sequence[Round], kind: str, share: float) -> tuple[float, float, float]:
    """Return the median over rounds of how many times as much the plain loop took, and its range.

    `share` of the encoding of an image is added each time that the image is trained on.
    """
    return spread(
        [getattr(turn.plain, kind) / (getattr(turn.tckr, kind) + share * getattr(turn.encoding, kind)) for turn in turns]
    )


def peak_memory() -> int:
    """Return the largest resident size of this process in bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def make_once(task: Task, images: int) -> None:
    """Encode, make one optimizer step, print what each took."""
    watch = Stopwatch(task.device)
    watch.start()
    encoded = task.encode(flip=True)
    print(f"encoding {len(task.files)} images and their mirror images: {watch.stop(1).seconds:.1f} s", flush=True)
    watch.start()
    losses = train_adapter(
        task.generator(),
        encoded,
        task.config(images),
        task.course(1, task.folder),
        passes=Passes(images),
    )
    print(f"one step of {images} images, loss {losses[0]:.4f}: {watch.stop(1).seconds:.1f} s", flush=True)
    print(f"peak memory of the process: {peak_memory() / 2**30:.2f} GiB")


def load_pipeline(model: str, device: str, dtype: torch.dtype) -> Any:
    """Return the embedded generator, or a full-size one with random weights."""
    if model != "embedded":
        return build_pipeline(model, dtype, device)
    with quiet_libraries():
        pipeline = DiffusionPipeline.from_pretrained(resolve("embedded:generator"), dtype=dtype, safety_checker=None)
    return pipeline.to(device)


def build_task(arguments: argparse.Namespace, folder: Path) -> Task:
    """Return the models, files and prompts of the benchmark."""
    device = arguments.device
    precision = "bfloat16" if device.startswith("cuda") else "float32"
    pixels = crops(arguments.size, arguments.images)
    files = [folder / f"{row}.png" for row in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    return Task(
        pipeline=load_pipeline(arguments.model, device, PRECISIONS[precision]),
        files=files,
        pixels=pixels,
        prompts=[f"photograph {row}: a crop of a photograph" for row in range(len(files))],
        size=arguments.size,
        rank=arguments.rank,
        device=device,
        precision=precision,
        chosen=arguments.precision,
        folder=folder,
        compiled=arguments.compile,
    )


def main() -> None:
    """Read the arguments, check that the ways agree, measure, print."""
    arguments = _arguments()
    print(f"{arguments.model}, {arguments.size} px, rank {arguments.rank}; {arguments.device}, {available_cores()} cores, "
          f"{torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        task = build_task(arguments, Path(folder))
        if arguments.once:
            make_once(task, arguments.cases[0][0])
            return
        agree = losses_agree(task)
        compare_ways(task, arguments)
    if not agree:
        raise SystemExit("the two ways do not train on the same loss")


def compare_ways(task: Task, arguments: argparse.Namespace) -> None:
    """Measure both ways on all cases; print."""
    encoded, peak = task.encode(flip=True), matmul_peak(task.device, task.precision)
    flops, numbers = training_flops(task, encoded), rounds_within(arguments.rounds, arguments.seconds)
    print(f"peak of a matrix product in {task.precision}: {peak / 1e12:.3g} TFLOP/s; {flops / 1e9:.3g} GFLOP an image")
    for found in run_rounds(task, encoded, arguments.cases, numbers, arguments.turn):
        rows = rows_of(found, flops, peak, arguments.passes)
        once = statistics.median(turn.encoding.seconds for turn in found)
        write_result(arguments.json, rows, peak=peak, flops=flops, seconds_to_encode_an_image=once)
    print_rows(rows)
    print(f"encoding, once: {once * 1e3:.1f} ms an image; peak memory of the process: {peak_memory() / 1e9:.2f} GB")


def _case(text: str) -> tuple[int, int]:
    images, per_pass = map(int, text.split("/"))
    return images, per_pass


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("embedded", "sd15", "sd2"), default="embedded")
    parser.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="of TCKR (default auto)"
    )
    parser.add_argument("--size", type=int, default=32, help="side of the images in px (default 32)")
    parser.add_argument("--images", type=int, default=64, help="image files (default 64)")
    parser.add_argument("--rank", type=int, default=4, help="of the adapter (default 4)")
    cases = parser.add_argument("--cases", type=_case, nargs="+", metavar="IMAGES/PASS")
    cases.default, cases.help = [(4, 1), (32, 1), (32, 32)], "default 4/1 32/1 32/32"
    parser.add_argument("--turn", type=int, default=128, help="images per turn (default 128)")
    parser.add_argument("--rounds", type=int, default=5, help="times that every case is measured (default 5)")
    parser.add_argument("--passes", type=float, nargs="+", default=[3.0, 15.0], help="over the images (default 3 15)")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    parser.add_argument("--compile", action="store_true", help="execution.compile for tckr")
    add_shared_arguments(parser)
    parser.add_argument("--once", action="store_true", help="make one step of the first case, and nothing else")
    return parser.parse_args()


if __name__ == "__main__":
    main()
