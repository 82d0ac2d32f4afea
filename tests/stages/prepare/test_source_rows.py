"""Every labelled training row of the source keeps its position, even if it was rejected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tckr.data.images import load_images
from tckr.data.normalise import normalise_image
from tckr.data.shards import write_shard
from tckr.data.source_rows import NO_RECORD, read_source_rows
from tests.stages.prepare.pictures import png, prepared

NAMES = ["cat", "a/b: c"]


def write_table(folder: Path, broken: dict[int, bytes]) -> list[bytes]:
    """Write 40 training rows of two classes in turn, `broken` in place of some pictures, and 4 test rows; return the 40."""
    images = [broken.get(row, png(row)) for row in range(40)]
    labels = np.arange(40) % 2
    write_shard(folder / "train.parquet", {"image": images, "label": labels}, NAMES)
    write_shard(folder / "test.parquet", {"image": [png(100 + row) for row in range(4)], "label": labels[:4]}, NAMES)
    return images


@pytest.mark.parametrize("canaries", [0, 4])
def test_rows_keep_their_place_and_their_class(tmp_path: Path, canaries: int) -> None:
    images = write_table(tmp_path / "data", {3: b"no picture", 6: png(4), 8: png(9)})  # 6 repeats 4; 8 and 9 conflict
    out = prepared(tmp_path, tmp_path / "data", num_canaries=canaries)
    rows = read_source_rows(out)
    assert list(rows.class_names) == [NAMES[row % 2] for row in range(40)]
    assert np.flatnonzero(rows.records == NO_RECORD).tolist() == [3, 6, 8, 9]
    kept = rows.records[rows.records != NO_RECORD]
    assert sorted(kept.tolist()) == list(range(36))  # of pool and validation; the test split has rows of its own
    for split in ("pool", "validation"):
        found = load_images(out / split, None)
        for record, pixels in zip(found.ids.tolist(), found.images, strict=True):
            row = int(np.flatnonzero(rows.records == record)[0])
            expected = normalise_image(images[row], str(row), 8, 10_000).pixels
            assert np.array_equal(pixels, expected), (split, record, row)


def test_the_digits_are_in_their_own_order(tmp_path: Path) -> None:
    rows = read_source_rows(prepared(tmp_path, "digits"))
    assert "".join(rows.class_names[:12]) == "012345678901"
    assert sorted(rows.records.tolist()) == list(range(1797))
