"""Measure how the time and the peak memory of each stage grow with images, classes and reference runs.

    python benchmarks/growth.py [--axes private synthetic classes references] [--json FILE]

Each axis changes one number three times and leaves all others alone: 1, 4 and 16 times the private images, 1, 4 and 16 times
the synthetic images, 2, 20 and 200 classes of equally many images, 8, 24 and 64 reference runs, which repeat the Teacher.
A run is the complete pipeline with the embedded models, small settings and one thread, in a process of its own.

Seconds are CPU seconds of all steps of a stage, so that other programs change them little. The exponent is that of a power
of the number beside a constant, `seconds = a + b * number ** exponent`, through the three points; `-` where less than half a
second was added. Memory is the largest peak of a step. A row is marked where the exponent is over 1.25, or where memory grew
by over a tenth; then the program ends with status 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SETTINGS = (
    *("prepare.layout=class_folders", "adapt.steps=4", "generate.steps=2", "generate.guidance_scale=1"),
    *("teach.epochs=1", "distill.epochs=1", "audit.shift=0", "audit.loss_draws=1", "audit.images_alone=false"),
    *("execution.workers=1", "execution.threads=1"),
)
MOST_EXPONENT, MOST_GROWTH, LEAST_SECONDS = 1.25, 1.1, 0.5


@dataclass(frozen=True, kw_only=True)
class Size:
    """A run: private images, synthetic images of each class, classes, reference runs and what these repeat."""

    private: int = 160
    per_class: int = 20
    classes: int = 6
    references: int = 2
    depth: str = "distill"


AXES = {
    "private": {count: Size(private=count) for count in (160, 640, 2560)},
    "synthetic": {6 * count: Size(per_class=count) for count in (20, 80, 320)},
    "classes": {count: Size(private=2000, per_class=400 // count, classes=count) for count in (2, 20, 200)},
    "references": {count: Size(references=count, depth="teacher") for count in (8, 24, 64)},
}


@dataclass(frozen=True)
class Row:
    """What a stage took on an axis: numbers, CPU seconds and MB at each of them, and the exponent of the seconds."""

    axis: str
    stage: str
    numbers: Sequence[int]
    seconds: Sequence[float]
    megabytes: Sequence[float]
    exponent: float | None

    @property
    def remarks(self) -> str:
        """Return what is worse than it should be."""
        slow = self.exponent is not None and self.exponent > MOST_EXPONENT
        large = max(self.megabytes) > MOST_GROWTH * self.megabytes[0]
        return ", ".join(text for text, said in (("time", slow), ("memory", large)) if said)


def class_name(label: int) -> str:
    """Return the name of a class."""
    return f"kind{label:03}"


def write_pictures(root: Path, size: Size) -> None:
    """Write noisy pictures of one colour for each class."""
    generator = np.random.default_rng(0)
    colours = generator.integers(60, 196, (size.classes, 3))
    for number in range(size.private):
        label = number % size.classes
        folder = root / class_name(label)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(colours[label] + generator.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06}.png")


def run_alone(source: Path, output: Path, size: Size) -> None:
    """Run the pipeline in this process and print stage -> (CPU seconds, MB) as JSON."""
    from tckr.config import load_settings
    from tckr.engine.observer import Silent
    from tckr.running import run

    stages: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    class Watch(Silent):
        """Give the CPU seconds since the last step ended to the one that ends: only one is at work at a time."""

        before = time.process_time()

        def finished(self, step: Any, manifest: dict[str, Any], reused: bool) -> None:
            now = time.process_time()
            seconds, peak = stages[step.stage]
            stages[step.stage] = [seconds + now - self.before, max(peak, manifest["peak_memory_mb"])]
            self.before = now

    each = {class_name(label): size.per_class for label in range(size.classes)}
    own = (
        *(f"prepare.source={source}", f"execution.output={output}", f"generate.per_class={json.dumps(each)}"),
        *(f"audit.num_reference_runs={size.references}", f"audit.depth={size.depth}"),
    )
    run(load_settings(overrides=[*SETTINGS, *own]), observer=Watch())
    print(json.dumps(stages))


def measured(size: Size) -> dict[str, list[float]]:
    """Return stage -> (CPU seconds, MB) of a run in a separate process."""
    with tempfile.TemporaryDirectory(prefix="tckr-growth-") as folder:
        write_pictures(Path(folder) / "data", size)
        command = [sys.executable, __file__, "--alone", folder, json.dumps(asdict(size))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


def exponent(numbers: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Return the p of `a + b * number ** p` through three points; None where it is flat or no power fits."""
    first, middle, last = seconds
    if last - first < LEAST_SECONDS or middle <= first:
        return None
    wanted, low, high = (last - first) / (middle - first), 0.01, 8.0
    for _ in range(60):
        power = (low + high) / 2
        one, two, three = (float(number) ** power for number in numbers)
        low, high = (power, high) if (three - one) / (two - one) < wanted else (low, power)
    return power


def rows_of(axis: str) -> list[Row]:
    """Measure an axis; print each run with its stages, so that an interrupted call has said what it found."""
    found = {}
    for number, size in AXES[axis].items():
        began = time.perf_counter()
        found[number] = measured(size)
        taken = "  ".join(f"{stage} {seconds:.1f} s {peak:.0f} MB" for stage, (seconds, peak) in found[number].items())
        print(f"{axis} {number:,}: {time.perf_counter() - began:.0f} s; CPU: {taken}", file=sys.stderr, flush=True)
    rows = []
    for stage in next(iter(found.values())):
        seconds, megabytes = zip(*(stages[stage] for stages in found.values()), strict=True)
        rows.append(Row(axis, stage, list(found), seconds, megabytes, exponent(list(found), seconds)))
    return rows


def print_row(row: Row) -> None:
    """Print a line of the table."""
    seconds, megabytes = ("".join(f"{value:>9,.1f}" for value in values) for values in (row.seconds, row.megabytes))
    power = "-" if row.exponent is None else f"{row.exponent:.2f}"
    print(f"{row.axis:11}{row.stage:9}{seconds}{power:>7} {megabytes}  {row.remarks}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", choices=AXES, nargs="+", default=list(AXES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        folder = Path(arguments.alone[0])
        return run_alone(folder / "data", folder / "runs", Size(**json.loads(arguments.alone[1])))
    rows = []
    for axis in arguments.axes:
        found = rows_of(axis)
        print(f"{axis} = {', '.join(f'{number:,}' for number in found[0].numbers)}: seconds, exponent, MB")
        for row in found:
            print_row(row)
        rows += found
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    sys.exit(int(any(row.remarks for row in rows)))


if __name__ == "__main__":
    main()
