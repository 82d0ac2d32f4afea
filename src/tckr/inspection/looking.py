"""Look at every picture of a source once; holds some 20 bytes for each and a few thumbnails for each class."""

from __future__ import annotations

import re
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tckr.data.alike import halves_of, hash_of
from tckr.data.intensity import DeepValues
from tckr.data.normalise import NormalisedImage, RejectedImageError, normalise_image, strict_pillow
from tckr.data.sources.record import TEST, Source, SourceRecord
from tckr.data.stored import StoredList
from tckr.data.treatment import Treatment

THUMBNAIL_PX = 64
MOST_THUMBNAILS = 6
"""Number of thumbnails of a class."""

MOST_CLASSES = 40
"""Rows of the contact sheet: those of the first classes."""

WAITING = 4
"""Images read ahead per thread."""

_NUMBERED = re.compile(
    r"(?:^|[^a-z])(?:patient|pat|subject|subj|sub|case|person|donor|slide|study|specimen|animal|part)[-_ ]?(\d+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Picture:
    """A picture as `prepare` would have it, and the hash of what it looks like (`tckr.data.alike`)."""

    image: NormalisedImage
    look: int


@dataclass
class Seen:
    """Statistics of the images.

    Attributes:
        files: name of each usable picture.
        labels: of each.
        tests: 1 for each of the test split, else 0.
        hashes: two halves of each (`tckr.data.alike`); alike pictures have alike hashes.
        sizes: (width, height) in px -> pictures.
        rules: what `prepare` will change -> pictures.
        refused: reason -> pictures.
        deep: what grey pictures of more than 8 bits hold.
        black: pictures that show nothing.
        thumbnails: label -> uint8 pictures.
        patients: digests of the patient ids in DICOM files.
        people: numbers of patients or parts that file names give, as `_number_in` writes them, one for each picture.
    """

    files: StoredList[str] = field(default_factory=StoredList)
    labels: array[int] = field(default_factory=lambda: array("i"))
    tests: bytearray = field(default_factory=bytearray)
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    deep: DeepValues = field(default_factory=DeepValues)
    black: int = 0
    thumbnails: dict[int, list[np.ndarray]] = field(default_factory=dict)
    people: array[int] = field(default_factory=lambda: array("Q"))
    patients: set[str] = field(default_factory=set)

    def add(self, record: SourceRecord, picture: Picture) -> None:
        """Count a usable picture."""
        image = picture.image
        self.files.append(record.file)
        self.labels.append(record.label)
        self.tests.append(record.origin == TEST)
        self.hashes.extend(halves_of(picture.look))
        self.sizes[image.size] += 1
        self.rules.update(image.rules)
        if image.values:
            self.deep.add(image.values)
        self.black += image.is_black
        if image.group:
            self.patients.add(image.group)
        kept = self.thumbnails.setdefault(record.label, [])
        if len(kept) < MOST_THUMBNAILS:
            kept.append(image.pixels)
        if len(self.thumbnails) > MOST_CLASSES:
            del self.thumbnails[max(self.thumbnails)]
        if found := _NUMBERED.search(record.file):
            self.people.append(_number_in(found[1]))


def _number_in(digits: str) -> int:
    """Return `digits` as a number of 64 bits; the first digit keeps 07 and 7 apart."""
    return int(f"1{digits[-18:]}")


def look_at(
    source: Source, *, max_pixels: int, treatment: Treatment, num_threads: int, advance: Callable[[int], None]
) -> Seen:
    """Decode every image of `source` once, as `prepare` would, a few at a time, and return the statistics."""
    seen = Seen()
    with strict_pillow(), ThreadPoolExecutor(num_threads) as pool:
        for record, result in _decoded(
            source, pool, WAITING * num_threads, partial(_decode, max_pixels=max_pixels, treatment=treatment)
        ):
            found = result.result()
            if isinstance(found, Picture):
                seen.add(record, found)
            else:
                seen.refused[found] += 1
            advance(1)
    return seen


def _decoded(
    source: Source, pool: ThreadPoolExecutor, most_waiting: int, decode: Callable[[SourceRecord], Picture | str]
) -> Iterator[tuple[SourceRecord, Future[Picture | str]]]:
    waiting: deque[tuple[SourceRecord, Future[Picture | str]]] = deque()
    for record in source.records():
        waiting.append((record, pool.submit(decode, record)))
        if len(waiting) >= most_waiting:
            yield waiting.popleft()
    yield from waiting


def _decode(record: SourceRecord, max_pixels: int, treatment: Treatment) -> Picture | str:
    """Return the picture as a thumbnail, or the reason why it is none."""
    if record.reason:
        return record.reason
    try:
        image = normalise_image(record.data, record.file, THUMBNAIL_PX, max_pixels, treatment)
        return Picture(image, hash_of(image.pixels, image.size))
    except RejectedImageError as error:
        return error.reason
