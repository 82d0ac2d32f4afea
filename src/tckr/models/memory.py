"""Process as many images at a time as fit into memory: measured on a GPU, halved when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import torch

from tckr.errors import UserError

Result = TypeVar("Result")

NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""Texts of torch's allocators, cuBLAS and cuDNN in a plain RuntimeError."""

SHARE = 0.8
"""Share of the free memory that a batch may take; kernels need workspace that is not visible for other batch sizes."""


class BatchLimit:
    """Number of images per pass of a model: `size` at first, halved each time that memory runs out.

    Splitting a pass differently changes at most the last bits of the results.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def split(self, compute: Callable[[range], Result], count: int) -> Iterator[Result]:
        """Yield `compute(rows)` for consecutive parts of `range(count)`.

        Raises:
            UserError: not even one image fits.
        """
        start = 0
        while start < count:
            rows = range(start, min(start + self.size, count))
            result = self._attempt(compute, rows)
            if result is None:
                self.size = len(rows) // 2
                continue
            yield result
            start = rows.stop

    def _attempt(self, compute: Callable[[range], Result], rows: range) -> Result | None:
        """Return the result; if memory ran out, free the memory of the attempt and return None."""
        try:
            return compute(rows)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            if len(rows) == 1:
                raise UserError(
                    f"memory ran out with one image at a time: {str(error).splitlines()[0]}; close other programs, or use "
                    "a smaller model, a smaller prepare.image_size, or another execution.device"
                ) from error
        free_device_memory()  # after the error and the tensors in its traceback are gone
        return None


def free_device_memory() -> None:
    """Return the GPU memory that torch keeps for later tensors of this process, so that other processes can use it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that no memory was left, on a GPU or in the machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in NO_MEMORY)


def fitting_batch_size(compute: Callable[[int], object], device: str, largest: int) -> int:
    """Return the number of images that fit into the free memory of a CUDA device: a power of two, at most `largest`.

    `compute(n)` runs a pass of n images; small passes give the memory of the model and of each image.
    """
    peaks = {count: _cuda_peak(compute, device, count) for count in (1, 2, 4)}  # the first pass also loads libraries
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return largest_that_fits({count: peaks[count] for count in (2, 4)}, free, largest)


def largest_that_fits(peaks: Mapping[int, int], free: int, largest: int) -> int:
    """Return the largest power of two, at least 1 and at most `largest`, for which memory is within `SHARE` of `free`.

    Args:
        peaks: number of images -> bytes of a pass, for several numbers; memory grows linearly with images.
        free: free bytes.
        largest: maximum number of images.
    """
    (few, less), (many, more) = sorted(peaks.items())
    each = max(1.0, (more - less) / (many - few))
    room = (SHARE * free - (less - few * each)) / each
    size = 1
    while 2 * size <= min(room, largest):
        size *= 2
    return size


def _cuda_peak(compute: Callable[[int], object], device: str, count: int) -> int:
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    compute(count)
    return torch.cuda.max_memory_allocated(device) - before
