"""Compute the unpacked size of the pages of a Parquet file from the header of each page.

A reader allocates the size in the header before it unpacks a page, and a page that unpacks to more is an error. The sums in
the footer are not reliable, because a file can state any number there.

A header is a struct of Thrift's compact protocol (parquet-format, `PageHeader`). It is parsed as Arrow does, with integers
that wrap around and skipped fields, so that both always read the same values from a header.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

UNCOMPRESSED, COMPRESSED = 2, 3
"""Numbers of the fields of a header: bytes of the page in memory and on disk."""

TRUE, FALSE, BYTE, INT16, INT32, INT64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
"""Types of the compact protocol."""

LENGTHS = {BYTE: 1, DOUBLE: 8, UUID: 16}
MOST_NESTED = 64
MOST_HEADER = 16 * 2**20
"""Limit in Arrow."""


class _MalformedError(Exception):
    pass


def unpacked_bytes(file: BinaryIO, start: int, length: int) -> int:
    """Return the unpacked bytes of the pages from `start` to `start + length`, up to a malformed header."""
    return sum(_page_sizes(file, start, start + length))


def _page_sizes(file: BinaryIO, start: int, end: int) -> Iterator[int]:
    file.seek(max(0, start))
    while file.tell() < end:
        try:
            sizes = dict(_fields(file))
        except _MalformedError:
            return
        if min(sizes.get(UNCOMPRESSED, -1), sizes.get(COMPRESSED, -1)) < 0:
            return
        yield sizes[UNCOMPRESSED]
        file.seek(sizes[COMPRESSED], 1)


def _fields(file: BinaryIO, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Yield number and value of the 32-bit fields of a struct."""
    if depth > MOST_NESTED:
        raise _MalformedError
    number = 0
    while head := _byte(file):
        number = _wrapped(number + (head >> 4) if head >> 4 else _signed(file, 16), 16)
        kind = head & 15
        if kind == INT32:
            yield number, _signed(file, 32)
        elif kind not in (TRUE, FALSE):  # their value is in the type
            _skip(file, kind, depth)


def _skip(file: BinaryIO, kind: int, depth: int) -> None:
    """Skip a value."""
    if kind in (INT16, INT32, INT64):
        _unsigned(file)
    elif kind in LENGTHS or kind in (TRUE, FALSE, BINARY):
        _read(file, _unsigned(file) if kind == BINARY else LENGTHS.get(kind, 1))
    elif kind in (LIST, SET):
        head = _byte(file)
        _skip_all(file, [head & 15], head >> 4 if head >> 4 < 15 else _unsigned(file), depth + 1)
    elif kind == MAP:
        if length := _unsigned(file):
            kinds = _byte(file)
            _skip_all(file, [kinds >> 4, kinds & 15], length, depth + 1)
    elif kind == STRUCT:
        for _ in _fields(file, depth + 1):
            pass
    else:
        raise _MalformedError


def _skip_all(file: BinaryIO, kinds: list[int], length: int, depth: int) -> None:
    if depth > MOST_NESTED:
        raise _MalformedError
    for _ in range(length):
        for kind in kinds:
            _skip(file, kind, depth)


def _signed(file: BinaryIO, bits: int) -> int:
    number = _unsigned(file) % 2**32
    return _wrapped((number >> 1) ^ -(number & 1), bits)


def _wrapped(number: int, bits: int) -> int:
    return (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def _unsigned(file: BinaryIO) -> int:
    number = 0
    for shift in range(0, 70, 7):
        byte = _byte(file)
        number |= (byte & 127) << shift
        if byte < 128:
            return number
    raise _MalformedError


def _byte(file: BinaryIO) -> int:
    return _read(file, 1)[0]


def _read(file: BinaryIO, length: int) -> bytes:
    """Return the next bytes; raise an error if the value is longer than a header may be."""
    read = file.read(length) if length <= MOST_HEADER else b""
    if len(read) < length:
        raise _MalformedError
    return read
