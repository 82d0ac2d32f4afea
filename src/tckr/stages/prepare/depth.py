"""Find the range of grey values that 16-bit pictures use; many medical ones hold 12 bits and come out dark. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tckr.stages.prepare.staging import Staged

MOST_SHARE = 0.5
"""Of the range of 16 bits; pictures that stay below come out at less than half of their brightness."""


def describe_unused_range(records: Sequence[Staged]) -> str:
    """Return the range that the 16-bit grey pictures use, where it is a small part of 16 bits; else an empty text."""
    peaks = [record.peak for record in records if record.peak]
    if not peaks or max(peaks) > MOST_SHARE * 65_535:
        return ""
    return (
        f"{len(peaks):,} grey pictures of 16 bits use the values 0 to {max(peaks):,} of 0 to 65,535 "
        f"({max(peaks).bit_length()} bits). Their upper 8 bits are kept, so they come out dark: at most {max(peaks) >> 8} "
        "of 255. Scale them to 0 to 65,535, or save them with 8 bits, before"
    )
