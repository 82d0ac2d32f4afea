"""Work that every step of drawing repeats, done once per batch; for denoisers without compilation. Knows no architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch


@contextmanager
def computed_once(layers: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Within, each of `layers` returns its last output when it is given the same tensor again.

    For layers of one argument that nothing writes to, such as the keys and values of cross-attention, which see the text
    alone. What they return stays in memory to the end.
    """
    layers = list(layers)
    for layer in layers:
        layer.forward = _Remembered(layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # of the instance: the method of its class is back


@contextmanager
def contiguous_inputs(layers: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Within, the input of `layers` is copied into its own order first.

    On a CPU, torch multiplies [B, N, C] in another order by B copies of the weights.
    """
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),)) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Remembered:
    """A function of one tensor that keeps its last argument, so that no other tensor can take its place, and result."""

    def __init__(self, compute: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._compute = compute
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        if self._last is None or not _same(self._last[0], given):
            self._last = (given, self._compute(given))
        return self._last[1]


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether both are views of the same numbers: pipelines make new views of the same text."""
    return (
        one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
        and one.dtype == other.dtype
    )
