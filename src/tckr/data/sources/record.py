"""Records of a source. A source does not decode images, and rejects only what no later step can detect."""

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
    """One labelled image as found, or the reason why it is rejected.

    Attributes:
        file: name in rejected.csv: a relative path, or a table and row.
        origin: `train` or `test`, the source's split; `train` if it has none.
        label: index into the source's class names.
        data: the encoded image.
        reason: key of `tckr.data.rejections.REASONS`, empty for a record that may be decoded.
        detail: details of the finding.
        rules: keys of `tckr.data.rejections.RULES` that the source applied.
        group: name of the group (patient, part); empty = no group.
        caption: text about the image in the data set; None if there is none.
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
    """Return `name` with bytes that are not UTF-8 (lone surrogates in Python) written as escapes."""
    if name.isascii():
        return name  # the same object, so that names of a large source are stored once
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a surrogate pair, possible in JSON
        return name.encode("utf-8", "backslashreplace").decode()


class Source(Protocol):
    """A data set that can be read more than once, always in the same order."""

    @property
    def name(self) -> str:
        """Return a short name for the data card."""
        ...

    @property
    def class_names(self) -> Sequence[str]:
        """Return the class names as written in the source; index = `SourceRecord.label`."""
        ...

    @property
    def layout(self) -> Layout:
        """Return how the source is read, without decoding an image."""
        ...

    def __len__(self) -> int:
        """Return the number of records that `records()` yields."""
        ...

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield record number `start` and all later ones; only a batch of them is in memory."""
        ...
