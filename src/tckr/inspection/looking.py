"""Decode every picture of a source once. About 20 bytes for each, and a few thumbnails for each class, stay in memory."""

from __future__ import annotations

import re
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
"""Number of classes in the contact sheet: the first ones."""

WAITING = 4
"""Images read ahead per thread."""

_NUMBERED = re.compile(
    r"(?:^|[^a-z])(?:patient|pat|subject|subj|sub|case|person|donor|slide|study|specimen|animal|part)[-_ ]?(\d+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Picture:
    """A picture as `prepare` would store it, with the hash of its appearance (`tckr.data.alike`)."""

    image: NormalisedImage
    look: int


@dataclass
class Seen:
    """Statistics of the images.

    Attributes:
        most: maximum number of pictures. Arrays are created for this number, because growing ones fragment memory.
        files: name of each usable picture.
        labels: int32 [most], label of each.
        tests: bool [most], whether it belongs to the test split.
        hashes: uint64 [most, 2], the halves of each hash (`tckr.data.alike`); alike pictures have alike hashes.
        sizes: (width, height) in px -> number of pictures.
        rules: rule by which `prepare` will change a picture -> number of pictures.
        refused: reason -> number of pictures.
        deep: statistics of grey pictures with more than 8 bits.
        black: number of pictures that would be black.
        thumbnails: label -> uint8 pictures.
        patients: digests of the patient ids in DICOM files.
        people: uint64 [most], number of the patient or part in each file name; 0 if there is none.
    """

    most: int
    files: StoredList[str] = field(default_factory=StoredList)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    deep: DeepValues = field(default_factory=DeepValues)
    black: int = 0
    thumbnails: dict[int, list[np.ndarray]] = field(default_factory=dict)
    patients: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Create the arrays."""
        self.labels, self.tests = np.zeros(self.most, np.int32), np.zeros(self.most, np.bool_)
        self.hashes, self.people = np.zeros((self.most, 2), np.uint64), np.zeros(self.most, np.uint64)

    def add(self, record: SourceRecord, picture: Picture) -> None:
        """Count a usable picture."""
        image, number = picture.image, len(self.files)
        self.files.append(record.file)
        self.labels[number] = record.label
        self.tests[number] = record.origin == TEST
        self.hashes[number] = halves_of(picture.look)
        self.people[number] = _person_in(record.file)
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


def _person_in(file: str) -> int:
    """Return the number of a patient or part in a file name, prefixed with 1, so that 07 is not 7; 0 if there is none."""
    found = _NUMBERED.search(file)
    return int(f"1{found[1][-18:]}") if found else 0


def look_at(
    source: Source, *, max_pixels: int, treatment: Treatment, num_threads: int, advance: Callable[[int], None]
) -> Seen:
    """Decode every image of `source` once, as `prepare` would, a few at a time, and return the statistics."""
    seen = Seen(len(source))
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
    """Return the picture as a thumbnail, or the reason why it is refused."""
    if record.reason:
        return record.reason
    try:
        image = normalise_image(record.data, record.file, THUMBNAIL_PX, max_pixels, treatment)
        return Picture(image, hash_of(image.pixels, image.size))
    except RejectedImageError as error:
        return error.reason
