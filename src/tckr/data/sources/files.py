"""Read a file of the source."""

from __future__ import annotations

from pathlib import Path


def read_file(path: Path, max_file_bytes: int) -> tuple[bytes, str, str]:
    """Return (content, reason, detail); the reason is empty when the file could be read."""
    try:
        size = path.stat().st_size
        if size > max_file_bytes:
            return b"", "file_too_large", f"{size} bytes; at most {max_file_bytes}"
        return path.read_bytes(), "", ""
    except OSError as error:
        return b"", "unreadable", error.strerror or type(error).__name__
