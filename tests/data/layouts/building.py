"""Write small data sets whose pictures hold their own class and split in two pixels, so that a wrong reading shows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog", "emu")
SPLITS = ("train", "test")
NUMBER = np.random.default_rng(0)


def picture(kind: str, split: str = "train") -> Image.Image:
    """Return a random 12 x 12 px picture that holds its class and its split."""
    pixels = NUMBER.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    pixels[0, :2] = CLASSES.index(kind), SPLITS.index(split), 77
    pixels[1, :2] = 200
    return Image.fromarray(pixels)


def truth(data: bytes) -> tuple[str, str]:
    """Return the class and the split that a picture holds."""
    with Image.open(io.BytesIO(data)) as image:
        first = np.asarray(image.convert("RGB"))[0, 0]
    return CLASSES[first[0]], SPLITS[first[1]]


def put(path: Path, kind: str, split: str = "train") -> Path:
    """Write a picture as PNG, whatever its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(kind, split).save(path, format="PNG")
    return path


def mask(path: Path, values: Sequence[int] = (0, 255)) -> Path:
    """Write a mask of these values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.array(values, np.uint8)[NUMBER.integers(0, len(values), (12, 12))]
    Image.fromarray(pixels).save(path, format="PNG")
    return path


def folders(root: Path, count: int = 6, split: str = "train", names: Sequence[str] = ("cat", "dog")) -> Path:
    """Write `root/cat/000.png`... and the same of a dog; other folder names for the two may be given."""
    for kind, name in zip(CLASSES, names, strict=False):
        for number in range(count):
            put(root / name / f"{number:03}.png", kind, split)
    return root


def splits(root: Path, train: str = "train", test: str = "test") -> Path:
    """Write class folders in folders of splits: 12 training and 6 test pictures."""
    folders(root / train)
    folders(root / test, 3, "test")
    return root


def flat(root: Path, count: int = 12, split: str = "train", name: str = "{:03}.png") -> list[tuple[str, str]]:
    """Write pictures of cats and dogs in turn directly into `root`; return (name, class) of each."""
    rows = [(name.format(number), CLASSES[number % 2]) for number in range(count)]
    for file, kind in rows:
        put(root / file, kind, split)
    return rows


def table(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], separator: str = ",", encoding: str = "utf-8"
) -> Path:
    """Write a table as separated text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([header, *rows])
    return path


def json_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write one object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Read:
    """The layout is understood: pictures of each use, the class names, and words that the description holds."""

    train: int = 12
    test: int = 0
    classes: tuple[str, ...] = ("cat", "dog")
    said: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """Reasons in rejected.csv."""
    rename: dict[str, str] | None = None
    """Class name of the source -> true class, where the source uses codes."""


@dataclass(frozen=True)
class Refused:
    """The run stops; the sentence matches."""

    sentence: str


@dataclass(frozen=True)
class Case:
    """A layout: name, what it looks like, how it is built, settings, outcome."""

    name: str
    looks: str
    build: Callable[[Path], object]
    outcome: Read | Refused
    settings: dict[str, str] | None = None
