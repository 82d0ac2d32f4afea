"""If memory runs out, the batch is halved and the work continues with the same result."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tckr.errors import UserError
from tckr.models.classifiers import build_classifier, predict_logits
from tckr.models.memory import BatchLimit, largest_that_fits, ran_out_of_memory

GIGABYTE = 10**9


def scarce(largest: int, error: Exception):
    """Return a computation that has memory for `largest` images, and the list of the sizes that it was called with."""
    asked = []

    def compute(rows: range) -> list[int]:
        asked.append(len(rows))
        if len(rows) > largest:
            raise error
        return list(rows)

    return compute, asked


OUT_OF_MEMORY = (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), MemoryError())


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_the_batch_is_halved_once_and_stays_so(error):
    compute, asked = scarce(3, error)
    limit = BatchLimit(8)
    parts = list(limit.split(compute, 10))
    assert [row for part in parts for row in part] == list(range(10))
    assert asked == [8, 4, 2, 2, 2, 2, 2]
    assert limit.size == 2


def test_a_small_last_part_that_does_not_fit_is_halved_itself():
    compute, asked = scarce(2, MemoryError())
    assert [len(part) for part in BatchLimit(100).split(compute, 5)] == [2, 2, 1]
    assert asked == [5, 2, 2, 1]


def test_one_image_that_does_not_fit_is_a_user_error():
    compute, _ = scarce(0, OUT_OF_MEMORY[0])
    with pytest.raises(UserError, match="one image at a time: CUDA out of memory"):
        list(BatchLimit(4).split(compute, 4))


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    compute, asked = scarce(0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(BatchLimit(4).split(compute, 4))
    assert asked == [4]


def test_what_torch_says_on_this_machine_when_there_is_no_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert ran_out_of_memory(caught.value)


def test_a_batch_fills_four_fifths_of_the_free_memory():
    peaks = {2: 3 * GIGABYTE, 4: 4 * GIGABYTE}  # 2 GB, and half a GB for each image
    assert largest_that_fits(peaks, 20 * GIGABYTE, 256) == 16  # of 28
    assert largest_that_fits(peaks, 80 * GIGABYTE, 256) == 64  # of 124
    assert largest_that_fits(peaks, 80 * GIGABYTE, 48) == 32
    assert largest_that_fits(peaks, GIGABYTE, 256) == 1
    assert largest_that_fits({2: 5, 4: 5}, 10, 256) == 4  # of 5: each image is taken to need a byte at least


def test_predictions_go_on_in_smaller_batches(monkeypatch):
    classifier = build_classifier("embedded:resnet", 3, ["a", "b", "c"], 0)
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    expected = predict_logits(classifier, images, batch_size=10)
    original = type(classifier).forward

    def forward(self, images_BCHW):
        if len(images_BCHW) > 4:
            raise torch.OutOfMemoryError("planted")
        return original(self, images_BCHW)

    monkeypatch.setattr(type(classifier), "forward", forward)
    with pytest.warns(RuntimeWarning, match="2 images per pass instead of 10"):
        found = predict_logits(classifier, images, batch_size=10)
    assert np.allclose(found, expected, atol=1e-5)
