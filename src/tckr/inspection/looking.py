"""Read every image of a source once; keep statistics of each and a few thumbnails of each class."""

from __future__ import annotations

import re
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from tckr.data.alike import halves_of, hash_of
from tckr.data.normalise import NormalisedImage, RejectedImageError, normalise_image, strict_pillow
from tckr.data.sources.record import Source, SourceRecord
from tckr.data.treatment import Treatment

THUMBNAIL_PX = 64
MOST_THUMBNAILS = 6
"""Number of thumbnails of a class."""

WAITING = 4
"""Images read ahead per thread."""

_NUMBERED = re.compile(
    r"(?:^|[^a-z])(?:patient|pat|subject|subj|sub|case|person|donor|slide|study|specimen|animal|part)[-_ ]?(\d+)",
    re.IGNORECASE,
)


@dataclass
class Seen:
    """Statistics of the images.

    Attributes:
        origins, labels: of each usable image.
        hashes: two halves of each perceptual hash (`tckr.data.alike`); similar images have similar hashes.
        files: name of each image.
        sizes: (width, height) in px -> number of images.
        rules: normalisation rule of `prepare` -> number of images.
        refused: reason -> number of images.
        values: of each grey image with more than 8 bits, see `NormalisedImage`.
        black: number of images that are black after normalisation.
        thumbnails: label -> uint8 images.
        patients: digests of the patient ids in DICOM files.
        people: number of a patient or part in file names -> number of images.
    """

    origins: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    files: list[str] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    values: list[tuple[float, ...]] = field(default_factory=list)
    black: int = 0
    thumbnails: dict[int, list[np.ndarray]] = field(default_factory=dict)
    people: Counter[str] = field(default_factory=Counter)
    patients: set[str] = field(default_factory=set)

    def add(self, record: SourceRecord, image: NormalisedImage) -> None:
        """Count a usable image."""
        self.origins.append(record.origin)
        self.labels.append(record.label)
        self.hashes.extend(halves_of(hash_of(image.pixels, image.size)))
        self.files.append(record.file)
        self.sizes[image.size] += 1
        self.rules.update(image.rules)
        if image.values:
            self.values.append(image.values)
        self.black += image.is_black
        if image.group:
            self.patients.add(image.group)
        kept = self.thumbnails.setdefault(record.label, [])
        if len(kept) < MOST_THUMBNAILS:
            kept.append(image.pixels)
        if found := _NUMBERED.search(PurePosixPath(record.file).as_posix()):
            self.people[found[1]] += 1


def look_at(
    source: Source, *, max_pixels: int, treatment: Treatment, num_threads: int, advance: Callable[[int], None]
) -> Seen:
    """Decode every image of `source` once, as `prepare` would, a few at a time, and return the statistics."""
    seen = Seen()
    with strict_pillow(), ThreadPoolExecutor(num_threads) as pool:
        for record, result in _decoded(
            source, pool, WAITING * num_threads, partial(_decode, max_pixels=max_pixels, treatment=treatment)
        ):
            image = result.result()
            if isinstance(image, NormalisedImage):
                seen.add(record, image)
            else:
                seen.refused[image] += 1
            advance(1)
    return seen


def _decoded(
    source: Source, pool: ThreadPoolExecutor, most_waiting: int, decode: Callable[[SourceRecord], NormalisedImage | str]
) -> Iterator[tuple[SourceRecord, Future[NormalisedImage | str]]]:
    waiting: deque[tuple[SourceRecord, Future[NormalisedImage | str]]] = deque()
    for record in source.records():
        waiting.append((record, pool.submit(decode, record)))
        if len(waiting) >= most_waiting:
            yield waiting.popleft()
    yield from waiting


def _decode(record: SourceRecord, max_pixels: int, treatment: Treatment) -> NormalisedImage | str:
    """Return the image as a thumbnail, or the reason why it is rejected."""
    if record.reason:
        return record.reason
    try:
        return normalise_image(record.data, record.file, THUMBNAIL_PX, max_pixels, treatment)
    except RejectedImageError as error:
        return error.reason
