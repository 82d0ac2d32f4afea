"""Pictures and folders of known content for the tests of `prepare`."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tckr.stages.prepare.config import PrepareConfig
from tckr.stages.prepare.stage import run
from tests.tiny_artifacts import make_context


def pixels(seed: int, size: tuple[int, int] = (12, 12)) -> np.ndarray:
    """Return random uint8 RGB [H, W, 3] of a (width, height)."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (12, 12)) -> Image.Image:
    return Image.fromarray(pixels(seed, size)).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def png(seed: int) -> bytes:
    return encoded(picture(seed))


def write_classes(root: Path, sizes: dict[str, int], first_seed: int = 0) -> Path:
    """Write `root/class/000.png`..., every picture different."""
    seed = first_seed
    for name, size in sizes.items():
        for number in range(size):
            path = root / name / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(seed))
            seed += 1
    return root


def prepared(folder: Path, source: Path | str, seed: int = 0, **settings: object) -> Path:
    """Run the stage and return the artifact folder."""
    context = make_context(folder, {}, seed=seed)
    run(PrepareConfig(source=str(source), **{"image_size": 8, **settings}), context)
    return context.out
