"""Images of three prompts from tiny generators, by TCKR and by the plain pipelines of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline

from tckr.models.diffusion.generator import Generator, Sampling
from tckr.models.quiet import quiet_libraries

SEEDS = [3, 2**63 - 1, 5]
PROMPTS = ["alpha: thin", "beta: round", "gamma"]
PLAIN_ARGUMENTS: dict[str, dict[str, Any]] = {
    "SanaPipeline": {"use_resolution_binning": False, "complex_human_instruction": None}
}


def draw(generator: Generator, size: int, rows: slice = slice(None), **changes: Any) -> np.ndarray:
    """Return uint8 [B, size, size, 3]."""
    told, negative = generator.encode_prompts(PROMPTS[rows]), generator.encode_prompts([""])
    settings: dict[str, Any] = {"steps": 3, "guidance_scale": 2.0, "size": size} | changes
    return generator.decode(generator.denoise(told, negative, seeds=SEEDS[rows], sampling=Sampling(**settings)))


def draw_plainly(folder: Path, size: int, guidance_scale: float = 2.0, adapter: Path | None = None) -> np.ndarray:
    """Return what the pipeline in `folder` draws when it is called as its documentation says."""
    with quiet_libraries():
        pipeline = DiffusionPipeline.from_pretrained(folder)
        if adapter is not None:
            pipeline.load_lora_weights(adapter)
        pipeline.set_progress_bar_config(disable=True)
        images = pipeline(
            PROMPTS,
            height=size,
            width=size,
            num_inference_steps=3,
            guidance_scale=guidance_scale,
            generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
            output_type="np",
            **PLAIN_ARGUMENTS.get(type(pipeline).__name__, {}),
        ).images
    return np.rint(images * 255).astype(np.uint8)


def grey_levels_apart(first: np.ndarray, second: np.ndarray) -> int:
    """Return the largest difference of two images or batches."""
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def disturb(parameters: dict[str, torch.nn.Parameter], strength: float = 0.2, seed: int = 0) -> None:
    """Add noise to an adapter, as training would change it."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(strength * torch.randn(parameter.shape, generator=noise))
