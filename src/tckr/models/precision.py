"""Floating-point type of a network's computation. Settings import this module, so torch is imported only where needed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]

NATIVE = ("avx512_bf16", "amx_bf16")
"""CPU instructions that multiply bfloat16; without them it is slower than float32."""


def is_bfloat16(precision: Precision, device: str, *, training: bool = False) -> bool:
    """Return whether to compute in bfloat16 on this device.

    "auto" means bfloat16 on CUDA, and for generation on CPUs that support it. Training a small adapter on a CPU is slower in
    bfloat16, because every pass rounds all weights again for few images (benchmarks/adapt.py --precision bfloat16).
    """
    import torch

    if precision != "auto":
        return precision == "bfloat16"
    made_for_it = device.startswith("cpu") and any(torch.cpu.get_capabilities().get(name) for name in NATIVE)
    return device.startswith("cuda") or (made_for_it and not training)


def forward_precision(*, bfloat16: bool, device: str) -> AbstractContextManager[None]:
    """Compute matrix products and convolutions of a forward pass in bfloat16; sums and losses stay float32."""
    import torch

    return torch.autocast(torch.device(device).type, torch.bfloat16) if bfloat16 else nullcontext()
