"""Encode images and prompts once, into memory-mapped float16 files, so that a training step runs only the denoiser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tckr.data.npy import NpyFile, open_npy, write_npy
from tckr.disk import write_whole
from tckr.models.diffusion.generator import Conditioning, Generator, check_image_size


@dataclass(frozen=True, kw_only=True)
class EncodedSet:
    """Training data of the denoiser.

    The complete latent distribution is stored, not its mean: each step samples from it, like the diffusers LoRA script of
    the paper, which encodes again at every step.

    Attributes:
        moments: float16 [F, N, 2C, h, w], C means then C standard deviations; F = 2 with flipped images, else 1.
        conditioning: per name, float16 [P + 1, ...], a row per distinct prompt; the last is the empty prompt.
        prompt_of: int64 [N], row of each image's prompt in `conditioning`.
    """

    moments: np.ndarray
    conditioning: dict[str, np.ndarray]
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
    """Encode `images[rows]` (uint8 [., H, W, 3], may be a memory map) and their prompts; complete files in `cache` are kept.

    Raises:
        UserError: the image size does not fit the autoencoder.
    """
    check_image_size(generator, images.shape[1])
    distinct = sorted(set(prompts))
    place = {prompt: i for i, prompt in enumerate(distinct)}

    def encode_images(start: int) -> dict[str, torch.Tensor]:
        batch = torch.from_numpy(images[rows[start : start + batch_size]]).permute(0, 3, 1, 2).float() / 255
        views = [batch, batch.flip(-1)] if flip else [batch]
        return {"moments": torch.stack([generator.encode_images(view) for view in views], dim=1)}

    def encode_prompts(start: int) -> Conditioning:
        return generator.encode_prompts([*distinct, ""][start : start + batch_size])

    _encode_into(cache / "latents", encode_images, len(rows), batch_size, advance)
    _encode_into(cache / "prompts", encode_prompts, len(distinct) + 1, batch_size)
    prompt_of = np.array([place[prompt] for prompt in prompts])
    write_whole(cache / "prompt_of.npy", lambda partial: write_npy(partial, len(prompt_of), [prompt_of]))
    return read_encoded(cache)


def read_encoded(cache: Path) -> EncodedSet:
    """Return the result of `encode_set` in `cache`."""
    moments = _mapped(cache / "latents")["moments"]
    prompt_of = np.load(cache / "prompt_of.npy")
    return EncodedSet(moments=moments.swapaxes(0, 1), conditioning=_mapped(cache / "prompts"), prompt_of=prompt_of)


def _encode_into(
    folder: Path,
    encode: Callable[[int], Mapping[str, torch.Tensor]],
    count: int,
    batch_size: int,
    advance: Callable[[int], None] = lambda amount: None,
) -> None:
    """Fill `folder`/NAME.npy, [count, ...] each, with `encode(start)` for every batch, unless it exists."""
    if folder.exists():
        advance(count)
        return
    partial = folder.with_name(f".{folder.name}.filling")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    files: dict[str, NpyFile] = {}
    with ExitStack() as stack:
        for start in range(0, count, batch_size):
            for name, tensor in encode(start).items():
                if name not in files:
                    files[name] = stack.enter_context(open_npy(partial / f"{name}.npy", count))
                files[name].append(tensor.to("cpu", torch.float16).numpy())
            advance(min(batch_size, count - start))
    partial.rename(folder)


def _mapped(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
