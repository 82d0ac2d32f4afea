"""Draw batches of planned images: here, with decoding and writing beside the denoiser, or in worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from tckr.data.images import encode_png
from tckr.models.diffusion.generator import Conditioning, Generator, Sampling, check_image_size, take_rows
from tckr.models.diffusion.load import load_generator
from tckr.stages.generate.plan import Batch

AHEAD = 2
"""Batches that may wait to be decoded and written while the denoiser goes on."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a process needs to draw the images that any other one would draw.

    Attributes:
        model: for `load_generator`.
        revision: for `load_generator`.
        adapter: folder of the LoRA adapter to merge; None draws from the model as it is.
        device: torch device name.
        sampling: how images are drawn.
    """

    model: str
    revision: str | None
    adapter: Path | None
    device: str
    sampling: Sampling

    def load(self) -> Generator:
        """Return the generator with the adapter merged.

        Raises:
            UserError: the checkpoint cannot be loaded, or the image size does not fit it.
        """
        generator = load_generator(self.model, self.device, revision=self.revision)
        check_image_size(generator, self.sampling.size)
        if self.adapter:
            generator.load_lora(self.adapter)
        return generator


class Drawer:
    """A generator at work. A batch depends on its own images only: the same batches give the same bits after a restart."""

    def __init__(self, generator: Generator, sampling: Sampling) -> None:
        self._generator = generator
        self._sampling = sampling
        self._negative = generator.encode_prompts([""])

    def denoise(self, batch: Batch) -> torch.Tensor:
        """Return the latents of a batch; on CUDA the device may still be at work."""
        conditioning = embed_distinct(self._generator, [image.prompt for image in batch.images])
        seeds = [image.seed for image in batch.images]
        return self._generator.denoise(conditioning, self._negative, seeds=seeds, sampling=self._sampling)

    def encode(self, latents: torch.Tensor) -> list[bytes]:
        """Return one PNG per image."""
        return [encode_png(image) for image in self._generator.decode(latents)]


def draw_here(drawer: Drawer, batches: Iterable[Batch], keep: Callable[[Batch, list[bytes]], None]) -> None:
    """Draw `batches` in this process and hand each to `keep`, in order, on the thread that decodes.

    The denoiser does not wait for it, unless it is `AHEAD` batches ahead.
    """

    def finish(batch: Batch, latents: torch.Tensor) -> None:
        keep(batch, drawer.encode(latents))

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as thread:
        for batch in batches:
            waiting.append(thread.submit(finish, batch, drawer.denoise(batch)))
            if len(waiting) > AHEAD:
                waiting.popleft().result()
        for future in waiting:
            future.result()


def draw_batch(batch: Batch, *, recipe: Recipe) -> tuple[Batch, list[bytes]]:
    """Return a batch and its PNGs; the process that is asked loads the generator once."""
    drawer = _loaded(recipe)
    return batch, drawer.encode(drawer.denoise(batch))


@lru_cache(maxsize=1)
def _loaded(recipe: Recipe) -> Drawer:
    return Drawer(recipe.load(), recipe.sampling)


def embed_distinct(generator: Generator, prompts: Sequence[str]) -> Conditioning:
    """Return the conditioning of `prompts`, encoding each distinct prompt once.

    Nothing is kept between batches: the text encoder is a small part of the time, and what an image is does not depend on
    what was drawn before it.
    """
    distinct = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    return take_rows(generator.encode_prompts(list(distinct)), [distinct[prompt] for prompt in prompts])
