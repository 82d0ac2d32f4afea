"""Accuracy of the Teacher that labels under a guarantee, by size of the private set and epsilon.

    python benchmarks/dp_teacher.py --data ../shared/data/mnist --sizes 650 1300 6000 60000 --epsilons 10 1

The Teacher begins with images of the embedded generator, which has seen no private image, and goes on with the first rows of
all.parquet. Its accuracy is that on rows 60,000 to 69,999, so it is the share of right labels for images of the same source,
as in benchmarks/votes.py. The generated images, and the classifier that learned them alone, are kept in --output.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.guarantee import DELTA, DESCRIPTIONS
from benchmarks.votes import CLASSES, NUM_PRIVATE, SIDE, first, read
from tckr.artifacts.guarantee import TeacherInputs
from tckr.data.images import ImageSet, without_colour
from tckr.models.classifiers import Classifier, load_classifier, predict_logits
from tckr.models.diffusion.generator import Sampling, take_rows
from tckr.models.diffusion.load import load_generator
from tckr.privacy.accountant import teacher_of
from tckr.privacy.config import PrivacyConfig
from tckr.privacy.units import Units
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.teach.config import DpTeachConfig, TeachConfig
from tckr.stages.teach.dp_sgd import Lessons, continue_with_noise
from tckr.training.batches import TrainingData
from tckr.training.fit import Task, fit, new_classifier
from tckr.training.losses import CrossEntropy

BATCH = 50
NAMES = [str(label) for label in range(CLASSES)]


def generated(count: int, output: Path) -> TrainingData:
    """Return images of the digits in turn by the embedded generator, as they are generated under a guarantee."""
    path = output / f"images-{count}.npy"
    if not path.exists():
        np.save(path, np.concatenate(list(batches(count))))
    return TrainingData(np.load(path), np.arange(count), np.arange(count) % CLASSES)


@torch.inference_mode()
def batches(count: int) -> Iterator[np.ndarray]:
    """Yield uint8 [B, H, W, 3]."""
    model = AdaptConfig().model
    generator, schedule = load_generator(model, "cpu"), GenerateConfig().schedule(model)
    sampling = Sampling(**schedule._asdict(), guidance_scale=1.0, size=SIDE)
    prompts = generator.encode_prompts([f"{name}: {DESCRIPTIONS['mnist'][name]}" for name in NAMES])
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        conditioning = take_rows(prompts, [number % CLASSES for number in numbers])
        latents = generator.denoise(conditioning, generator.encode_prompts([""]), seeds=numbers, sampling=sampling)
        yield np.stack([without_colour(image) for image in generator.decode(latents)])


def beginner(config: DpTeachConfig, data: TrainingData, output: Path) -> Classifier:
    """Return a classifier that learned the generated images alone."""
    folder = output / "beginner"
    if not folder.exists():
        model = new_classifier(config, NAMES, 1)
        with tempfile.TemporaryDirectory() as scratch:
            task = Task(model, data, None, CrossEntropy(config.label_smoothing), config)
            fit(task, seed=1, device="cpu", scratch=Path(scratch))
        model.save(folder)
    model = load_classifier(folder)
    assert isinstance(model, Classifier)
    return model


def accuracy(model: Classifier, images: ImageSet) -> float:
    """Return the share of images that the model assigns to their class."""
    return float((predict_logits(model.eval(), images.images, batch_size=256).argmax(axis=1) == images.labels).mean())


def main() -> None:
    """Train the Teachers and print a row of the table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/mnist"), help="folder with all.parquet")
    parser.add_argument("--sizes", type=int, nargs="+", default=[650, 1300, 6000, 60_000])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[10.0, 1.0])
    parser.add_argument("--generated", type=int, default=10_000, help="images to begin with")
    parser.add_argument("--output", type=Path, default=Path("runs/dp_teacher"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    images, config = read(arguments.data), DpTeachConfig.of(TeachConfig())
    test = first(images, NUM_PRIVATE, len(images) - NUM_PRIVATE)
    data = generated(arguments.generated, arguments.output)
    print(
        "| private images | generated images alone | " + " | ".join(f"epsilon {one:g}" for one in arguments.epsilons) + " |"
    )
    print("|" + " --- |" * (2 + len(arguments.epsilons)))
    for size in arguments.sizes:
        members, cells = first(images, 0, size), [f"{accuracy(beginner(config, data, arguments.output), test):.3f}"]
        for epsilon in arguments.epsilons:
            inputs = teacher_of(PrivacyConfig(epsilon=epsilon, delta=DELTA, labels="teacher"), size, size)
            assert inputs is not None
            lessons = Lessons(
                data=TrainingData(members.images, np.arange(size), members.labels),
                units=Units(np.arange(size)),
                inputs=TeacherInputs(**asdict(inputs), clip=1.0),
                expected=inputs.sampling_rate * size,
                seed=0,
            )
            model = beginner(config, data, arguments.output)
            with tempfile.TemporaryDirectory() as scratch:
                continue_with_noise(model, lessons, config, device="cpu", scratch=Path(scratch))
            cells.append(f"{accuracy(model, test):.3f} ({inputs.steps} steps, noise {inputs.noise_multiplier:.2f})")
        print(f"| {size:,} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
