"""Draw batches of planned images: here, with decoding and writing beside the denoiser, or in worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from tckr.data.images import encode_png, without_colour
from tckr.models.diffusion.adapters import locate_adapter
from tckr.models.diffusion.generator import Conditioning, Generator, Sampling, check_image_size, take_rows
from tckr.models.diffusion.load import load_generator
from tckr.models.memory import BatchLimit, fitting_batch_size
from tckr.stages.generate.candidates import Candidate, Judging, better, next_candidate
from tckr.stages.generate.plan import Batch, PlannedImage

AHEAD = 2
"""Batches that may wait to be decoded and written while the denoiser goes on."""

DECODED = 8
"""Images decoded at a time: as fast as more, and the autoencoder needs far more memory per image than the denoiser."""

LARGEST_BATCH = 256
"""More images per pass fill no GPU better."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a process needs to draw the images that any other one would draw.

    Attributes:
        model: for `load_generator`.
        revision: for `load_generator`.
        adapter: folder of what `adapt` trained; None draws from the model as it is.
        few_step_adapter: path or hub id of a LoRA to merge after it.
        device: torch device name.
        sampling: how images are drawn.
        dtype: of the weights; None is that of `load_generator`.
        compiled: whether the denoiser is compiled; batches are then filled up to one size.
        grey: whether images lose their colour: those of the private set have none.
        judging: what says which images are drawn again; None keeps them all.
    """

    model: str
    revision: str | None
    adapter: Path | None
    few_step_adapter: str | None
    device: str
    sampling: Sampling
    dtype: torch.dtype | None
    compiled: bool
    grey: bool = False
    judging: Judging | None = None

    def load(self) -> Generator:
        """Return the generator with the adapters merged.

        Raises:
            UserError: the checkpoint or an adapter cannot be loaded, or the image size does not fit.
        """
        generator = load_generator(self.model, self.device, self.dtype, self.revision)
        check_image_size(generator, self.sampling.size)
        if self.adapter:
            generator.load_adapter(self.adapter)
        if self.few_step_adapter:
            generator.load_lora(locate_adapter(self.few_step_adapter))
        return generator


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A batch that is done.

    Attributes:
        batch: what was asked for, with the seeds that were used.
        pngs: one per image.
        candidates: of each image, where they were judged.
        limit: images that went through the denoiser at a time; less than asked for after memory ran out.
    """

    batch: Batch
    pngs: Sequence[bytes]
    candidates: Sequence[Candidate]
    limit: int


class Drawer:
    """A generator at work. A batch depends on its own images only: the same batches give the same bits after a restart."""

    def __init__(self, generator: Generator, recipe: Recipe, batch_size: int) -> None:
        self._generator = generator
        self._sampling = recipe.sampling
        self._filled_up = recipe.compiled
        self._grey = recipe.grey
        self._judge = recipe.judging.load(recipe.device) if recipe.judging else None
        self._denoised = BatchLimit(batch_size)
        self._decoded = BatchLimit(DECODED)
        self._encoders = ThreadPoolExecutor(torch.get_num_threads())
        self._negative = generator.encode_prompts([""])
        if recipe.compiled:
            generator.compile_denoiser()

    def denoise(self, batch: Batch) -> torch.Tensor:
        """Return the latents of a batch; on CUDA the device may still be at work."""
        parts = self._denoised.split(lambda rows: self._denoise(batch.images[rows.start : rows.stop]), len(batch.images))
        return torch.cat(list(parts))

    @property
    def judges(self) -> bool:
        """Return whether images may be drawn again, so that a batch is several passes."""
        return self._judge is not None

    def draw(self, batch: Batch) -> Drawn:
        """Return the images of a batch, drawn again while they are rejected."""
        if self._judge is None:
            return self.encode(batch, self.denoise(batch))
        kept = self._judged(batch.images, 0)
        for number in range(1, self._judge.redraws + 1):
            places = [place for place, found in enumerate(kept) if self._judge.rejects(found, number)]
            for place, found in zip(places, self._judged([batch.images[place] for place in places], number), strict=True):
                kept[place] = better(kept[place], found)
        batch = replace(batch, images=[found.image for found in kept])
        return Drawn(
            batch=batch, pngs=[encode_png(found.pixels) for found in kept], candidates=kept, limit=self._denoised.size
        )

    def encode(self, batch: Batch, latents: torch.Tensor) -> Drawn:
        """Return the images of `latents`; threads encode some while the next are decoded: a GPU is faster than one core."""
        pngs = [self._encoders.submit(encode_png, image) for image in self._decode(latents)]
        return Drawn(batch=batch, pngs=[png.result() for png in pngs], candidates=[], limit=self._denoised.size)

    def _judged(self, images: Sequence[PlannedImage], number: int) -> list[Candidate]:
        """Return candidate `number` of every image."""
        assert self._judge is not None
        if not images:
            return []
        drawn = [next_candidate(image, number) for image in images]
        pixels = list(self._decode(self.denoise(Batch(shard="", shard_images=0, images=drawn))))
        return self._judge.judge(drawn, pixels, number)

    def _decode(self, latents: torch.Tensor) -> Iterator[np.ndarray]:
        decoded = self._decoded.split(lambda rows: self._generator.decode(latents[rows.start : rows.stop]), len(latents))
        return (without_colour(image) if self._grey else image for images in decoded for image in images)

    def _denoise(self, images: Sequence[PlannedImage]) -> torch.Tensor:
        missing = self._denoised.size - len(images) if self._filled_up else 0
        asked = [*images, *[images[0]] * missing]
        conditioning = embed_distinct(self._generator, [image.prompt for image in asked])
        seeds = [image.seed for image in asked]
        latents = self._generator.denoise(conditioning, self._negative, seeds=seeds, sampling=self._sampling)
        return latents[: len(images)]


def draw_here(drawer: Drawer, batches: Iterable[Batch], keep: Callable[[Drawn], None]) -> None:
    """Draw `batches` in this process and hand each to `keep`, in order, on the thread that decodes.

    The denoiser does not wait for it, unless it is `AHEAD` batches ahead.
    """

    if drawer.judges:
        for batch in batches:
            keep(drawer.draw(batch))
        return

    def finish(batch: Batch, latents: torch.Tensor) -> None:
        keep(drawer.encode(batch, latents))

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as thread:
        for batch in batches:
            waiting.append(thread.submit(finish, batch, drawer.denoise(batch)))
            if len(waiting) > AHEAD:
                waiting.popleft().result()
        for future in waiting:
            future.result()


def draw_batch(batch: Batch, *, recipe: Recipe, batch_size: int) -> Drawn:
    """Return a batch that is done; the process that is asked loads the generator once."""
    return _loaded(recipe, batch_size).draw(batch)


@lru_cache(maxsize=1)
def _loaded(recipe: Recipe, batch_size: int) -> Drawer:
    return Drawer(recipe.load(), recipe, batch_size)


def choose_batch_size(generator: Generator, recipe: Recipe, largest: int) -> int:
    """Return how many images the denoiser takes at a time on this CUDA device, at most `largest`."""

    def draw(count: int) -> None:
        conditioning, negative = (generator.encode_prompts([""] * number) for number in (count, 1))
        generator.denoise(conditioning, negative, seeds=list(range(count)), sampling=recipe.sampling)

    return fitting_batch_size(draw, recipe.device, min(largest, LARGEST_BATCH))


def embed_distinct(generator: Generator, prompts: Sequence[str]) -> Conditioning:
    """Return the conditioning of `prompts`, encoding each distinct prompt once.

    Nothing is kept between batches: the text encoder is a small part of the time, and what an image is does not depend on
    what was drawn before it.
    """
    distinct = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    return take_rows(generator.encode_prompts(list(distinct)), [distinct[prompt] for prompt in prompts])
