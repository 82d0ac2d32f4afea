"""Draw the images of one shard; PNG encoding runs beside the denoiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tckr.data.images import encode_png
from tckr.models.diffusion.generator import Conditioning, Generator, Sampling, take_rows
from tckr.stages.generate.plan import PlannedImage


def draw_shard(
    generator: Generator,
    planned: Sequence[PlannedImage],
    *,
    sampling: Sampling,
    batch_size: int,
    advance: Callable[[int], None] = lambda amount: None,
) -> dict[str, Any]:
    """Return the columns of a shard: image (PNG bytes), label, prompt, seed, index.

    A batch depends on its own images only, so the same batch size gives the same bits after a restart.
    """
    negative = generator.encode_prompts([""])
    encoded = []
    with ThreadPoolExecutor(1) as pool:
        for start in range(0, len(planned), batch_size):
            batch = planned[start : start + batch_size]
            conditioning = embed_distinct(generator, [image.prompt for image in batch])
            latents = generator.denoise(conditioning, negative, seeds=[image.seed for image in batch], sampling=sampling)
            images = generator.decode(latents)
            encoded.append(pool.submit(lambda images: [encode_png(image) for image in images], images))
            advance(len(batch))
    return {
        "image": [png for future in encoded for png in future.result()],
        "label": np.array([image.label for image in planned], dtype=np.int64),
        "prompt": [image.prompt for image in planned],
        "seed": np.array([image.seed for image in planned], dtype=np.int64),
        "index": np.array([image.index for image in planned], dtype=np.int64),
    }


def embed_distinct(generator: Generator, prompts: Sequence[str]) -> Conditioning:
    """Return the conditioning of `prompts`, encoding each distinct prompt once.

    Nothing is kept between batches: the text encoder is a small part of the time, and what an image is does not depend on
    what was drawn before it.
    """
    distinct = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    return take_rows(generator.encode_prompts(list(distinct)), [distinct[prompt] for prompt in prompts])
