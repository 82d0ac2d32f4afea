"""Images that another set contains are copied bit for bit; all images that differ in any way from the plan are generated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tckr.artifacts.synthetic import CopiedImages, seconds_alone
from tckr.data.images import ImageSet, load_images
from tckr.data.shards import list_shards
from tckr.stages.generate import stage
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.draw import Recipe
from tests.tiny_artifacts import make_context, write_manifest
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
LARGE = GenerateConfig(steps=2, cardinality=1.2, shard_size=4)  # 11 images
SMALL = LARGE.model_copy(update={"cardinality": 0.7})  # 6


def generate(folder: Path, inputs: dict[str, Path], config: GenerateConfig, *donors: Path, seed: int = 0) -> ImageSet:
    """Draw a set and give it the manifest that the store would write."""
    context = replace(make_context(folder, inputs, seed=seed), donors=donors)
    stage.run(config, context)
    write_manifest(context.out, seconds=22.0)
    return load_images(context.out / "data", None, id_column="index")


def copied(folder: Path) -> int:
    found = CopiedImages.read_if_there(folder / "out")
    return found.images if found else 0


def test_the_smaller_set_is_copied_completely_without_loading_a_model(tmp_path, inputs, monkeypatch):
    large = generate(tmp_path / "large", inputs, LARGE)
    monkeypatch.setattr(Recipe, "load", None)
    small = generate(tmp_path / "small", inputs, SMALL, tmp_path / "large" / "out")
    assert copied(tmp_path / "small") == len(small) == 6
    assert np.array_equal(small.images, large.images[:6])
    assert [path.name for path in list_shards(tmp_path / "small" / "out" / "data")] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]


def test_a_copy_is_within_one_grey_level_of_a_fresh_draw(tmp_path, inputs):
    generate(tmp_path / "large", inputs, LARGE)
    small = generate(tmp_path / "small", inputs, SMALL, tmp_path / "large" / "out")
    fresh = generate(tmp_path / "fresh", inputs, SMALL)
    assert np.abs(small.images.astype(int) - fresh.images.astype(int)).max() <= 1
    assert small.ids.tolist() == fresh.ids.tolist()
    assert small.labels.tolist() == fresh.labels.tolist()


def test_the_larger_set_copies_complete_shards_and_generates_the_rest(tmp_path, inputs):
    small = generate(tmp_path / "small", inputs, SMALL)
    large = generate(tmp_path / "large", inputs, LARGE, tmp_path / "small" / "out")
    assert copied(tmp_path / "large") == 4
    assert len(large) == 11
    assert np.array_equal(large.images[:4], small.images[:4])


def test_nothing_is_taken_from_a_set_of_other_noise_or_other_shards(tmp_path, inputs):
    generate(tmp_path / "noise", inputs, LARGE, seed=1)
    generate(tmp_path / "shards", inputs, LARGE.model_copy(update={"shard_size": 5}))
    donors = (tmp_path / "noise" / "out", tmp_path / "shards" / "out")
    small = generate(tmp_path / "small", inputs, SMALL.model_copy(update={"shard_size": 3}), *donors)
    assert copied(tmp_path / "small") <= 3  # rows 0-2 of the set in shards of 5 are the right ones
    assert np.array_equal(
        small.images, generate(tmp_path / "fresh", inputs, SMALL.model_copy(update={"shard_size": 3})).images
    )


def test_a_copied_set_counts_its_share_of_what_the_donor_took(tmp_path, inputs):
    generate(tmp_path / "large", inputs, LARGE)
    generate(tmp_path / "small", inputs, SMALL, tmp_path / "large" / "out")
    assert seconds_alone(tmp_path / "large" / "out") == 22.0
    assert seconds_alone(tmp_path / "small" / "out") == pytest.approx(22.0 + 22.0 * 6 / 11)
