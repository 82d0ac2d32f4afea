"""Ways to run out of room: a small file system, and a limit on the size of files that works for everybody."""

from __future__ import annotations

import gc
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Yield an empty file system in memory at `folder`; skip the test where this user may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # lazy: maps of its files may still be open


@contextmanager
def filled(folder: Path, left: int) -> Iterator[None]:
    """Fill the file system of `folder` until about `left` bytes are free; free them at the end of the block."""
    gc.collect()  # removed files that an earlier attempt still maps would give their room back later
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    with ballast.open("r+b") as file:
        file.truncate(max(0, ballast.stat().st_size - left))
    yield
    ballast.unlink()


@contextmanager
def limited(num_bytes: int) -> Iterator[None]:
    """Let this process, and those that it starts, write no file beyond `num_bytes` until the block ends."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
