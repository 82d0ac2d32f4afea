"""Time an epoch of a Student against the plain loop of the published method.

    python benchmarks/training.py                                                            # 32 px on this machine's CPU
    python benchmarks/training.py --device cuda --model resnet18 --size 224 --images 9600    # on a GPU

The ways, all with the same networks, images (random crops of scikit-learn's two photographs), batch size and optimizer
(AdamW). All but `views` vary the images by the published recipe (flip, padded crop, AugMix):

    plain            `plain_student.py`: PNG decoding and augmentation image by image in worker processes, Teacher in float32
                     on every view
    stored           TCKR's loop with stored soft labels, images decoded once, augmentation in batches
    views            TCKR's loop with label.views=4: in the place of the recipe, the views that were labelled, made again
                     from (index, view) by label.augment's defaults (shift, rotation, scale in one resampling)
    online           TCKR's loop with the Teacher on every view, as published
    stored-bfloat16  the same three with distill.precision=bfloat16
    views-bfloat16
    online-bfloat16

Each round times an epoch of every way, beginning with another one, and measures what all processes use of the cores. Printed
are medians over the rounds, of seconds and of CPU seconds (with the workers' of the plain loop), and of their ratios to the
plain loop in the same round; in brackets the range. On a GPU also the share of the time in which it was busy; everywhere the
share of the measured peak of matrix products.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from torch.utils.flop_counter import FlopCounterMode

import plain_student
from measure import (
    Row,
    add_shared_arguments,
    busy_seconds,
    cpu_seconds,
    device_busy_share,
    matmul_peak,
    print_rows,
    rounds_within,
    spread,
    timed,
    write_result,
)
from tckr.artifacts.soft_labels import LabelRecipe, SoftLabels
from tckr.data.images import encode_png, load_images
from tckr.data.shards import write_shard
from tckr.data.variation import Variation, ViewRecipe
from tckr.engine.execution import available_cores
from tckr.models.classifiers import Classifier, build_classifier
from tckr.stages.distill.targets import SoftTargets, ViewedData
from tckr.training.batches import Examples, TrainingData
from tckr.training.config import AugmentConfig, TrainingConfig
from tckr.training.fit import Task as FitTask
from tckr.training.fit import train_epoch
from tckr.training.losses import Loss, Mixture, OnlineDistillation, StoredDistillation

NAMES = [str(label) for label in range(10)]
PUBLISHED = AugmentConfig(shift=0.0, rotation_degrees=0.0, scale=0.0, flip=True, crop=0.1, augmix_severity=3.0)
VIEWS = ViewRecipe(num_views=4, ranges=Variation())
WAYS = {
    labels + suffix: (labels, precision)
    for precision, suffix in (("float32", ""), ("bfloat16", "-bfloat16"))
    for labels in ("stored", "views", "online")
}
Epoch = Callable[[], object]
KINDS = ("seconds", "cpu")
FOR_ROUNDS = 0.7
"""Of the seconds that may be used; then every way has an epoch in which the GPU is watched."""


@dataclass(frozen=True)
class Timing:
    """One epoch: wall-clock seconds, and CPU seconds of all processes that worked on it."""

    seconds: float
    cpu: float


@dataclass(frozen=True)
class Task:
    """What every way trains: the model's name, its input's side in px, images of an epoch and of a step, the device."""

    model: str
    size: int
    images: int
    batch_size: int
    device: str

    def classifier(self, seed: int) -> Classifier:
        """Return an untrained network on the device."""
        return build_classifier(f"embedded:{self.model}", len(NAMES), NAMES, seed, image_size=self.size).to(self.device)


def photographs(task: Task) -> list[bytes]:
    """Return PNG files of random crops."""
    random, photographs = np.random.default_rng(0), load_sample_images().images
    crops = []
    for _ in range(task.images):
        photograph = photographs[random.integers(len(photographs))]
        top, left = (random.integers(side - task.size + 1) for side in photograph.shape[:2])
        crops.append(photograph[top : top + task.size, left : left + task.size])
    with ThreadPoolExecutor(available_cores()) as threads:
        return list(threads.map(encode_png, crops))


def plain_epoch(task: Task, encoded: Sequence[bytes]) -> Epoch:
    """Return an epoch of the plain loop."""
    student, teacher = task.classifier(1), task.classifier(2).eval()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3, weight_decay=5e-5)
    loader = plain_student.make_loader(encoded, task.batch_size, available_cores(), task.device)
    return lambda: plain_student.train_epoch(student, teacher, loader, optimizer, task.device)


def product_epoch(task: Task, images: np.ndarray, labels: str, precision: str) -> Epoch:
    """Return an epoch of TCKR's loop; the Teacher's weights are as untrained as the plain loop's."""
    student, teacher = (task.classifier(seed).to(memory_format=torch.channels_last) for seed in (1, 2))
    optimizer = torch.optim.AdamW(student.parameters(), weight_decay=5e-5, fused=True)
    augment = AugmentConfig.none() if labels == "views" else PUBLISHED
    config = TrainingConfig(epochs=1, batch_size=task.batch_size, augment=augment, precision=precision)
    loss: Loss = StoredDistillation(Mixture())
    if labels == "online":
        loss = OnlineDistillation(teacher.eval(), torch.arange(len(NAMES)))
    data = examples(images, VIEWS if labels == "views" else ViewRecipe())
    whole = FitTask(student, data, None, loss, config)
    return lambda: train_epoch(whole, optimizer, epoch=0, seed=0, device=task.device)


def examples(images: np.ndarray, recipe: ViewRecipe) -> Examples:
    """Return what `distill` learns from: `images` with one soft label per view of `recipe`, all the same."""
    rows = np.arange(len(images))
    stored = np.full((len(images), recipe.num_views, len(NAMES)), 1 / len(NAMES), dtype=np.float16)
    labels = SoftLabels(indices=rows, stored=stored, classes=None, class_names=NAMES, recipe=LabelRecipe(views=recipe))
    targets = SoftTargets(labels=labels, rows=rows, columns=np.arange(len(NAMES)))
    if recipe.num_views == 1:
        return TrainingData(images, rows, targets)
    return ViewedData(images=images, rows=rows, indices=rows, targets=targets)


def decode_once(task: Task, encoded: Sequence[bytes], folder: Path) -> np.ndarray:
    """Return the memory map that the product makes of a synthetic set, and print how fast it was made."""
    columns = {"image": encoded, "label": np.zeros(len(encoded), dtype=np.int64), "index": np.arange(len(encoded))}
    write_shard(folder / "data" / "train-00000-of-00001.parquet", columns, NAMES)
    started = time.perf_counter()
    images = load_images(folder / "data", folder, id_column="index").images
    print(f"decoded once, not part of an epoch: {task.images / (time.perf_counter() - started):.0f} images/s")
    return images


def run_rounds(ways: dict[str, Epoch], task: Task, numbers: Iterator[int]) -> Iterator[list[dict[str, Timing]]]:
    """Yield the times of every way, round by round."""
    for epoch in ways.values():
        epoch()  # workers start, libraries choose their kernels
    names: list[str] = list(ways)
    rounds: list[dict[str, Timing]] = []
    for number in numbers:
        order = names[number % len(names) :] + names[: number % len(names)]
        busy, started = busy_seconds(), time.perf_counter()
        rounds.append({name: measure(ways[name], task) for name in order})
        share = (busy_seconds() - busy) / (time.perf_counter() - started) / available_cores()
        shown = ", ".join(f"{name} {task.images / rounds[-1][name].seconds:.0f}" for name in names)
        print(f"round {number}: images/s: {shown}; cores in use, by anyone: {share:.0%}", flush=True)
        yield rounds


def measure(epoch: Epoch, task: Task) -> Timing:
    """Time one epoch; CPU time is this process's and that of its workers."""
    used = cpu_seconds()
    seconds = timed(epoch, task.device)
    return Timing(seconds, cpu_seconds() - used)


def rows_of(rounds: Sequence[dict[str, Timing]], task: Task, peaks: dict[str, float], flops: Sequence[float]) -> list[Row]:
    """Return medians, ratios to the plain loop and shares of the peak; `flops` of an epoch without and with a Teacher."""
    rows = []
    for name in rounds[0]:
        seconds, cpu = (statistics.median(getattr(timings[name], kind) for timings in rounds) for kind in KINDS)
        ratios = [[getattr(timings["plain"], kind) / getattr(timings[name], kind) for timings in rounds] for kind in KINDS]
        peak = peaks["bfloat16" if name.endswith("bfloat16") else "float32"]
        rows.append(
            Row(
                way=name,
                speed=task.images / seconds,
                to_plain=spread(ratios[0]),
                of_peak=flops[name.startswith(("plain", "online"))] / seconds / peak,
                note="CPU {:.0f} us/image, to plain {:.2f} ({:.2f} to {:.2f})".format(
                    cpu / task.images * 1e6, *spread(ratios[1])
                ),
            )
        )
    return rows


def epoch_flops(task: Task, with_teacher: bool) -> float:
    """Return the floating-point operations of an epoch: products of matrices and convolutions alone."""
    model, images_BCHW = task.classifier(1), torch.rand(8, 3, task.size, task.size, device=task.device)
    with FlopCounterMode(display=False) as counter:
        model(images_BCHW).sum().backward()
        if with_teacher:
            with torch.no_grad():
                model(images_BCHW)
    return counter.get_total_flops() * task.images / len(images_BCHW)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", choices=("resnet", "resnet18"), default="resnet", help="built-in network (default resnet)"
    )
    parser.add_argument("--size", type=int, default=32, help="side of images and input in px (default 32)")
    parser.add_argument("--images", type=int, default=1920, help="images of an epoch (default 1920)")
    parser.add_argument("--batch-size", type=int, default=96, help="images of a step (default 96, as published)")
    parser.add_argument("--rounds", type=int, default=7, help="times that every way is measured (default 7)")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="those beside plain (default all)")
    add_shared_arguments(parser)
    arguments = parser.parse_args()
    task = Task(arguments.model, arguments.size, arguments.images, arguments.batch_size, arguments.device)
    print(f"{task}; {available_cores()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        encoded = photographs(task)
        images = decode_once(task, encoded, Path(folder))
        ways = {"plain": plain_epoch(task, encoded)}
        ways.update({name: product_epoch(task, images, *WAYS[name]) for name in arguments.ways})
        compare_ways(task, ways, arguments)


def compare_ways(task: Task, ways: dict[str, Epoch], arguments: argparse.Namespace) -> None:
    """Measure all ways, then, each once more, how busy a GPU is; print."""
    peaks = {precision: matmul_peak(task.device, precision) for precision in ("float32", "bfloat16")}
    print("peak of matrix products: " + ", ".join(f"{name} {peak / 1e12:.3g} TFLOP/s" for name, peak in peaks.items()))
    flops = [epoch_flops(task, with_teacher=with_teacher) for with_teacher in (False, True)]
    numbers = rounds_within(arguments.rounds, arguments.seconds and FOR_ROUNDS * arguments.seconds)
    for rounds in run_rounds(ways, task, numbers):
        rows = rows_of(rounds, task, peaks, flops)
        write_result(arguments.json, rows, peaks=peaks, batch_size=task.batch_size)
    if task.device.startswith("cuda"):
        for place in reversed(range(len(rows))):  # the plain loop last, because it decides least
            rows[place] = replace(rows[place], busy=device_busy_share(ways[rows[place].way], task.device))
            write_result(arguments.json, rows, peaks=peaks, batch_size=task.batch_size)
    print_rows(rows)


if __name__ == "__main__":
    main()
