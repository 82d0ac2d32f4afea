"""Measure the shipped models on photographs: `python -m pretraining.evaluate_photos --cifar100 FOLDER`.

The reader is the class head of the captioner's training run, which is not shipped. The generator gets prompts of training
captions; its images are compared with photographs of the test split.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from .evaluate import HERE, captions_of, generate, grid, wilson
from .export import EMBEDDED
from .loop import best_weights
from .photos import PHOTOGRAPHS, load_photos, read_cifar100
from .prompts import grey_caption
from .render import RUNS
from .train_autoencoder import to_model
from .train_captioner import PHOTO_CLASSES, Learner, new_processor

Scores = dict[str, str | float]


def trained_reader() -> Learner:
    """Return the captioner with its heads from the last checkpoint."""
    learner = Learner(new_processor())
    learner.load_state_dict(best_weights(RUNS / "captioner" / "checkpoint.pt"))
    return learner.eval()


@torch.no_grad()
def read(learner: Learner, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the class (N,) that the reader sees in uint8 images and their features (N, 128)."""
    captioner, classes, features = learner.captioner, [], []
    for i in range(0, len(images), 250):
        seen = captioner.vision_model(pixel_values=to_model(images[i : i + 250])).last_hidden_state
        mean = seen.mean(1)
        classes.append(learner.from_patches(mean)[:, -PHOTO_CLASSES:].argmax(1))
        features.append(mean)
    return torch.cat(classes).numpy(), torch.cat(features).numpy()


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the kernel inception distance (cubic kernel, unbiased; Binkowski et al. 2018) of features (N, D), (M, D)."""
    mean, spread = b.mean(0), b.std(0)
    a, b = (a - mean) / spread, (b - mean) / spread
    aa, bb, ab = ((x @ y.T / a.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    n, m = len(a), len(b)
    return float((aa.sum() - aa.trace()) / (n * (n - 1)) + (bb.sum() - bb.trace()) / (m * (m - 1)) - 2 * ab.mean())


def chroma(images: np.ndarray) -> float:
    """Return the mean difference of largest and smallest channel, in grey levels."""
    return round(float((images.max(-1).astype(int) - images.min(-1)).mean()), 2)


def measure_generator(count: int, folder: Path, real: np.ndarray, *, steps: int, guidance: float) -> Scores:
    """Return class agreement, kernel distance to real pictures and tint of images with grey prompts; write photos.png."""
    _, names, captions = load_photos()
    picks = np.linspace(0, PHOTOGRAPHS - 1, count).astype(int)
    order = {name: i for i, name in enumerate(sorted(set(names[:PHOTOGRAPHS])))}
    images = generate([f"{names[i]}: {captions[i]}" for i in picks], folder, steps=steps, guidance=guidance)
    grey = [f"{names[i]}: {grey_caption(captions[i])}" for i in picks[: count // 4]]
    tint = chroma(generate(grey, folder, steps=steps, guidance=guidance))
    reader = trained_reader()
    classes, features = read(reader, images)
    _, real_features = read(reader, real)
    grid(images[:128], 16, HERE / "photos.png")
    right = int((classes == np.array([order[names[i]] for i in picks])).sum())
    distance = round(kernel_distance(features, real_features), 3)
    return {"class": wilson(right, count), "kernel distance": distance, "chroma of grey prompts": tint}


def measure_captioner(folder: Path, real: np.ndarray, labels: list[str]) -> Scores:
    """Return how many captions of test photographs contain the class's name, and how many are distinct."""
    texts = captions_of(real, folder)
    named = sum(label in text for label, text in zip(labels, texts, strict=True))
    return {"class named": wilson(named, len(texts)), "distinct captions": len(set(texts)) / len(texts)}


def main() -> None:
    """Print the numbers and add them to quality.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar100", type=Path, required=True, help="folder with test.parquet")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=EMBEDDED)
    options = parser.parse_args()
    real, labels, _ = read_cifar100(options.cifar100 / "test.parquet")
    real, labels = real[: 2 * options.count], labels[: 2 * options.count]
    seen, _ = read(trained_reader(), real)
    order = {name: i for i, name in enumerate(sorted(set(load_photos()[1][:PHOTOGRAPHS])))}
    right = int((seen == np.array([order[label] for label in labels])).sum())
    result = {
        "reader on test photographs": {"class": wilson(right, len(labels))},
        "captioner on test photographs": measure_captioner(options.folder / "captioner", real[:500], labels[:500]),
        "generator": measure_generator(
            options.count, options.folder / "generator", real, steps=options.steps, guidance=options.guidance
        ),
    }
    print(json.dumps(result, indent=1))
    path = HERE / "quality.json"
    quality = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(quality | {"photographs": result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
