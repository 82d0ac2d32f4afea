"""Kept mistakes: only wrong answers, the surest first, and no more than a fixed number."""

from __future__ import annotations

import numpy as np

from tckr.artifacts.mistakes import MOST, read_mistakes, write_mistakes
from tckr.data.images import ImageSet, decode_image


def images(count: int) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return ImageSet(pixels, np.zeros(count, dtype=np.int64), np.arange(count))


def test_the_surest_mistakes_come_first_with_their_pictures(tmp_path):
    test = images(4)
    write_mistakes(tmp_path, test, np.array([0, 2, 1, 1]), np.array([0.99, 0.6, 0.9, 0.7]))
    found = read_mistakes(tmp_path)
    assert [(one.label, one.answer, one.confidence) for one in found] == [(0, 1, 0.9), (0, 1, 0.7), (0, 2, 0.6)]
    assert [decode_image(one.image).tolist() for one in found] == [test.images[row].tolist() for row in (2, 3, 1)]


def test_no_more_than_a_fixed_number_of_test_images_leaves_the_lock(tmp_path):
    write_mistakes(tmp_path, images(MOST + 5), np.ones(MOST + 5, dtype=np.int64), np.linspace(0, 1, MOST + 5))
    assert len(read_mistakes(tmp_path)) == MOST


def test_a_student_without_mistakes_and_an_older_audit_have_none(tmp_path):
    assert read_mistakes(tmp_path) == []
    write_mistakes(tmp_path, images(3), np.zeros(3, dtype=np.int64), np.ones(3))
    assert read_mistakes(tmp_path) == []
