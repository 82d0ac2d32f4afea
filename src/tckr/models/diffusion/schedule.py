"""The denoising steps of a generator: their number, their solver and their noise levels. Imports no torch."""

from __future__ import annotations

from typing import Literal, NamedTuple

Solver = Literal["default", "dpm++", "unipc", "euler", "lcm"]
Spacing = Literal["default", "quadratic"]


class Schedule(NamedTuple):
    """Steps per image, solver, and spacing of the noise levels; "default" is that of the checkpoint."""

    steps: int
    solver: Solver
    spacing: Spacing


# The steps that `auto` stands for are not in the fingerprint of `generate`: a change of them raises GenerateConfig.version.

EMBEDDED = Schedule(steps=6, solver="unipc", spacing="quadratic")
"""For the embedded generator (benchmarks/README.md, "Quality per second")."""

PUBLISHED = Schedule(steps=20, solver="default", spacing="default")
"""For every other generator, as in the paper."""
