"""An array that is written row after row is the file that NumPy itself would write."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.data.npy import open_npy, write_npy


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int8, np.float16, np.int64])
@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 3, 3), (7, 0), (0, 3)])
def test_parts_of_any_size_make_the_same_bytes_as_numpy_save(tmp_path, dtype, shape):
    array = (np.arange(np.prod(shape)).reshape(shape) % 2).astype(dtype)
    np.save(tmp_path / "whole.npy", array)
    starts = range(0, max(1, len(array)), 3)
    write_npy(tmp_path / "parts.npy", len(array), (array[start : start + 3] for start in starts))
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert np.array_equal(np.load(tmp_path / "parts.npy", mmap_mode=None if 0 in shape else "r"), array)


def test_parts_that_are_no_rows_side_by_side_in_memory_are_written_in_order(tmp_path):
    array = np.arange(24).reshape(4, 6)
    write_npy(tmp_path / "columns.npy", 4, [array[:, ::2]])
    assert np.array_equal(np.load(tmp_path / "columns.npy"), array[:, ::2])


@pytest.mark.parametrize(
    "rows", [[np.zeros((2, 3))], [np.zeros((2, 3)), np.zeros((2, 4))], [np.zeros((4, 3), np.float16)] * 2]
)
def test_rows_that_are_missing_too_many_or_of_another_form_are_noticed(tmp_path, rows):
    with pytest.raises(AssertionError):
        write_npy(tmp_path / "file.npy", 4, rows)


def test_what_ended_the_writing_is_what_is_raised(tmp_path):
    with pytest.raises(ZeroDivisionError), open_npy(tmp_path / "file.npy", 4) as file:  # noqa: PT012
        file.append(np.zeros((1, 3)))
        raise ZeroDivisionError
