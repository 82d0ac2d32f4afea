"""Compare presets in how they train a classifier from nothing on small images: accuracy and seconds, on a validation split.

    python -m examples.subset --data cifar10/train.parquet --train 0:5000 --test 45000:50000 --output SMALL
    python benchmarks/recipes.py SMALL --seeds 3

SMALL/train.parquet is learned, SMALL/test.parquet decides: it must hold training rows of the data set, never its test rows.
Every recipe trains the same network for as many epochs. Printed are the mean accuracy of the last epoch over the seeds with
its 95 % interval (Student's t over seeds), the seconds of a training, and the difference to the first recipe seed by seed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from scipy import stats

from tckr.config import load_settings
from tckr.data.images import decode_image
from tckr.engine.execution import available_cores
from tckr.training.batches import TrainingData
from tckr.training.config import TrainingConfig
from tckr.training.fit import Task, fit, measure_accuracy, new_classifier
from tckr.training.losses import CrossEntropy

RECIPES = ("paper", "light", "small_photos")
"""Presets, and the published one with mirror images and crops alone."""


def read_split(path: Path) -> TrainingData:
    """Return the images and labels of a Parquet file with the columns image and label."""
    table = pq.read_table(path, columns=["image", "label"])
    images = np.stack([decode_image(image["bytes"]) for image in table["image"].to_pylist()])
    return TrainingData(images, np.arange(len(images)), table["label"].to_numpy())


def read_recipe(name: str, **changes: Any) -> TrainingConfig:
    """Return how a preset trains a Teacher, with `changes`."""
    preset = load_settings(preset="paper" if name == "light" else name).teach
    config = TrainingConfig.model_validate(
        {field: getattr(preset, field) for field in TrainingConfig.model_fields} | changes
    )
    if name != "light":
        return config
    augment = config.augment.model_copy(update={"augmix_severity": 0.0, "mixup_alpha": 0.0, "crop": 0.125})
    return config.model_copy(update={"augment": augment})


def train(
    recipe: str, data: TrainingData, validation: TrainingData, arguments: argparse.Namespace, seed: int
) -> tuple[float, float]:
    """Return the accuracy on `validation` after the last epoch, and the seconds of the training."""
    settings = {"model": arguments.model, "image_size": arguments.size, "epochs": arguments.epochs, "batch_size": 96}
    config = read_recipe(recipe, **settings, selection="last", patience=None)
    names = [str(label) for label in range(int(data.targets[:].max()) + 1)]
    network = new_classifier(config, names, seed)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        task = Task(network, data, None, CrossEntropy(config.label_smoothing), config)
        fit(task, seed=seed, device=arguments.device, scratch=Path(scratch))
        seconds = time.perf_counter() - started
    return measure_accuracy(network, validation, config.batch_size), seconds


def interval(values: list[float]) -> str:
    """Return the mean in percent with its 95 % interval."""
    mean, count = 100 * statistics.mean(values), len(values)
    if count < 2:
        return f"{mean:.1f}"
    half = 100 * float(stats.t.ppf(0.975, count - 1)) * statistics.stdev(values) / count**0.5
    return f"{mean:.1f} [{mean - half:.1f}, {mean + half:.1f}]"


def main() -> None:
    """Read the arguments, train, print."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    data, validation = (read_split(arguments.data / f"{split}.parquet") for split in ("train", "test"))
    print(f"{arguments.model}, {arguments.size} px, {len(data)} images, {len(validation)} to decide")
    print(
        f"{arguments.epochs} epochs; {arguments.device}, {arguments.threads} threads, torch {torch.__version__}", flush=True
    )
    found: dict[str, list[float]] = {}
    for name in arguments.recipes:
        outcomes = [train(name, data, validation, arguments, seed) for seed in range(arguments.seeds)]
        found[name] = [accuracy for accuracy, _ in outcomes]
        first = found[arguments.recipes[0]]
        gains = [own - other for own, other in zip(found[name], first, strict=True)]
        seconds = statistics.median(seconds for _, seconds in outcomes)
        print(f"{name:14s} {interval(found[name])} %, to the first {interval(gains)} points, {seconds:.0f} s", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train.parquet and test.parquet")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--model", default="embedded:resnet18")
    parser.add_argument("--size", type=int, default=32, help="px that the network sees (default 32)")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=available_cores())
    return parser.parse_args()


if __name__ == "__main__":
    main()
