"""Compare recipes of training a classifier from nothing on small images: accuracy and seconds, on a validation split.

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

from tckr.data.images import decode_image
from tckr.engine.execution import available_cores
from tckr.training.batches import TrainingData
from tckr.training.config import AugmentConfig, TrainingConfig
from tckr.training.fit import fit, measure_accuracy, new_classifier
from tckr.training.losses import CrossEntropy

PLAIN = {"shift": 0.0, "rotation_degrees": 0.0, "scale": 0.0, "flip": True}
RECIPES: dict[str, dict[str, Any]] = {
    "published": {
        "learning_rate": 1e-3,
        "batch_size": 96,
        "augment": AugmentConfig(**PLAIN, crop=0.1, augmix_severity=3, mixup_alpha=0.2),
    },
    "light": {"learning_rate": 1e-3, "batch_size": 96, "augment": AugmentConfig(**PLAIN, crop=0.125)},
    "small_images": {
        "learning_rate": 5e-3,
        "weight_decay": 5e-2,
        "batch_size": 96,
        "ema_decay": 0.99,
        "precision": "bfloat16",
        "augment": AugmentConfig(**PLAIN, crop=0.125),
    },
}


def read_split(path: Path) -> TrainingData:
    """Return the images and labels of a Parquet file with the columns image and label."""
    table = pq.read_table(path, columns=["image", "label"])
    images = np.stack([decode_image(image["bytes"]) for image in table["image"].to_pylist()])
    return TrainingData(images, np.arange(len(images)), table["label"].to_numpy())


def train(
    changes: dict[str, Any], data: TrainingData, validation: TrainingData, arguments: argparse.Namespace, seed: int
) -> tuple[float, float]:
    """Return the accuracy on `validation` after the last epoch, and the seconds of the training."""
    config = TrainingConfig(
        model=arguments.model, image_size=arguments.size, epochs=arguments.epochs, selection="last", **changes
    )
    names = [str(label) for label in range(int(data.targets[:].max()) + 1)]
    network = new_classifier(config, names, seed)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        fit(network, data, None, CrossEntropy(config.label_smoothing), config, seed=seed, device=arguments.device,
            scratch=Path(scratch))  # fmt: skip
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
        outcomes = [train(RECIPES[name], data, validation, arguments, seed) for seed in range(arguments.seeds)]
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
