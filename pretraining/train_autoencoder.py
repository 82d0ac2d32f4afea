"""Train the autoencoder: 32 x 32 x 3 pixels to 8 x 8 x 8 latents and back: `python -m pretraining.train_autoencoder`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .loop import Plan, fit, start_from
from .render import RUNS

LATENT_CHANNELS = 8


def new_autoencoder() -> AutoencoderKL:
    """Return an untrained autoencoder of Stable Diffusion's class."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=LATENT_CHANNELS,
        sample_size=32,
        mid_block_add_attention=False,
    )


def to_model(images: np.ndarray) -> torch.Tensor:
    """Turn uint8 images (B, 32, 32, 3) into floats (B, 3, 32, 32) in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return horizontal and vertical differences of neighbouring pixels."""
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def grain(x: torch.Tensor) -> torch.Tensor:
    """Return the local strength of fine grain, (B, 3, 8, 8): root mean square of a Laplacian over 8 x 8 windows.

    Noise cannot be kept pixel by pixel in 512 latents; the decoder is asked to keep its strength.
    """
    kernel = torch.tensor([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=x.dtype) / 4
    fine = F.conv2d(x.flatten(0, 1)[:, None], kernel[None, None], padding=0)
    return (F.avg_pool2d(fine**2, 6, stride=4) + 1e-4).sqrt().view(x.shape[0], 3, 7, 7)


def autoencoder_loss(model: AutoencoderKL, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """Return L1 + L2 + edge + grain loss with a faint pull of the latents to a unit normal."""
    with torch.autocast("cpu", torch.bfloat16):
        posterior = model.encode(x).latent_dist
        y = model.decode(posterior.sample()).sample
    y = y.float()
    l1, l2 = (x - y).abs().mean(), ((x - y) ** 2).mean()
    edge = sum(((a - b).abs().mean() for a, b in zip(edges(x), edges(y), strict=True)), torch.zeros(()))
    rough = (grain(x) - grain(y)).abs().mean()
    kl = posterior.kl().float().mean() / (8 * 8 * LATENT_CHANNELS)
    total = l1 + 2 * l2 + 0.3 * edge + 2 * rough + 2e-3 * kl
    return total, {"l1": l1.item(), "mse": l2.item(), "edge": edge.item(), "grain": rough.item(), "kl": kl.item()}


def latent_moments(model: AutoencoderKL, images: np.ndarray, batch_size: int = 500) -> tuple[np.ndarray, float]:
    """Return the posterior means (N, 8, 8, 8) as float16, unscaled, and one over their standard deviation."""
    model.eval()
    means = np.empty((len(images), LATENT_CHANNELS, 8, 8), np.float16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for i in range(0, len(images), batch_size):
            part = model.encode(to_model(images[i : i + batch_size])).latent_dist.mean
            means[i : i + batch_size] = part.float().numpy()
    return means, 1 / float(means[:50_000].astype(np.float32).std())


def main() -> None:
    """Train on runs/images.npy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=13)
    parser.add_argument("--run", type=Path, default=RUNS / "autoencoder")
    parser.add_argument("--start-from", type=Path, help="checkpoint of a run with other latent channels")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images = np.load(RUNS / "images.npy", mmap_mode="r")
    model = new_autoencoder()
    if options.start_from:
        start_from(model, options.start_from)
    plan = Plan(run=options.run, minutes=options.minutes, batch_size=32, learning_rate=1.5e-3, ema_decay=0.995)
    fit(model, lambda _, index: autoencoder_loss(model, to_model(images[index.numpy()])), len(images), plan)


if __name__ == "__main__":
    main()
