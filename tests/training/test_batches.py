"""The order of an epoch is a function of (seed, epoch)."""

import numpy as np
import pytest
import torch

from tckr.training.batches import epoch_batches, smallest_batch, target_probabilities


def test_order_depends_on_seed_and_epoch_alone():
    first, again = (np.concatenate(epoch_batches(50, batch_size=8, seed=3, epoch=2)) for _ in range(2))
    assert np.array_equal(first, again)
    for other in ({"seed": 4, "epoch": 2}, {"seed": 3, "epoch": 1}):
        assert not np.array_equal(first, np.concatenate(epoch_batches(50, batch_size=8, **other)))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 65])
def test_every_image_is_met_once_in_nearly_equal_batches(count):
    batches = epoch_batches(count, batch_size=8, seed=0, epoch=0)
    assert sorted(np.concatenate(batches)) == list(range(count))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= 8
    assert max(sizes) - min(sizes) <= 1


def test_hard_labels_become_one_hot_and_rounded_soft_labels_sum_to_one():
    assert target_probabilities(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    rounded = np.array([[0.3333, 0.3333, 0.3333]], dtype=np.float16)
    assert torch.allclose(target_probabilities(rounded, 3).sum(dim=1), torch.ones(1))


@pytest.mark.parametrize(("count", "batch_size"), [(40, 16), (3, 2), (5, 8), (9, 4)])
def test_the_smallest_batch_is_known_beforehand(count, batch_size):
    batches = epoch_batches(count, batch_size=batch_size, seed=0, epoch=0)
    assert smallest_batch(count, batch_size) == min(map(len, batches))
