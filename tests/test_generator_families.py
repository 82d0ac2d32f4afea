"""Every generator family goes through adapt and generate; adapter and images are what plain diffusers makes of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tckr.data.shards import read_columns
from tckr.stages.adapt import stage as adapt
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.generate import stage as generate
from tckr.stages.generate.config import GenerateConfig
from tests.tiny_artifacts import make_context, write_captions, write_private_set
from tests.tiny_generators import BUILDERS, IMAGE_SIZES, build_family, draw_plainly
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)


@pytest.mark.parametrize("family", list(BUILDERS))
def test_adapted_and_sampled_like_plain_diffusers(family: str, tmp_path: Path) -> None:
    model, size = build_family(family, tmp_path / "model"), IMAGE_SIZES[family]
    inputs = {"data": write_private_set(tmp_path / "data", size), "captions": write_captions(tmp_path / "captions")}
    context = make_context(tmp_path / "adapt", inputs)
    adapt.run(AdaptConfig(model=str(model), rank=2, steps=3, batch_size=4, learning_rate=0.1), context)
    inputs["adapter"] = context.out
    context = make_context(tmp_path / "generate", inputs)
    generate.run(GenerateConfig(steps=2, cardinality=0.5, precision="float32"), context)
    columns = read_columns(context.out / "data", ["image", "prompt", "seed"])
    drawn = np.stack([np.asarray(Image.open(io.BytesIO(image["bytes"])), dtype=int) for image in columns["image"]])
    apart = {
        adapter: np.abs(drawn - draw_plainly(model, columns["prompt"], columns["seed"], size=size, steps=2, adapter=adapter))
        for adapter in (inputs["adapter"], None)
    }
    assert apart[inputs["adapter"]].max() <= 1
    assert apart[None].max() > 3  # the adapter matters
