"""Images of three prompts from tiny generators, by TCKR and by the plain pipelines of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tckr.models.diffusion.generator import Generator, Sampling
from tests import tiny_generators

SEEDS = [3, 2**63 - 1, 5]
PROMPTS = ["alpha: thin", "beta: round", "gamma"]


def draw(generator: Generator, size: int, rows: slice = slice(None), **changes: Any) -> np.ndarray:
    """Return uint8 [B, size, size, 3]."""
    told, negative = generator.encode_prompts(PROMPTS[rows]), generator.encode_prompts([""])
    settings: dict[str, Any] = {"steps": 3, "guidance_scale": 2.0, "size": size} | changes
    return generator.decode(generator.denoise(told, negative, seeds=SEEDS[rows], sampling=Sampling(**settings)))


def draw_plainly(folder: Path, size: int, guidance_scale: float = 2.0, adapter: Path | None = None) -> np.ndarray:
    """Return the images of the plain pipeline with the settings of `draw`."""
    return tiny_generators.draw_plainly(
        folder, PROMPTS, SEEDS, size=size, steps=3, guidance_scale=guidance_scale, adapter=adapter
    )


def grey_levels_apart(first: np.ndarray, second: np.ndarray) -> int:
    """Return the largest difference of two images or batches."""
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def disturb(parameters: dict[str, torch.nn.Parameter], strength: float = 0.2, seed: int = 0) -> None:
    """Add noise to an adapter, as training would change it."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(strength * torch.randn(parameter.shape, generator=noise))
