"""Teachers of unequal classes: one class holds most of the images. How to train them, by accuracy and balanced accuracy.

    python benchmarks/unequal_classes.py FILE.parquet --classes 3 0 1 5 8 --largest 560 --others 57 --seeds 0 1 2

`0`, `0.5` and `1` are `teach.balance`. `sampling` (every epoch has as many images of each class, small ones repeated) and
`weights` (the loss of an image divided by its class's share) were tried beside it. Every Teacher is tested on up to 400
further images of each class; accuracy weighs them by the classes' shares in training. Its epoch is chosen on a fifth as many
images as it learns.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from tckr.data.seeds import derive_seed
from tckr.data.transforms import to_device
from tckr.models.classifiers import predict_logits
from tckr.stages.teach.balance import log_shares
from tckr.stages.teach.config import TeachConfig
from tckr.training.batches import TrainingData, target_probabilities
from tckr.training.fit import Task, fit, new_classifier
from tckr.training.losses import CrossEntropy, smoothed

VARIANTS = ("0", "0.5", "1", "sampling", "weights")


@dataclass(frozen=True)
class EvenlySampled(TrainingData):
    """Epochs of as many images as there are, equally many of each class."""

    def batches(
        self, *, batch_size: int, seed: int, epoch: int, num_classes: int, device: str
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield an epoch."""
        random, drawn = np.random.default_rng(derive_seed(seed, "order", epoch)), []
        for label in range(num_classes):
            own = np.flatnonzero(self.targets[:] == label)
            quota = len(self) // num_classes + (random.permutation(num_classes)[0] < len(self) % num_classes)
            drawn.append(np.concatenate([random.permutation(own) for _ in range(-(-quota // len(own)))])[:quota])
        order = random.permutation(np.concatenate(drawn))
        for batch in np.array_split(order, -(-len(order) // batch_size)):
            targets = target_probabilities(self.targets[batch], num_classes)
            yield to_device(self.images[self.rows[batch]], device), targets.to(device)


@dataclass(frozen=True)
class Weighted:
    """Cross-entropy with a weight for each class."""

    weights: torch.Tensor
    label_smoothing: float

    def __call__(self, logits_BK: torch.Tensor, targets_BK: torch.Tensor, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the weighted mean."""
        losses_B = -(smoothed(targets_BK, self.label_smoothing) * logits_BK.log_softmax(1)).sum(1)
        return ((targets_BK * self.weights).sum(1) * losses_B).mean()


def read_images(file: Path, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return images of 32 px and labels."""
    table = pq.read_table(file, columns=["image", "label"]).slice(0, limit)
    encoded = table["image"].combine_chunks().field("bytes").to_pylist()
    images = [Image.open(io.BytesIO(data)).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC) for data in encoded]
    return np.stack([np.asarray(image) for image in images]), np.array(table["label"].to_pylist())


def draw(labels: np.ndarray, counts: dict[int, int], seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return rows, and labels from 0 on, of training, validation and test."""
    random, rows, classes = np.random.default_rng(seed), ([], [], []), ([], [], [])
    for number, label in enumerate(sorted(counts)):
        own, size = random.permutation(np.flatnonzero(labels == label)), counts[label]
        held = max(1, round(0.2 * size))
        for part, found in enumerate((own[:size], own[size : size + held], own[size + held : size + held + 400])):
            rows[part].append(found)
            classes[part].append(np.full(len(found), number))
    return [np.concatenate(part) for part in rows], [np.concatenate(part) for part in classes]


def recalls(images: np.ndarray, rows: list[np.ndarray], labels: list[np.ndarray], variant: str, seed: int) -> np.ndarray:
    """Return the accuracy on the test images of each class of a Teacher trained in one way."""
    num_classes, config = int(labels[0].max()) + 1, TeachConfig()
    model = new_classifier(config, [str(label) for label in range(num_classes)], derive_seed(seed, "initialise"))
    shares = log_shares(labels[0], num_classes)
    kind = EvenlySampled if variant == "sampling" else TrainingData
    loss = CrossEntropy(config.label_smoothing, float(variant) * shares if variant in ("0.5", "1") else None)
    if variant == "weights":
        loss = Weighted((-shares).exp() / num_classes, config.label_smoothing)
    data, validation = kind(images, rows[0], labels[0]), TrainingData(images, rows[1], labels[1])
    with tempfile.TemporaryDirectory() as scratch:
        task = Task(model, data, validation, loss, config, balanced=variant != "0")
        fit(task, seed=seed, device="cpu", scratch=Path(scratch))
    right = predict_logits(model, images, rows=rows[2], batch_size=512).argmax(axis=1) == labels[2]
    return np.array([right[labels[2] == label].mean() for label in range(num_classes)])


def main() -> None:
    """Print a row for each variant and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--classes", type=int, nargs="+", required=True, help="labels; the first is the largest class")
    parser.add_argument("--largest", type=int, required=True, help="training images of the largest class")
    parser.add_argument("--others", type=int, required=True, help="of every other class")
    parser.add_argument("--limit", type=int, help="rows of the file that are read")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    images, labels = read_images(given.file, given.limit)
    counts = dict.fromkeys(given.classes, given.others) | {given.classes[0]: given.largest}
    print("| variant | seed | accuracy | balanced accuracy |\n|---|---|---|---|")
    for seed in given.seeds:
        rows, classes = draw(labels, counts, seed)
        shares = np.bincount(classes[0]) / len(classes[0])
        for variant in VARIANTS:
            found = recalls(images, rows, classes, variant, seed)
            print(f"| {variant} | {seed} | {found @ shares:.3f} | {found.mean():.3f} |", flush=True)


if __name__ == "__main__":
    main()
