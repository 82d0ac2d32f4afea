"""The single pass over the source: normalise every image into chunks on disk, so that splits can use all records.

A chunk is a blob of PNG files and an index, each written atomically; chunks of an interrupted run are kept.
Memory for images is O(batch); per record only its name, label, hash and place are kept in memory.
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
"""Maximum encoded images, and bytes, in memory at once; decoded images are as many as threads."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """One record of the source after normalisation, or its rejection.

    Attributes:
        file, origin, label: as the source gave them.
        reason, detail: why it is rejected; empty reason = usable.
        sha256: hash of the normalised RGB pixels; identifies the record from here on.
        chunk, offset, length: position of its PNG.
        shorter_side: of the source image in px.
        rules: normalisation rules that changed it.
        values, black: see `NormalisedImage`.
        group: digest of the name of its group; empty = it has no group.
        caption: its text in the data set.
        look: perceptual hash (`tckr.data.alike`).
        colour: whether its channels differ in any pixel.
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
        source: read once, from the first record after the complete chunks in `folder`.
        folder: for the chunks; after a kill, the same folder continues.
        image_size: side of the normalised images in px.
        max_pixels: see `normalise_image`.
        treatment: see `normalise_image`.
        num_threads: images decoded at a time.
        advance: called with the number of further records done.
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
    if record.caption is not None:  # half of a surrogate pair, possible in JSON, is not a character
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
    """Return the records of the leading complete, full chunks; a last partial chunk is made again."""
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
