"""Measure time and peak memory of `tckr inspect` on tiny pictures in class folders, beside a table, and in a Parquet file.

    python benchmarks/inspect_memory.py [--counts 1000 10000 100000] [--forms folders table parquet saved] [--share 0.05]

Each row is a data set of its own and a process of its own. Memory should not grow with the number of pictures: where the
largest set of a form takes over `--share` more than its smallest one, the program says so and ends with status 1.
"""

from __future__ import annotations

import argparse
import csv
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

NUM_CLASSES = 10
NUM_PATIENTS = 20
"""Pictures of each patient in a file's name."""


def pictures(count: int, side: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield name, class and content of `count` different pictures."""
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
        name = f"patient{number // NUM_PATIENTS:05}_{number % NUM_PATIENTS:02}.png"
        yield name, f"class{number % NUM_CLASSES}", buffer.getvalue()


def write_folders(root: Path, count: int, side: int) -> None:
    """Write class folders."""
    for label in range(NUM_CLASSES):
        (root / f"class{label}").mkdir(parents=True)
    for name, label, data in pictures(count, side):
        (root / label / name).write_bytes(data)


def write_table(root: Path, count: int, side: int) -> None:
    """Write one folder of pictures, and a table of their labels with some other columns."""
    (root / "images").mkdir(parents=True)
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "age", "label", "site", "finding"])
        for number, (name, label, data) in enumerate(pictures(count, side)):
            (root / "images" / name).write_bytes(data)
            table.writerow([name, number % 90, label, f"site {number % 7}", f"no change since {number}"])


def write_parquet(root: Path, count: int, side: int) -> None:
    """Write one Parquet file, all of it in one row group, as pyarrow does by default."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    root.mkdir()
    names, labels, data = zip(*pictures(count, side), strict=True)
    images = [{"bytes": item, "path": name} for name, item in zip(names, data, strict=True)]
    pq.write_table(pa.table({"image": images, "label": list(labels)}), root / "train.parquet")


def write_saved(root: Path, count: int, side: int) -> None:
    """Write a data set as `save_to_disk` does."""
    import datasets

    names, labels, data = zip(*pictures(count, side), strict=True)
    images = [{"bytes": item, "path": name} for name, item in zip(names, data, strict=True)]
    train = datasets.Dataset.from_dict({"image": images, "label": list(labels)})
    datasets.DatasetDict({"train": train.cast_column("image", datasets.Image())}).save_to_disk(root)


FORMS: dict[str, Callable[[Path, int, int], None]] = {
    "folders": write_folders,
    "table": write_table,
    "parquet": write_parquet,
    "saved": write_saved,
}


def inspect_alone(root: Path) -> None:
    """Inspect in this process and print seconds and peak memory in MB."""
    from tckr.cli.inspect import inspected
    from tckr.stages.prepare.config import PrepareConfig

    begin = time.perf_counter()
    inspected(PrepareConfig(source=str(root)), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.perf_counter() - begin:.1f} {peak:.1f}")


def measured(form: str, count: int, side: int) -> tuple[float, float]:
    """Return seconds and peak memory in MB for a data set of this form, in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        write = [sys.executable, __file__, "--write", form, str(count), str(side), str(root)]
        subprocess.run(write, check=True)  # in a process of its own: a child's peak begins with its parent's
        done = subprocess.run(
            [sys.executable, __file__, "--alone", str(root)], stdout=subprocess.PIPE, text=True, check=True
        )
        seconds, peak = map(float, done.stdout.split())
        return seconds, peak


def main() -> None:
    """Print a line for each form and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--forms", choices=FORMS, nargs="+", default=["folders", "table", "parquet"])
    parser.add_argument("--side", type=int, default=16, help="of a picture in px")
    parser.add_argument("--share", type=float, default=0.05, help="by which the peak may grow")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        return inspect_alone(arguments.alone)
    if arguments.write:
        form, count, side, root = arguments.write
        return FORMS[form](Path(root), int(count), int(side))
    grown = []
    print(f"{'form':>10} {'pictures':>10} {'seconds':>8} {'peak MB':>8} {'more':>8}")
    for form in arguments.forms:
        first = 0.0
        for count in sorted(arguments.counts):
            seconds, peak = measured(form, count, arguments.side)
            first = first or peak
            print(f"{form:>10} {count:>10,} {seconds:>8.1f} {peak:>8.1f} {peak / first - 1:>+8.1%}", flush=True)
        if peak > (1 + arguments.share) * first:
            grown.append(form)
    if grown:
        sys.exit(f"memory grows by over {arguments.share:.0%} with the number of pictures: {', '.join(grown)}")
    return None


if __name__ == "__main__":
    main()
