"""The file of soft labels: compression loses exactly what the docs state, and the file contains the recipe."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.artifacts.soft_labels import LabelRecipe, SoftLabels, read_soft_labels, spread_top, take_top
from tckr.data.variation import Variation, ViewRecipe
from tests.training.colours import COLOURS, write_labels


@pytest.fixture
def probabilities():
    logits = 3 * np.random.default_rng(0).normal(size=(50, 12))
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float16)


def test_all_classes_kept_are_the_labels_bit_for_bit(probabilities):
    values, classes = take_top(probabilities, 12)
    assert np.array_equal(spread_top(values, classes, 12), probabilities.astype(np.float32))


@pytest.mark.parametrize("k", [1, 3, 11])
def test_the_likeliest_are_kept_and_the_rest_is_spread_evenly(probabilities, k):
    values, classes = take_top(probabilities, k)
    assert classes.dtype == np.int16
    whole = spread_top(values, classes, 12)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-3)
    for row in range(50):
        assert set(classes[row]) == set(np.argsort(-probabilities[row], kind="stable")[:k])
        assert np.array_equal(whole[row, classes[row]], probabilities[row, classes[row]].astype(np.float32))
        others = np.delete(whole[row], classes[row])
        np.testing.assert_allclose(others, max(0, 1 - values[row].astype(np.float32).sum()) / (12 - k), atol=1e-7)


def test_the_first_choice_is_the_same_from_all_and_from_the_likeliest(probabilities):
    tied = probabilities.copy()
    tied[:5] = tied[:5, :1]  # of equals the first
    values, classes = take_top(tied, 2)
    common = {"indices": np.arange(50), "class_names": [str(label) for label in range(12)], "recipe": LabelRecipe()}
    whole = SoftLabels(stored=tied[:, None], classes=None, **common).first_choices()
    assert np.array_equal(whole, tied.argmax(axis=1))
    assert np.array_equal(SoftLabels(stored=values[:, None], classes=classes[:, None], **common).first_choices(), whole)


def test_many_classes_need_wider_numbers():
    assert take_top(np.zeros((1, 40_000), dtype=np.float16), 2)[1].dtype == np.int32


def test_the_recipe_travels_in_the_files_metadata():
    recipe = LabelRecipe(
        temperature=3.0, views=ViewRecipe(num_views=4, seed=2**62 + 1, ranges=Variation(shift=0.1, flip=True))
    )
    metadata = recipe.into({b"huggingface": b"{}"})
    assert metadata[b"huggingface"] == b"{}"
    assert LabelRecipe.out_of(metadata) == recipe
    assert LabelRecipe.out_of(None) == LabelRecipe()


def test_labels_are_mapped_once_and_labels_written_anew_are_mapped_anew(tmp_path):
    folder, cache = tmp_path / "labels", tmp_path / "cache"
    write_labels(folder, np.eye(3), np.arange(3), COLOURS)
    read_soft_labels(folder, cache)
    (file,) = cache.iterdir()
    before = file.stat()
    assert np.array_equal(read_soft_labels(folder, cache).stored[:, 0], np.eye(3))
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    write_labels(folder, np.eye(3)[::-1], np.arange(3), COLOURS)
    assert np.array_equal(read_soft_labels(folder, cache).stored[:, 0], np.eye(3)[::-1])
