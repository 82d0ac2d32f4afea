"""Tar files in the format of `webdataset`: image `000000.png`, class `000000.cls`, the rest in `000000.json`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tckr.releasing.formats.layout import as_json, files_of, soft_columns
from tckr.releasing.rows import Row, Rows


def write_webdataset(rows: Rows, folder: Path) -> None:
    """Write `data/train-*.tar`. Headers contain no user, group or time."""
    for name, images in files_of(rows, ".tar"):
        (folder / name).parent.mkdir(exist_ok=True)
        with tarfile.open(folder / name, "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in images:
                for suffix, content in _members(row, rows.class_names):
                    header = tarfile.TarInfo(f"{row.number:06d}.{suffix}")  # user and group 0 without names, time 0
                    header.size = len(content)
                    tar.addfile(header, io.BytesIO(content))


def _members(row: Row, class_names: list[str]) -> Iterator[tuple[str, bytes]]:
    told = {"label": row.label, "class": class_names[row.label], **soft_columns(row)}
    yield "png", row.png
    yield "cls", str(row.label).encode()
    yield "json", as_json(told).encode()
