"""Mix the rendered world, photographs and pictograms, and vary their pixels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

TOTAL = 1_000_000
"""How many virtual pictures a mixture has; each stands for one of one source."""


def split_index(index: np.ndarray, sizes: list[int], shares: list[float]) -> list[np.ndarray]:
    """Return per source the positions in it that virtual indices (B,) in [0, TOTAL) stand for; `shares` sum to 1."""
    edges = np.round(np.cumsum([0.0, *shares]) * TOTAL).astype(np.int64)
    parts = zip(edges[:-1], edges[1:], sizes, strict=True)
    return [(index[(index >= low) & (index < high)] - low) * size // max(1, high - low) for low, high, size in parts]


def draw_index(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return `count` sorted virtual indices."""
    return np.sort(rng.integers(TOTAL, size=count))


def to_grey(x: torch.Tensor) -> torch.Tensor:
    """Return images (B, 3, H, W) with every channel at their luma."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True).expand_as(x)


def vary(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return images (B, 3, 32, 32) in -1..1, at random mirrored, enlarged, grey, inverted or with other colours."""
    count = len(x)

    def happens(probability: float) -> torch.Tensor:
        return torch.from_numpy(rng.random(count) < probability).view(-1, 1, 1, 1)

    zoom = np.where(rng.random(count) < 0.3, rng.uniform(1, 2, count), 1.0)
    room = 1 - 1 / zoom
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = np.where(rng.random(count) < 0.5, -1, 1) / zoom
    theta[:, 1, 1] = 1 / zoom
    theta[:, :, 2] = rng.uniform(-1, 1, (count, 2)) * room[:, None]
    points = F.affine_grid(torch.from_numpy(theta), list(x.shape), align_corners=False)
    x = F.grid_sample(x, points, padding_mode="reflection", align_corners=False)
    order = torch.from_numpy(rng.permutation(3))
    x = torch.where(happens(0.15), x[:, order], x)
    x = torch.where(happens(0.25), to_grey(x), x)
    return torch.where(happens(0.1), -x, x).contiguous()
