"""Train the autoencoder: 32 x 32 x 3 pixels to 8 x 8 x 8 latents and back: `python -m pretraining.train_autoencoder`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .loop import Plan, autocast, fit, take_over
from .mixture import TOTAL, split_index, vary
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


def tint(x: torch.Tensor) -> torch.Tensor:
    """Return red less green and blue less green, averaged over 4 x 4 pixels: the tint of grey pictures."""
    return F.avg_pool2d(x[:, [0, 2]] - x[:, [1]], 4)


def autoencoder_loss(model: AutoencoderKL, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """Return L1 + L2 + edge + grain + tint loss with a faint pull of the latents to a unit normal."""
    learns = any(p.requires_grad for p in model.encoder.parameters())
    with autocast():
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            posterior = model.encode(x).latent_dist
        y = model.decode(posterior.sample()).sample
    y = y.float()
    l1, l2 = (x - y).abs().mean(), ((x - y) ** 2).mean()
    edge = sum(((a - b).abs().mean() for a, b in zip(edges(x), edges(y), strict=True)), torch.zeros(()))
    rough = (grain(x) - grain(y)).abs().mean()
    kl = posterior.kl().float().mean() / (8 * 8 * LATENT_CHANNELS)
    colour = (tint(x) - tint(y)).abs().mean()
    total = l1 + 2 * l2 + 0.3 * edge + 2 * rough + colour + 2e-3 * kl
    report = {"l1": l1, "mse": l2, "edge": edge, "grain": rough, "tint": colour, "kl": kl}
    return total, {name: value.item() for name, value in report.items()}


def drift(model: AutoencoderKL, held: AutoencoderKL, x: torch.Tensor) -> torch.Tensor:
    """Return how far the latents of images x moved from those of `held`, as a share of their variance.

    A UNet that knows the old latents of the rendered world then knows the new ones, too.
    """
    with torch.no_grad():
        before = held.encode(x).latent_dist.mean
    return ((model.encode(x).latent_dist.mean - before) ** 2).mean() / before.var()


class Pictures:
    """Draw pictures of the world, photographs and pictograms by virtual index."""

    def __init__(self) -> None:
        """Open runs/images.npy and runs/photos.npy."""
        photos = load_photos()[0]
        self.sources = [np.load(RUNS / "images.npy", mmap_mode="r"), photos[:PHOTOGRAPHS], photos[PHOTOGRAPHS:]]

    def draw(self, index: np.ndarray, step: int) -> tuple[torch.Tensor, int]:
        """Return varied pictures (B, 3, 32, 32) and how many of them, the first ones, are rendered."""
        parts = split_index(index, [len(s) for s in self.sources], SHARES)
        images = np.concatenate([s[p] for s, p in zip(self.sources, parts, strict=True)])
        return vary(to_model(images), np.random.default_rng((0, step))), len(parts[0])


def main() -> None:
    """Train on runs/images.npy and runs/photos.npy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=22)
    parser.add_argument("--run", type=Path, default=RUNS / "autoencoder")
    parser.add_argument("--start-from", type=Path, help="exported generator folder, whose latents are kept")
    parser.add_argument("--decoder-only", action="store_true", help="leave the encoder, so that every UNet goes on to fit")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    pictures, model, held = Pictures(), new_autoencoder(), new_autoencoder().eval()
    if options.start_from:
        before = AutoencoderKL.from_pretrained(options.start_from / "vae").state_dict()
        take_over(model, before)
        take_over(held, before)
    if options.decoder_only:
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)

    def loss(step: int, index: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        x, rendered = pictures.draw(index.numpy(), step)
        value, report = autoencoder_loss(model, x)
        if options.start_from and rendered and not options.decoder_only:
            moved = drift(model, held, x[:rendered])
            value, report = value + 0.5 * moved, report | {"drift": moved.item()}
        return value, report

    plan = Plan(run=options.run, minutes=options.minutes, batch_size=16, learning_rate=2e-3, ema_decay=0.995, muon=True)
    fit(model, loss, TOTAL, plan)


if __name__ == "__main__":
    main()
