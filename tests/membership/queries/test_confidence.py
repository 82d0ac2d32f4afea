from __future__ import annotations

import numpy as np
import pytest

from tckr.membership.queries.confidence import logit_confidence
from tckr.membership.queries.views import num_queries, views


def test_signal_is_the_logit_of_the_labels_probability() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]]))
    assert logit_confidence(logits, np.array([0, 2])) == pytest.approx(np.log([0.7 / 0.3, 0.1 / 0.9]))


def test_signal_is_exact_where_the_probability_rounds_to_one_or_zero() -> None:
    # p_y = 1 - 1e-300: no float64 holds it, the signal is still 300 log 10.
    logits = np.array([[300 * np.log(10), 0.0], [0.0, 800.0]])
    assert logit_confidence(logits, np.array([0, 0])) == pytest.approx([300 * np.log(10), -800.0], rel=1e-12)


def test_signal_of_float32_logits_is_computed_in_float64_and_leaves_them_alone() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    before, labels = logits.copy(), np.array([0, 1, 2, 3, 0])
    shifted = logit_confidence(logits + np.float32(2.0) ** 20, labels)
    found = logit_confidence(logits, labels)
    assert found.dtype == np.float64
    assert (logits == before).all()
    assert shifted == pytest.approx(found, abs=0.5)


def test_views_are_the_image_and_its_moves_and_mirrors() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1).repeat(3, axis=3)
    found = [view[0, :, :, 0].tolist() for view in views(image, 1, True)]
    assert len(found) == num_queries(1, True) == 10
    assert found[0] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert found[1] == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]
    assert found[2] == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert found[4] == [[3, 4, 5], [6, 7, 8], [6, 7, 8]]
    assert found[6] == [[0, 0, 1], [3, 3, 4], [6, 6, 7]]
    assert found[8] == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]
    assert [view.tolist() for view in views(image, 0, False)] == [image.tolist()]
