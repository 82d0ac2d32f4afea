"""Read a file of the source."""

from __future__ import annotations

import os


def read_file(path: str, max_file_bytes: int) -> tuple[bytes, str, str]:
    """Return (content, reason, detail); the reason is empty if the file was read.

    The path is text, because pathlib would store every name in a table of the interpreter, which grows.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            if size > max_file_bytes:
                return b"", "file_too_large", f"{size} bytes; at most {max_file_bytes}"
            return file.read(), "", ""
    except OSError as error:
        return b"", "unreadable", error.strerror or type(error).__name__
