"""The one pass over the source: normalise every picture into chunks on disk, so that the splits can be drawn knowing all.

A chunk is a blob of PNG files and an index, each written whole; chunks found from an interrupted run are kept.
Memory is O(batch) for pictures; per record only its name, label, hash and place are held.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tckr.data.alike import hash_of
from tckr.data.images import encode_png, has_colour
from tckr.data.normalise import AS_IS, RejectedImageError, normalise_image, strict_pillow
from tckr.data.sources.record import Source, SourceRecord
from tckr.data.treatment import Treatment
from tckr.disk import write_whole

CHUNK_RECORDS = 512
BATCH_RECORDS = 32
BATCH_BYTES = 64 * 2**20
"""Encoded pictures held at once: up to the record that reaches either; decoded ones are as many as threads."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """One record of the source after normalisation, or its rejection.

    Attributes:
        file, origin, label: as the source gave them.
        reason, detail: why it is refused; empty reason = usable.
        sha256: of the normalised RGB pixels; the record's identity from here on.
        chunk, offset, length: where its PNG lies.
        shorter_side: of the source picture in px.
        rules: what changed it.
        values, black: see `NormalisedImage`.
        group: digest of what names its group; empty = it is a group of its own.
        caption: the text that the data set gives it.
        look: hash of what it looks like (`tckr.data.alike`).
        colour: whether its channels differ anywhere.
    """

    file: str
    origin: str
    label: int
    reason: str = ""
    detail: str = ""
    sha256: str = ""
    chunk: int = -1
    offset: int = 0
    length: int = 0
    shorter_side: int = 0
    rules: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    black: bool = False
    group: str = ""
    look: int = 0
    caption: str | None = None
    colour: bool = True


def stage_records(
    source: Source,
    folder: Path,
    *,
    image_size: int,
    max_pixels: int,
    treatment: Treatment = AS_IS,
    num_threads: int,
    advance: Callable[[int], None],
) -> list[Staged]:
    """Normalise every record of `source` into `folder` and return them in source order.

    Args:
        source: read once, from the first record that no whole chunk in `folder` covers.
        folder: chunks; the same folder after a kill continues.
        image_size: side of the normalised pictures in px.
        max_pixels: see `normalise_image`.
        treatment: see `normalise_image`.
        num_threads: pictures decoded at a time.
        advance: told how many records are done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staged = _load_whole_chunks(folder)
    advance(len(staged))
    records = source.records(len(staged))
    limits = image_size, max_pixels, treatment
    with strict_pillow(), ThreadPoolExecutor(num_threads) as pool:
        for chunk in itertools.count(len(staged) // CHUNK_RECORDS):
            found = _fill_chunk(itertools.islice(records, CHUNK_RECORDS), folder, chunk, pool, limits)
            staged += found
            advance(len(found))
            if len(found) < CHUNK_RECORDS:
                return staged
    raise AssertionError("count() does not end")


def read_png(folder: Path, record: Staged) -> bytes:
    """Return the PNG of a usable record."""
    assert record.chunk >= 0, record
    with _blob_path(folder, record.chunk).open("rb") as blob:
        blob.seek(record.offset)
        return blob.read(record.length)


def _fill_chunk(
    records: Iterator[SourceRecord], folder: Path, chunk: int, pool: ThreadPoolExecutor, limits: tuple[int, int, Treatment]
) -> list[Staged]:
    found: list[Staged] = []

    def write_blob(partial: Path) -> None:
        with partial.open("wb") as blob:
            while batch := _take_batch(records):
                for staged, png in pool.map(lambda record: _normalise(record, *limits), batch):
                    found.append(replace(staged, chunk=chunk, offset=blob.tell(), length=len(png)) if png else staged)
                    blob.write(png)

    write_whole(_blob_path(folder, chunk), write_blob)
    lines = "".join(json.dumps(asdict(staged)) + "\n" for staged in found)
    write_whole(_index_path(folder, chunk), lambda partial: partial.write_text(lines, encoding="ascii"))
    return found


def _take_batch(records: Iterator[SourceRecord]) -> list[SourceRecord]:
    batch, size = [], 0
    for record in records:
        batch.append(record)
        size += len(record.data)
        if len(batch) >= BATCH_RECORDS or size >= BATCH_BYTES:
            break
    return batch


def _normalise(record: SourceRecord, image_size: int, max_pixels: int, treatment: Treatment) -> tuple[Staged, bytes]:
    staged = Staged(file=record.file, origin=record.origin, label=record.label, reason=record.reason, detail=record.detail)
    if record.caption is not None:  # a half of a surrogate pair, from JSON, is no character
        staged = replace(staged, caption=record.caption.encode("utf-8", "replace").decode())
    if record.reason:
        return staged, b""
    try:
        image = normalise_image(record.data, record.file, image_size, max_pixels, treatment)
    except RejectedImageError as error:
        return replace(staged, reason=error.reason, detail=error.detail), b""
    sha256 = hashlib.sha256(image.pixels.tobytes()).hexdigest()
    rules = (*record.rules, *image.rules)
    usable = replace(
        staged,
        sha256=sha256,
        shorter_side=min(image.size),
        rules=rules,
        values=image.values,
        black=image.is_black,
        group=_digest(record.group) or image.group,
        colour=has_colour(image.pixels),
        look=hash_of(image.pixels, image.size),
    )
    return usable, encode_png(image.pixels)


def _digest(group: str) -> str:
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest() if group else ""


def _load_whole_chunks(folder: Path) -> list[Staged]:
    """Return the records of the leading whole, full chunks; a last partial chunk is made again."""
    staged: list[Staged] = []
    for chunk in itertools.count():
        path = _index_path(folder, chunk)
        lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
        if len(lines) < CHUNK_RECORDS:
            return staged
        staged += [_from_json(line) for line in lines]
    raise AssertionError("count() does not end")


def _from_json(line: str) -> Staged:
    fields = json.loads(line)
    return Staged(**(fields | {name: tuple(fields[name]) for name in ("rules", "values")}))


def _blob_path(folder: Path, chunk: int) -> Path:
    return folder / f"chunk-{chunk:06d}.bin"


def _index_path(folder: Path, chunk: int) -> Path:
    return folder / f"chunk-{chunk:06d}.jsonl"
