"""A Parquet file that is small on disk and gigabytes in memory is refused in a sentence, before the memory is taken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tckr.data.caption_files import read_captions
from tckr.data.layouts.tables import UnreadableTableError, read_table
from tckr.data.parquet_pages import unpacked_bytes
from tckr.data.sources.opening import open_source
from tckr.errors import UserError
from tckr.tables.rows import read_rows

MEGABYTE = b"\x89PNG" + bytes(10**6)
READ = """
import resource, sys
from io import BytesIO
from pathlib import Path
from tckr.data.parquet_pages import unpacked_bytes
from tckr.data.sources.opening import open_source
from tckr.errors import UserError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in sys.argv[1:]:
    said = ""
    try:
        source = open_source(file, cache=Path(file + ".cache"))
        sum(1 for _ in source.records())
    except UserError as error:
        said = error
    print(said)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


Told = tuple[str, int]
"""What is said of a file, and by how many megabytes the process that read it, and the files before it, had grown."""


def read_in_a_process(files: Sequence[Path]) -> list[Told]:
    """Read all files in one new process."""
    command = [sys.executable, "-c", READ, *map(str, files)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    return [(said, int(megabytes)) for said, megabytes in zip(lines[::2], lines[1::2], strict=True)]


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
    "a picture of a megabyte in 1,000 rows, as a category": lambda file: write(file, repeated(MEGABYTE, 1000), labels(1000)),
    "the same, as plain bytes": lambda file: write(file, repeated(MEGABYTE, 1000), labels(1000), store_schema=False),
    "different pictures, nearly all zeros": lambda file: write(
        file, pa.array([MEGABYTE + bytes([row]) for row in range(250)]), labels(250), use_dictionary=False
    ),
    "pictures in the struct of Hugging Face": lambda file: write(
        file, pa.array([{"bytes": MEGABYTE, "path": None}] * 250), labels(250)
    ),
    "a label of a megabyte": lambda file: write(file, pa.array([b"x"] * 1000), repeated("a" * 10**6, 1000)),
    "millions of empty rows": lambda file: write(file, pa.nulls(4_000_000, pa.binary()), pa.nulls(4_000_000, pa.int64())),
}


@pytest.fixture(scope="module")
def told_of_bombs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    files = [build(tmp_path_factory.mktemp("bomb") / "bomb.parquet") for build in BOMBS.values()]
    assert max(file.stat().st_size for file in files) < 86_000
    return dict(zip(BOMBS, read_in_a_process(files), strict=True))


@pytest.mark.parametrize("kind", list(BOMBS))
def test_a_bomb_is_refused_in_bounded_memory(kind: str, told_of_bombs: dict[str, Told]) -> None:
    message, megabytes = told_of_bombs[kind]
    assert "bomb.parquet has" in message
    assert "over 100 times as many: a decompression bomb" in message
    assert megabytes < 500


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


def test_a_table_of_scores_is_held_to_it_too(tmp_path: Path) -> None:
    rows = {"run": [0] * 4000, "record": range(4000), "member": [True, False] * 2000, "value": [0.0] * 4000}
    names = repeated("a" * 10**6, 4000)
    columns = {name: pa.array(list(values)) for name, values in rows.items()}
    pq.write_table(pa.table({**columns, "signal": names}), tmp_path / "scores.parquet")
    with pytest.raises(UserError, match="decompression bomb"):
        read_rows(tmp_path / "scores.parquet")


def varint(number: int) -> bytes:
    """Return a positive number as the footer writes it."""
    number, written = number << 1, []
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def understate(file: Path) -> None:
    """Let the footer say that a page of megabytes, and so its row group, unpacks to 60 bytes."""
    metadata = pq.read_metadata(file)
    content = file.read_bytes()
    column = metadata.row_group(0).column(0)
    for stated in (column.total_uncompressed_size, metadata.row_group(0).total_byte_size):
        old = varint(stated)
        assert old in content[-metadata.serialized_size - 8 :]
        content = content[: -metadata.serialized_size - 8] + content[-metadata.serialized_size - 8 :].replace(
            old, bytes([120 | 128, *[128] * (len(old) - 2), 0])
        )
    file.write_bytes(content)
    assert pq.read_metadata(file).row_group(0).column(0).total_uncompressed_size == 60


PAGES = list(product(("1.0", "2.0"), (True, False)))
"""Version of the page, and whether its column has a dictionary."""


@pytest.fixture(scope="module")
def told_of_footers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Told]:
    """Write a page of 160 MB in every way, let the footers understate it, and read the files."""
    picture, files = pa.array([MEGABYTE * 160, b""], pa.binary()), []
    for version, dictionary in PAGES:
        file = tmp_path_factory.mktemp("footer") / "bomb.parquet"
        files.append(write(file, picture, labels(2), use_dictionary=dictionary, data_page_version=version))
        understate(file)
    return dict(zip(PAGES, read_in_a_process(files), strict=True))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_footer_that_understates_a_page_is_not_believed(
    page: tuple[str, bool], told_of_footers: dict[tuple[str, bool], Told]
) -> None:
    """The page is refused before it is unpacked."""
    message, megabytes = told_of_footers[page]
    assert "unpacks to 160" in message
    assert megabytes < 150


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_pages_are_walked_to_the_end_of_their_column(version: str, compression: str, tmp_path: Path) -> None:
    """With statistics, checksums and nested columns in their headers; the sum is that of the footer without the headers."""
    rows = range(3000)
    table = pa.table(
        {
            "image": [{"bytes": bytes([row % 256]) * (row % 500), "path": None} for row in rows],
            "label": [str(row % 7) for row in rows],
            "lists": [[row, 1] for row in rows],
        }
    )
    settings = {"data_page_version": version, "write_page_checksum": True, "row_group_size": 1000, "data_page_size": 4000}
    pq.write_table(table, tmp_path / "t.parquet", compression=compression, **settings)
    metadata = pq.read_metadata(tmp_path / "t.parquet")
    with (tmp_path / "t.parquet").open("rb") as file:
        for group in range(metadata.num_row_groups):
            for column in map(metadata.row_group(group).column, range(metadata.num_columns)):
                start = column.dictionary_page_offset or column.data_page_offset
                found = unpacked_bytes(file, start, column.total_compressed_size)
                assert file.tell() == start + column.total_compressed_size
                assert 0.5 * column.total_uncompressed_size - 200 < found <= column.total_uncompressed_size


END = b"\x00"
GIGABYTE = varint(2**30)


@pytest.mark.parametrize(
    "header",
    [
        b"\x25" + GIGABYTE + b"\x15\x00" + END,
        b"\x05\x04" + GIGABYTE + b"\x15\x00" + END,  # the number of the field in full
        b"\x05\x84\x80\x08" + GIGABYTE + b"\x15\x00" + END,  # and wrapped around
        b"\x25" + GIGABYTE + b"\x04\x04\x00" + b"\x15\x00" + END,  # a second time as another type, which is skipped
        b"\x1c" * 20 + END * 20 + b"\x15" + GIGABYTE + b"\x15\x00" + END,
        b"\x1b\x01\x88\x01a\x01b" + b"\x15" + GIGABYTE + b"\x15\x00" + END,
        b"\x19\x21\x01\x01" + b"\x15" + GIGABYTE + b"\x15\x00" + END,
    ],
)
def test_no_spelling_of_a_header_hides_its_size(header: bytes) -> None:
    assert unpacked_bytes(BytesIO(header), 0, len(header)) == 2**30


@pytest.mark.parametrize(
    "header", [b"\x19\xf7" + b"\xff" * 9 + b"\x01", b"\x18" + b"\xff" * 9 + b"\x01", b"\x1c" * 100, b"\x1e"]
)
def test_a_header_that_is_none_ends_the_walk(header: bytes) -> None:
    assert unpacked_bytes(BytesIO(header), 0, 10**6) == 0
    assert unpacked_bytes(BytesIO(header), -5, 10**6) == 0
