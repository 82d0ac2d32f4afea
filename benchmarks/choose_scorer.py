"""Which attack finds most with few reference runs? The comparison behind the default of `audit.scorer`.

    python benchmarks/choose_scorer.py                            # scikit-learn's digits
    python benchmarks/choose_scorer.py --parquet fashion.parquet  # any Parquet file with `image` (encoded bytes) and `label`

Trains 26 small networks on random halves of 1,300 images and prints the mean AUC of every scorer over 12 targets.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from sklearn.datasets import load_digits

from tckr.membership.queries.confidence import logit_confidence
from tckr.membership.scorers import SCORERS
from tckr.metrics.membership import placements

NUM_RECORDS, NUM_RUNS, NUM_TARGETS = 1300, 26, 12


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels in [0, 1] [N, D] and labels [N] of scikit-learn's digits."""
    pixels, labels = load_digits(return_X_y=True)
    return pixels[:NUM_RECORDS] / 16, labels[:NUM_RECORDS]


def from_parquet(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of the first images of a Parquet file, grey and 14 x 14 px."""
    table = pq.read_table(path, columns=["image", "label"]).slice(0, NUM_RECORDS)
    encoded = table.column("image").combine_chunks().field("bytes").to_pylist()
    images = [np.asarray(Image.open(io.BytesIO(data)).convert("L").resize((14, 14))) for data in encoded]
    return np.stack(images).reshape(len(images), -1) / 255, table.column("label").to_numpy()


def train(pixels: np.ndarray, labels: np.ndarray, members: np.ndarray, epochs: int, seed: int) -> np.ndarray:
    """Return the signals of all records under a network trained on `members`."""
    inputs, truth = torch.tensor(pixels, dtype=torch.float32), torch.tensor(labels)
    rows, order = torch.tensor(np.flatnonzero(members)), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = torch.nn.Sequential(torch.nn.Linear(inputs.shape[1], 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.0)
    for _ in range(epochs):
        for batch in rows[torch.randperm(len(rows), generator=order)].split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs[batch]), truth[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        return logit_confidence(network(inputs).numpy(), labels)


def compare(pixels: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    """Print the mean AUC of every scorer over targets, for each number of reference runs."""
    generator = np.random.default_rng(0)
    members = np.zeros((NUM_RUNS, len(labels)), dtype=bool)
    for row in members:
        row[generator.permutation(len(labels))[: len(labels) // 2]] = True
    signals = np.stack([train(pixels, labels, row, epochs, seed) for seed, row in enumerate(members)])
    for num_references in (2, 4, 8, 16):
        for name, scorer in SCORERS.items():
            found = []
            for target in range(NUM_TARGETS):
                rows = [(target + offset) % NUM_RUNS for offset in range(num_references + 1)]
                scores = scorer.score(signals[rows], members[rows], 0)
                found.append(placements(scores, members[target])[0].mean())
            print(f"{epochs:3d} epochs  {num_references:2d} references  {name:28s} {np.mean(found):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parquet", type=Path)
    arguments = parser.parse_args()
    data = from_parquet(arguments.parquet) if arguments.parquet else digits()
    for num_epochs in (5, 40):
        compare(*data, num_epochs)
