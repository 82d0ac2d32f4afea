"""Memory that was freed is used again: the system clears no page twice."""

from __future__ import annotations

import platform
import subprocess
import sys
import warnings

import pytest
import torch

from tckr.process import set_up_process

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


def test_notices_of_torch_that_no_user_can_act_on_are_silenced() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.resetwarnings()
        _hook_without_gradient_of_the_input()
        assert "Full backward hook" in str(shown.pop().message)
        set_up_process(torch.get_num_threads())
        _hook_without_gradient_of_the_input()
        warnings.warn("Mismatch dtype between input and weight: input is bfloat16", stacklevel=1)
        warnings.warn("another", stacklevel=1)
    assert [str(one.message) for one in shown] == ["another"]


def _hook_without_gradient_of_the_input() -> None:
    """Use a hook as Opacus does, on a layer whose input needs no gradient."""
    layer, seen = torch.nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda module, of_input, of_output: seen.append((of_input, of_output)))
    layer(torch.ones(3, 2)).sum().backward()
    assert seen == [((None,), seen[0][1])]
    assert seen[0][1][0].tolist() == [[1.0]] * 3, "the gradient that Opacus uses"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_used_again() -> None:
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", PAGES, how], check=True, capture_output=True, text=True).stdout)

    assert faults("set up") < 100
    assert faults("as it is") > 6000
