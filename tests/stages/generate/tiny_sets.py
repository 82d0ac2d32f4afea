"""Sets of 11 images from a tiny generator, and what is generated from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tckr.data.images import ImageSet, load_images
from tckr.stages.generate import stage
from tckr.stages.generate.config import GenerateConfig
from tests.tiny_artifacts import make_context

CONFIG = GenerateConfig(steps=2, cardinality=1.2, shard_size=4, precision="float32")  # 11 images in shards of 4, 4 and 3


class KilledError(Exception):
    """Stand in for SIGKILL."""


def write_adapter(folder: Path, model: Path, **changes: Any) -> Path:
    folder.mkdir()
    facts = {"model": str(model), "revision": None, "method": "lora", "rank": 2, "steps": 0}
    facts |= {"prompt_form": "n: c", "descriptions": {}, "image_size": 16}
    (folder / "adapter.json").write_text(json.dumps(facts | changes))
    return folder


def generate(folder: Path, inputs: dict[str, Path], config: GenerateConfig = CONFIG, **changes: Any) -> ImageSet:
    context = make_context(folder, inputs, **changes)
    stage.run(config, context)
    return load_images(context.out / "data", None, id_column="index")


def grey_levels_apart(first: ImageSet, second: ImageSet) -> int:
    return int(np.abs(first.images.astype(int) - second.images.astype(int)).max())
