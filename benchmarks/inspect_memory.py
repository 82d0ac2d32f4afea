"""Measure time and peak memory of `tckr inspect` on folders of tiny pictures.

    python benchmarks/inspect_memory.py [--counts 1000 10000 100000] [--side 16]

Each count is a folder of its own with ten classes, and a process of its own. Memory should not grow with the number of
pictures but for what is held of each: its name, label and hash.
"""

from __future__ import annotations

import argparse
import io
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

NUM_CLASSES = 10


def write_pictures(root: Path, count: int, side: int) -> None:
    """Write `count` different pictures into class folders."""
    generator = np.random.default_rng(0)
    for label in range(NUM_CLASSES):
        (root / f"class{label}").mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
        (root / f"class{number % NUM_CLASSES}" / f"patient{number // 20:05}_{number % 20:02}.png").write_bytes(
            buffer.getvalue()
        )


def inspect_alone(root: Path) -> None:
    """Inspect in this process and print seconds and peak memory in MB."""
    from tckr.cli.inspect import inspected
    from tckr.stages.prepare.config import PrepareConfig

    begin = time.perf_counter()
    inspected(PrepareConfig(source=str(root)), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.perf_counter() - begin:.1f} {peak:.0f}")


def main() -> None:
    """Print a line for each count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--side", type=int, default=16, help="of a picture in px")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        inspect_alone(arguments.alone)
        return
    print(f"{'pictures':>10} {'seconds':>8} {'peak MB':>8}")
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            write_pictures(Path(folder) / "data", count, arguments.side)
            command = [sys.executable, __file__, "--alone", str(Path(folder) / "data")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, peak = done.stdout.split()
            print(f"{count:>10,} {seconds:>8} {peak:>8}", flush=True)


if __name__ == "__main__":
    main()
