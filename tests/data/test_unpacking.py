"""A Parquet file that is small on disk and gigabytes in memory is refused in a sentence, before the memory is taken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tckr.data.caption_files import read_captions
from tckr.data.layouts.tables import UnreadableTableError, read_table
from tckr.data.sources.opening import open_source
from tckr.errors import UserError

MEGABYTE = b"\x89PNG" + bytes(10**6)
READ = """
import resource, sys
from pathlib import Path
from tckr.data.sources.opening import open_source
from tckr.errors import UserError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    source = open_source(sys.argv[1], cache=Path(sys.argv[1] + ".cache"))
    sum(1 for _ in source.records())
except UserError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def repeated(value: bytes | str, rows: int) -> pa.Array:
    """Return one value that stands in every row, stored once."""
    kind = pa.binary() if isinstance(value, bytes) else pa.string()
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value], kind))


def labels(rows: int) -> pa.Array:
    return pa.array([row % 2 for row in range(rows)])


def write(file: Path, image: pa.Array, label: pa.Array, **settings: object) -> Path:
    pq.write_table(pa.table({"image": image, "label": label}), file, compression="zstd", **settings)
    return file


BOMBS: dict[str, Callable[[Path], Path]] = {
    "a picture of a megabyte in 4,000 rows, as a category": lambda file: write(file, repeated(MEGABYTE, 4000), labels(4000)),
    "the same, as plain bytes": lambda file: write(file, repeated(MEGABYTE, 4000), labels(4000), store_schema=False),
    "different pictures, nearly all zeros": lambda file: write(
        file, pa.array([MEGABYTE + bytes([row]) for row in range(250)]), labels(250), use_dictionary=False
    ),
    "pictures in the struct of Hugging Face": lambda file: write(
        file, pa.array([{"bytes": MEGABYTE, "path": None}] * 250), labels(250)
    ),
    "a label of a megabyte": lambda file: write(file, pa.array([b"x"] * 4000), repeated("a" * 10**6, 4000)),
    "millions of empty rows": lambda file: write(file, pa.nulls(4_000_000, pa.binary()), pa.nulls(4_000_000, pa.int64())),
}


@pytest.mark.parametrize("kind", list(BOMBS))
def test_a_bomb_is_refused_in_bounded_memory(kind: str, tmp_path: Path) -> None:
    file = BOMBS[kind](tmp_path / "bomb.parquet")
    assert file.stat().st_size < 86_000
    told = subprocess.run([sys.executable, "-c", READ, str(file)], capture_output=True, text=True, check=True, timeout=120)
    message, megabytes = told.stdout.splitlines()
    assert "bomb.parquet has" in message
    assert "over 100 times as many: a decompression bomb" in message
    assert int(megabytes) < 500


def test_the_bound_is_a_setting_and_what_it_allows_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "same.parquet", repeated(MEGABYTE[:100_000], 2000), labels(2000))
    with pytest.raises(UserError, match="over 100 times"):
        list(open_source(str(file), cache=tmp_path / "cache").records())
    source = open_source(str(file), cache=tmp_path / "cache", max_unpacked=1_000_000)
    read = [record for record in source.records() if record.data == MEGABYTE[:100_000]]
    assert [record.label for record in read] == labels(2000).to_pylist()


def test_small_tables_may_repeat_themselves(tmp_path: Path) -> None:
    """Small classes of equal pictures shrink a thousandfold, and no harm is done."""
    file = write(tmp_path / "same.parquet", repeated(MEGABYTE[:1000], 60_000), labels(60_000))
    assert file.stat().st_size < 86_000
    assert len(list(open_source(str(file), cache=tmp_path / "cache").records())) == 60_000


def test_tables_of_labels_and_of_captions_are_held_to_it_too(tmp_path: Path) -> None:
    text = repeated("a" * 10**6, 4000)
    pq.write_table(pa.table({"file": text, "label": text}), tmp_path / "labels.parquet")
    with pytest.raises(UnreadableTableError, match="decompression bomb"):
        read_table(tmp_path, "labels.parquet")
    pq.write_table(pa.table({"caption": text, "label": labels(4000)}), tmp_path / "captions.parquet", store_schema=False)
    with pytest.raises(UserError, match="decompression bomb"):
        read_captions(tmp_path / "captions.parquet", ["0", "1"] * 2000, {})
