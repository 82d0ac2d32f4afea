"""Share of right labels by private votes, by size of the private set, number of Teachers, and epsilon.

    python benchmarks/votes.py --data ../shared/data/mnist --pairs 1000:20 6000:100 60000:250 --output runs/votes

A pair is the number of private images (of the first 60,000 rows of all.parquet) and that of the Teachers. They vote on
images of the other 10,000 rows, whose classes are known: the best case, in which each image shows its class and comes from
the source of the private images. The class of a prompt is right for the share of generated images that show it, so votes pay
where this share is lower than the printed one. The Teachers do not depend on the noise: the votes of a pair are stored in
the folder --output, and the same command with other --epsilons or --votes trains nothing.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tckr.data.images import ImageSet, decode_image
from tckr.engine.step import take_nothing
from tckr.privacy.accountant import voting_of
from tckr.privacy.config import PrivacyConfig
from tckr.privacy.refusals import LEAST_TEACHERS
from tckr.stages.teach.config import TeachConfig, VotingConfig
from tckr.stages.teach.votes import divide, histograms, noisy_choices
from tckr.stages.teach.voting import Poll

NUM_PRIVATE, NUM_VOTED, SIDE, CLASSES, NOISE_SEEDS = 60_000, 1000, 32, 10, 20


def read(data: Path) -> ImageSet:
    """Return all rows, enlarged as `prepare` does."""
    table = pq.read_table(data / "all.parquet")
    pictures = (Image.fromarray(decode_image(cell["bytes"])) for cell in table["image"].to_pylist())
    images = np.stack([np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for picture in pictures])
    return ImageSet(images, table["label"].to_numpy().astype(np.int64), np.arange(len(images)))


def first(images: ImageSet, start: int, count: int) -> ImageSet:
    """Return `count` rows from `start`."""
    rows = np.arange(start, start + count)
    return ImageSet(images.images[rows], images.labels[rows], images.ids[rows])


def votes_of(images: ImageSet, num_images: int, num_teachers: int, config: VotingConfig, output: Path) -> np.ndarray:
    """Return int64 [N, K], the votes on N images without noise; finished Teachers are read from `output`."""
    scratch = output / f"{num_images}-{num_teachers}"
    scratch.mkdir(parents=True, exist_ok=True)
    members, voted = first(images, 0, num_images), first(images, NUM_PRIVATE, NUM_VOTED)
    rows = np.arange(num_images)
    names = [str(label) for label in range(CLASSES)]
    poll = Poll(
        config=config,
        members=members,
        voted=voted,
        class_names=names,
        seed=0,
        device="cpu",
        batch_size=256,
        log=take_nothing,
    )
    votes = poll.votes(divide(members, rows, rows, num_parts=num_teachers, seed=0), scratch, lambda amount: None)
    return histograms(votes, CLASSES)


def right(found: np.ndarray, labels: np.ndarray, noise: float) -> float:
    """Return the mean share of right labels over several samples of the noise."""
    return float(np.mean([(noisy_choices(found, noise, seed) == labels).mean() for seed in range(NOISE_SEEDS)]))


def cells_of(
    found: np.ndarray, labels: np.ndarray, num_teachers: int, numbers: list[int], epsilons: list[float]
) -> Iterator[str]:
    """Yield a cell for each number of images and epsilon: share of right labels, and the noise; `refused` if a run is."""
    for votes in numbers:
        for epsilon in epsilons:
            voting = voting_of(PrivacyConfig(epsilon=epsilon, labels="votes", votes=votes))
            assert voting is not None
            refused = ", refused" if num_teachers < LEAST_TEACHERS * voting.noise else ""
            yield f"{right(found, labels, voting.noise):.2f} ({voting.noise:.0f}{refused})"


def main() -> None:
    """Train what is missing and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/mnist"), help="folder with all.parquet")
    parser.add_argument("--pairs", nargs="+", default=["1000:20", "6000:100", "60000:250"], help="images:Teachers")
    parser.add_argument("--votes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[10.0, 1.0])
    parser.add_argument("--images-seen", type=int, default=600_000, help="images of all epochs of all Teachers of a pair")
    parser.add_argument("--output", type=Path, default=Path("runs/votes"))
    arguments = parser.parse_args()
    images = read(arguments.data)
    labels = images.labels[NUM_PRIVATE : NUM_PRIVATE + NUM_VOTED]
    head = [f"{votes} images, epsilon {epsilon:g}" for votes in arguments.votes for epsilon in arguments.epsilons]
    print("| private images | Teachers | one Teacher | no noise | " + " | ".join(head) + " |")
    print("|" + " --- |" * (4 + len(head)))
    for pair in arguments.pairs:
        num_images, num_teachers = map(int, pair.split(":"))
        epochs = min(30, math.ceil(arguments.images_seen / num_images))
        config = VotingConfig.of(TeachConfig(epochs=epochs, batch_size=16))
        found = votes_of(images, num_images, num_teachers, config, arguments.output)
        alone = found[np.arange(len(labels)), labels].sum() / found.sum()
        cells = [f"{alone:.2f}", f"{right(found, labels, 0.0):.2f}"]
        cells += cells_of(found, labels, num_teachers, arguments.votes, arguments.epsilons)
        print(f"| {num_images:,} | {num_teachers} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
