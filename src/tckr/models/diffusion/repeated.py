"""Compute repeated work of the sampling steps once per batch, for denoisers without compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch


@contextmanager
def computed_once(layers: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Within the context, each of `layers` returns its last output again if its input is the same tensor.

    For layers with one argument that is never written to, such as the keys and values of cross-attention, whose input is
    only the text. Their outputs stay in memory until the end.
    """
    layers = list(layers)
    for layer in layers:
        layer.forward = _Remembered(layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # removes the attribute of the instance, so the method of its class is used again


@contextmanager
def contiguous_inputs(layers: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Within the context, the input of `layers` is first copied to contiguous memory.

    On a CPU, torch multiplies a non-contiguous [B, N, C] with B copies of the weights.
    """
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),)) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Remembered:
    """A function of one tensor that stores its last argument and result, so that the argument's memory is not reused."""

    def __init__(self, compute: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._compute = compute
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        if self._last is None or not _same(self._last[0], given):
            self._last = (given, self._compute(given))
        return self._last[1]


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether both are views of the same memory; pipelines make new views of the same text."""
    return (
        one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
        and one.dtype == other.dtype
    )
