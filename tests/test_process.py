"""Memory that was freed is used again: the system clears no page twice."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
import torch
from tckr.process import set_up_process

if sys.argv[1] == "set up":
    set_up_process(1)
block = torch.ones(7 * 2**20)  # 28 MB: 7,168 pages
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = torch.ones(6 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_used_again() -> None:
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", PAGES, how], check=True, capture_output=True, text=True).stdout)

    assert faults("set up") < 100
    assert faults("as it is") > 6000
