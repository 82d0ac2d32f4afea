"""What `tckr inspect` holds of each picture does not depend on how many there are: some bytes, in every form of data."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tckr.data.alike import difference_hash, find_alike
from tckr.data.normalise import NormalisedImage
from tckr.data.sources.opening import open_source
from tckr.data.sources.record import Source, SourceRecord
from tckr.inspection.looking import Picture, Seen

FEW, MANY = 2_000, 6_000
NUM_CLASSES = 30
MOST_BYTES = 60
"""Of each picture: its name, once, while folders are listed, or else its hash."""


def write_folders(root: Path, count: int) -> None:
    """Write empty files into class folders, as a listing needs no more."""
    for label in range(NUM_CLASSES):
        (root / f"class{label}").mkdir(parents=True)
    for number in range(count):
        (root / f"class{number % NUM_CLASSES}" / f"patient_{number:08}.png").touch()


def write_table(root: Path, count: int) -> None:
    """Write empty files into folders by number, and a table of their labels."""
    with (root.mkdir() or root / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "label", "patient", "text"])
        for number in range(count):
            folder = root / f"images_{number // 500}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number:08}.png").touch()
            table.writerow([f"{number:08}.png", f"class{number % NUM_CLASSES}", number // 9, f"picture number {number}"])


def read_all(source: Source) -> None:
    """Do what `tckr inspect` does, without decoding."""
    assert sum(1 for _ in source.records()) >= FEW
    assert len(source.layout.classes) == NUM_CLASSES


def growth(action: Callable[[int], object]) -> float:
    """Return by how many bytes for each picture the most that Python holds at a time during `action` grows."""
    action(FEW)  # imports
    peaks = []
    for count in (FEW, MANY):
        tracemalloc.start()
        try:
            action(count)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (MANY - FEW)


@pytest.mark.parametrize("write", [write_folders, write_table])
def test_a_listing_does_not_grow_with_the_pictures(write: Callable[[Path, int], None], tmp_path: Path) -> None:
    def read(count: int) -> None:
        read_all(open_source(str(tmp_path / f"{count}"), cache=tmp_path))

    for count in (FEW, MANY):
        write(tmp_path / f"{count}", count)
    assert growth(read) < MOST_BYTES


def test_memory_for_classes_and_alike_pictures_does_not_grow_with_the_pictures() -> None:
    def look(count: int) -> None:
        seen, generator = Seen(count), np.random.default_rng(0)
        for number in range(count):
            pixels = generator.integers(0, 256, (16, 16, 3), np.uint8)
            picture = Picture(NormalisedImage(pixels, (64, 64), ("greyscale",), (0, 9, 9)), difference_hash(pixels))
            seen.add(SourceRecord(file=f"class/patient_{number:08}.png", label=number % NUM_CLASSES), picture)
        assert not len(find_alike(seen.hashes))

    assert growth(look) < MOST_BYTES
