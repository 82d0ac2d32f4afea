"""How large is the file of soft labels? Bytes per label on disk, complete and compressed, as `label` writes them.

    python benchmarks/soft_label_sizes.py --images 10000 --classes 1000

The labels are the softmax of simulated logits of a sure Teacher: one class is 12 higher, the others have deviation 2. Sizes
depend on it only where many probabilities are equal (zeros), since float16 hardly compresses otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.special import softmax

from tckr.artifacts.soft_labels import spread_top, take_top
from tckr.data.shards import write_shard


def draw(images: int, classes: int) -> np.ndarray:
    """Return float16 [images, classes] probabilities."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (images, classes)).astype(np.float32)
    logits[np.arange(images), random.integers(0, classes, images)] += 12
    return softmax(logits, axis=1).astype(np.float16)


def size(columns: dict[str, np.ndarray], images: int) -> float:
    """Return the bytes per image of a file with these columns, `index` and `label` among them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "soft_labels.parquet"
        write_shard(path, {"index": np.arange(images), "label": np.arange(images) % 10, **columns})
        return path.stat().st_size / images


def main() -> None:
    """Print one row of Markdown per k."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--top-k", type=int, nargs="+", default=[1, 5, 10, 50])
    arguments = parser.parse_args()
    whole = draw(arguments.images, arguments.classes)
    print(
        "| `label.top_k` | bytes per label | mass of the k | mean total variation from the whole label |\n|---|---|---|---|"
    )
    print(f"| null (all {arguments.classes}) | {size({'soft_label': whole}, arguments.images):.0f} | 1 | 0 |")
    for k in arguments.top_k:
        values, classes = take_top(whole, k)
        lost = np.abs(spread_top(values, classes, arguments.classes) - whole.astype(np.float32)).sum(axis=1).mean() / 2
        per_label = size({"soft_label": values, "soft_label_class": classes}, arguments.images)
        print(f"| {k} | {per_label:.1f} | {values.astype(np.float32).sum(axis=1).mean():.4f} | {lost:.4f} |")


if __name__ == "__main__":
    main()
