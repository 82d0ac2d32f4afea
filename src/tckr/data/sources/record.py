"""What every source yields. A source decodes nothing and refuses nothing but what only it can see."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tckr.data.layouts.description import Layout

TRAIN = "train"
TEST = "test"


@dataclass(frozen=True, kw_only=True)
class SourceRecord:
    """One labelled image as it was found, or the reason why it is none.

    Attributes:
        file: name in rejected.csv: a relative path, or a table and row.
        origin: `train` or `test`, the source's own split; `train` where it has none.
        label: index into the source's class names.
        data: the encoded image.
        reason: key of `tckr.data.rejections.REASONS`, empty for a record that may be decoded.
        detail: what was found.
        rules: keys of `tckr.data.rejections.RULES` that the source applied.
        group: what names its group (patient, part); empty = it is a group of its own.
        caption: the text that the data set itself gives the picture; None where it gives none.
    """

    file: str
    origin: str = TRAIN
    label: int = -1
    data: bytes = b""
    reason: str = ""
    detail: str = ""
    rules: tuple[str, ...] = ()
    group: str = ""
    caption: str | None = None


def printable(name: str) -> str:
    """Return `name` with bytes that are no UTF-8 (lone surrogates in Python) written as escapes."""
    if name.isascii():
        return name  # the same object: of a large source, names are held once
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a surrogate pair, from a JSON file
        return name.encode("utf-8", "backslashreplace").decode()


class Source(Protocol):
    """A data set that can be read more than once, always in the same order."""

    @property
    def name(self) -> str:
        """Return a short name for the data card."""
        ...

    @property
    def class_names(self) -> Sequence[str]:
        """Return the class names as the source writes them; index = `SourceRecord.label`."""
        ...

    @property
    def layout(self) -> Layout:
        """Return how the source was understood, without decoding a picture."""
        ...

    def __len__(self) -> int:
        """Return how many records `records()` yields."""
        ...

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield record number `start` and all after it, holding O(batch) of them."""
        ...
