"""Measure what the shipped autoencoder loses: `python -m pretraining.reconstruct NAME=FILE.parquet ...`.

Peak signal-to-noise ratio over all pixels, and the mean chroma (largest less smallest channel, in grey levels) that
reconstructions of pictures made grey have; 0 would be no tint.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from diffusers import AutoencoderKL
from PIL import Image

from .evaluate import HERE
from .export import EMBEDDED
from .train_autoencoder import to_model


def read_pictures(path: Path, count: int) -> np.ndarray:
    """Return up to `count` evenly spaced pictures of a Parquet file, (N, 32, 32, 3) uint8."""
    column = pq.read_table(path, columns=["image"])["image"]
    picks = np.linspace(0, len(column) - 1, min(count, len(column))).astype(int)
    pictures = (Image.open(io.BytesIO(column[int(i)].as_py()["bytes"])).convert("RGB") for i in picks)
    return np.stack(
        [
            np.asarray(p.resize((32, 32), Image.Resampling.BOX if p.width > 32 else Image.Resampling.BICUBIC))
            for p in pictures
        ]
    )


def read_digits() -> np.ndarray:
    """Return scikit-learn's digits as 32 x 32 RGB."""
    from sklearn.datasets import load_digits

    small = (load_digits().images[:1000] * 255 / 16).astype(np.uint8)
    pictures = (Image.fromarray(x).resize((32, 32), Image.Resampling.BICUBIC).convert("RGB") for x in small)
    return np.stack([np.asarray(p) for p in pictures])


@torch.no_grad()
def reconstruct(model: AutoencoderKL, images: np.ndarray) -> np.ndarray:
    """Return the reconstructions of uint8 images as floats in 0..255."""
    parts = []
    for i in range(0, len(images), 250):
        y = model.decode(model.encode(to_model(images[i : i + 250])).latent_dist.mean).sample
        parts.append((y.clamp(-1, 1) + 1) * 127.5)
    return torch.cat(parts).permute(0, 2, 3, 1).numpy()


def psnr(images: np.ndarray, reconstructions: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in decibels, over all pixels of all images."""
    return float(10 * np.log10(255**2 / np.mean((images - reconstructions) ** 2)))


def make_grey(images: np.ndarray) -> np.ndarray:
    """Return the images with every channel at their luma."""
    luma = (images @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
    return np.repeat(luma[..., None], 3, axis=-1)


def measure(model: AutoencoderKL, images: np.ndarray) -> dict[str, float]:
    """Return PSNR of images, and the chroma of the reconstructions of their grey versions."""
    grey = reconstruct(model, make_grey(images))
    chroma = float((grey.max(-1) - grey.min(-1)).mean())
    return {"n": len(images), "psnr_db": round(psnr(images, reconstruct(model, images)), 2), "grey_chroma": round(chroma, 2)}


def main() -> None:
    """Print and store the numbers of each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", help="NAME=FILE.parquet; the digits of scikit-learn are always measured")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=EMBEDDED)
    options = parser.parse_args()
    model = AutoencoderKL.from_pretrained(options.folder / "generator" / "vae", torch_dtype=torch.float32).eval()
    sets = {"digits": read_digits()}
    sets |= {name: read_pictures(Path(file), options.count) for name, file in (s.split("=") for s in options.sets)}
    result = {name: measure(model, images) for name, images in sets.items()}
    for name, values in result.items():
        print(name, values)
    path = HERE / "quality.json"
    quality = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(quality | {"autoencoder": result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
