"""Measure time and peak memory of a block of code in this process, summed over attempts."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tckr.disk import write_whole
from tckr.errors import UserError


@dataclass
class Usage:
    """Resources that a block used: wall-clock seconds, and the peak resident memory of the process in MB (10^6 bytes)."""

    seconds: float = 0.0
    peak_memory_mb: float = 0.0


@contextmanager
def measured(record: Path) -> Iterator[Usage]:
    """Yield a `Usage` that is filled when the block ends: seconds of all attempts, and the largest peak.

    An attempt that ends with an error stores its usage in the file `record` for the next attempt. The usage of a killed
    attempt is unknown and not counted. Linux lets a process reset its peak; on other systems the peak since the start of the
    process is returned.
    """
    usage = Usage(**json.loads(record.read_text(encoding="utf-8"))) if record.exists() else Usage()
    _reset_peak()
    start = time.perf_counter()
    try:
        yield usage
    except BaseException:
        _add(usage, start)
        with suppress(UserError):  # e.g. a full disk; the error that ended the block is reported instead
            _write(record, usage)
        raise
    _add(usage, start)


def _add(usage: Usage, start: float) -> None:
    usage.seconds += time.perf_counter() - start
    usage.peak_memory_mb = max(usage.peak_memory_mb, _peak_bytes() / 1e6)


def _write(record: Path, usage: Usage) -> None:
    write_whole(record, lambda partial: partial.write_text(json.dumps(asdict(usage)), encoding="utf-8"))


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
