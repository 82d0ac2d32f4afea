"""Train the autoencoder: 32 x 32 x 3 pixels to 8 x 8 x 8 latents and back: `python -m pretraining.train_autoencoder`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .loop import Batch, Report, add_options, autocast, fit, plan_of, take_over
from .mixture import draw_index, split_index, vary
from .photos import PHOTOGRAPHS, load_photos
from .render import RUNS

LATENT_CHANNELS = 8
SHARES = [0.25, 0.6, 0.15]
"""Of the rendered world, photographs and pictograms."""


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
    return from_bytes(torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2))


def from_bytes(x: torch.Tensor) -> torch.Tensor:
    """Turn uint8 (B, 3, 32, 32), on any device, into floats in -1..1."""
    return x.float() / 127.5 - 1


def to_bytes(x: torch.Tensor) -> torch.Tensor:
    """Turn floats in -1..1 into uint8, a quarter of the memory to pass between processes."""
    return ((x + 1) * 127.5).round().clamp(0, 255).byte()


def edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return horizontal and vertical differences of neighbouring pixels."""
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def grain(x: torch.Tensor) -> torch.Tensor:
    """Return the local strength of fine grain, (B, 3, 8, 8): root mean square of a Laplacian over 8 x 8 windows.

    512 latents cannot store the noise of every pixel; the loss makes the decoder preserve its strength.
    """
    kernel = torch.tensor([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=x.dtype, device=x.device) / 4
    fine = F.conv2d(x.flatten(0, 1)[:, None], kernel[None, None], padding=0)
    return (F.avg_pool2d(fine**2, 6, stride=4) + 1e-4).sqrt().view(x.shape[0], 3, 7, 7)


def tint(x: torch.Tensor) -> torch.Tensor:
    """Return red less green and blue less green, averaged over 4 x 4 pixels: the tint of grey pictures."""
    return F.avg_pool2d(x[:, [0, 2]] - x[:, [1]], 4)


def autoencoder_loss(model: AutoencoderKL, x: torch.Tensor) -> tuple[torch.Tensor, Report]:
    """Return L1 + L2 + edge + grain + tint loss with a faint pull of the latents to a unit normal."""
    with autocast(x.device.type):
        posterior = model.encode(x).latent_dist
        y = model.decode(posterior.sample()).sample
    y = y.float()
    l1, l2 = (x - y).abs().mean(), ((x - y) ** 2).mean()
    edge = torch.stack([(a - b).abs().mean() for a, b in zip(edges(x), edges(y), strict=True)]).sum()
    rough = (grain(x) - grain(y)).abs().mean()
    kl = posterior.kl().float().mean() / (8 * 8 * LATENT_CHANNELS)
    colour = (tint(x) - tint(y)).abs().mean()
    total = l1 + 2 * l2 + 0.3 * edge + 2 * rough + colour + 2e-3 * kl
    return total, {"l1": l1, "mse": l2, "edge": edge, "grain": rough, "tint": colour, "kl": kl}


class Pictures:
    """Draw pictures of the world, photographs and pictograms."""

    def __init__(self) -> None:
        """Open runs/images.npy and runs/photos.npy."""
        photos = load_photos()[0]
        self.sources = [np.load(RUNS / "images.npy", mmap_mode="r"), photos[:PHOTOGRAPHS], photos[PHOTOGRAPHS:]]

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return varied pictures, uint8 (count, 3, 32, 32)."""
        parts = split_index(draw_index(rng, count), [len(s) for s in self.sources], SHARES)
        images = np.concatenate([s[p] for s, p in zip(self.sources, parts, strict=True)])
        return (to_bytes(vary(to_model(images), rng)),)


def main() -> None:
    """Train on runs/images.npy and runs/photos.npy."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, batch_size=16, minutes=22, run=RUNS / "autoencoder")
    parser.add_argument("--start-from", type=Path, help="exported generator folder whose autoencoder to start from")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = new_autoencoder()
    if options.start_from:
        take_over(model, AutoencoderKL.from_pretrained(options.start_from / "vae").state_dict())
    plan = plan_of(options, learning_rate=2e-3, ema_decay=0.995, muon=True)
    fit(model, lambda x: autoencoder_loss(model, from_bytes(x)), Pictures().draw, plan)


if __name__ == "__main__":
    main()
