"""Encode images and prompts once, into memory-mapped float16 files: a training step then runs the denoiser alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tckr.data.shards import write_whole
from tckr.models.diffusion.generator import Generator, check_image_size


@dataclass(frozen=True, kw_only=True)
class EncodedSet:
    """What the denoiser is trained on.

    The whole latent distribution is kept, not its mean: each step samples it, as the diffusers LoRA script of the paper
    does by encoding again at every step.

    Attributes:
        moments: float16 [F, N, 2C, h, w], C means then C standard deviations; F = 2 with mirrored images, else 1.
        embeds: float16 [P + 1, L, D], one per distinct prompt; the last is the empty prompt.
        prompt_of: int64 [N], row of each image's prompt in `embeds`.
    """

    moments: np.ndarray
    embeds: np.ndarray
    prompt_of: np.ndarray

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Return (C, h, w)."""
        _, _, channels, height, width = self.moments.shape
        return channels // 2, height, width


def encode_set(
    generator: Generator,
    images: np.ndarray,
    rows: np.ndarray,
    prompts: Sequence[str],
    *,
    flip: bool,
    batch_size: int,
    cache: Path,
    advance: Callable[[int], None] = lambda amount: None,
) -> EncodedSet:
    """Encode `images[rows]` (uint8 [., H, W, 3], may be a memory map) and their prompts; files whole in `cache` are kept.

    Raises:
        UserError: the image size does not fit the autoencoder.
    """
    check_image_size(generator, images.shape[1])
    distinct = sorted(set(prompts))
    place = {prompt: i for i, prompt in enumerate(distinct)}

    def encode_images(start: int) -> torch.Tensor:
        batch = torch.from_numpy(images[rows[start : start + batch_size]]).permute(0, 3, 1, 2).float() / 255
        return torch.stack([generator.encode_images(view) for view in ([batch, batch.flip(-1)] if flip else [batch])])

    def encode_prompts(start: int) -> torch.Tensor:
        return generator.encode_prompts([*distinct, ""][start : start + batch_size])[None]

    moments = _encode_into(cache / "moments.npy", encode_images, len(rows), batch_size, advance)
    embeds = _encode_into(cache / "embeds.npy", encode_prompts, len(distinct) + 1, batch_size)
    return EncodedSet(moments=moments, embeds=embeds[0], prompt_of=np.array([place[prompt] for prompt in prompts]))


def _encode_into(
    path: Path,
    encode: Callable[[int], torch.Tensor],
    count: int,
    batch_size: int,
    advance: Callable[[int], None] = lambda amount: None,
) -> np.ndarray:
    """Fill [F, count, ...] at `path` with `encode(start)` for every batch, unless it is there; return it memory-mapped."""

    def fill(partial: Path) -> None:
        mapped: np.memmap | None = None
        for start in range(0, count, batch_size):
            encoded = encode(start).to("cpu", torch.float16).numpy()
            if mapped is None:
                shape = (len(encoded), count, *encoded.shape[2:])
                mapped = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
            mapped[:, start : start + batch_size] = encoded
            advance(encoded.shape[1])
        assert mapped is not None, "nothing to encode"
        mapped.flush()

    if path.exists():
        advance(count)
    else:
        write_whole(path, fill)
    return np.load(path, mmap_mode="r")
