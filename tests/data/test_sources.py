"""Sources find their columns, refuse bad rows one by one, never follow stored paths, and have a cheap digest."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tckr.data.images import encode_png
from tckr.data.shards import write_shard
from tckr.data.sources import SourceKind, source_digest, source_kind
from tckr.data.sources.columns import choose_columns
from tckr.data.sources.opening import open_source
from tckr.data.sources.parquet import class_label_names
from tckr.data.sources.record import Source
from tckr.errors import UserError

PNG = encode_png(np.zeros((8, 8, 3), np.uint8))


@dataclass
class Settings:
    source: str
    follow_links: bool = False


def digest(source: object) -> str:
    return source_digest(Settings(str(source)))


def opened(source: Path, **settings: str) -> Source:
    return open_source(str(source), cache=source.with_name(f"{source.name}.cache"), **settings)


def reasons(source: Path, **settings: str) -> list[tuple[str, str]]:
    return [(record.file, record.reason) for record in opened(source, **settings).records()]


def make_folder(root: Path) -> Path:
    for name in ("cat/1.png", "dog/1.png"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(PNG)
    return root


def test_the_digest_follows_names_and_content_not_times_or_place(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    first = digest(root)
    os.utime(root / "cat" / "1.png", ns=(1, 1))
    assert digest(root) == digest(make_folder(tmp_path / "copy")) == first
    (root / "dog" / "1.png").rename(root / "dog" / "2.png")
    renamed = digest(root)
    (root / "dog" / "2.png").write_bytes(PNG + b"\0")
    assert len({first, renamed, digest(root)}) == 3


@pytest.mark.parametrize("beside", ["metadata.csv", "train.csv", "pictures.tar", "all.parquet", "state.json"])
def test_a_folder_here_is_a_folder_and_no_name_on_the_hub(beside: str, tmp_path: Path) -> None:
    (make_folder(tmp_path / "data") / beside).write_text("file_name,label\n")
    assert source_kind(str(tmp_path / "data")) is SourceKind.FOLDER
    assert source_kind("uoft-cs/cifar10") is SourceKind.HUB


def test_class_folders_are_read_in_the_order_of_the_bytes_of_their_paths(tmp_path: Path) -> None:
    names = ["b.png", "a.png", "a/z.png", "a-b.png", "a.b/c.png", "Z.png", "\udcff.png", "\U0001f600.png", "\uffee.png"]
    files = [f"{folder}/{name}" for folder in ("cat", "cat 2", "dog") for name in names] + ["stray.txt", "cats.csv"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(PNG)
    source = opened(tmp_path)
    expected = [os.fsencode(file).decode("utf-8", "backslashreplace") for file in sorted(files, key=os.fsencode)]
    assert [record.file for record in source.records()] == expected
    assert [record.file for record in source.records(start=7)] == expected[7:]
    assert len(source) == len(files)


def test_a_text_goes_with_the_picture_beside_it_and_with_no_other(tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    for name, text in {
        "cat/1.txt": "a cat",
        "cat/2.txt": "nobody",
        "dog/.1.txt": "hidden",
        "cat/in/1.txt": "elsewhere",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    found = {record.file: (record.reason, record.caption) for record in opened(root).records()}
    assert found == {
        "cat/1.png": ("", "a cat"),
        "cat/2.txt": ("", None),
        "cat/in/1.txt": ("", None),
        "dog/.1.txt": ("hidden_folder", None),
        "dog/1.png": ("", None),
    }


def test_the_digest_of_names_needs_no_files() -> None:
    assert len({digest("digits"), digest("uoft-cs/cifar10"), digest("uoft-cs/cifar10@abc")}) == 3


def test_the_digest_loads_no_numerical_library() -> None:
    code = (
        "import sys; from tckr.data.sources import source_digest; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'PIL', 'pyarrow', 'datasets', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "source", ["pateints", "mnist@main", "/no/such/place", "./nowhere", "a/b/c", "what? ever", "x\0y", "a" * 5000 + "/b/c"]
)
def test_a_source_that_is_nowhere_is_the_users_error(source: str) -> None:
    with pytest.raises(UserError, match="is not an existing file or folder"):
        digest(source)


def test_an_archive_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match="Unpack archives"):
        source_kind(str(tmp_path / "data.zip"))


@pytest.mark.parametrize(
    ("kinds", "image", "label", "chosen"),
    [
        ({"image": "image", "label": "class label"}, "", "", ("image", "label")),
        ({"photo": "image", "breed": "class label", "id": "integer"}, "", "", ("photo", "breed")),
        ({"img": "binary", "label": "text"}, "", "", ("img", "label")),
        ({"image": "image", "mask": "image", "label": "integer"}, "", "", ("image", "label")),
        ({"img": "image", "fine": "class label", "coarse": "class label"}, "", "fine", ("img", "fine")),
    ],
)
def test_columns_are_found(kinds: dict[str, str], image: str, label: str, chosen: tuple[str, str]) -> None:
    assert choose_columns(kinds, image, label) == chosen


@pytest.mark.parametrize(
    ("kinds", "image", "label", "message"),
    [
        ({"img": "image", "fine": "class label", "coarse": "class label"}, "", "", "2 label columns"),
        ({"left": "image", "right": "image", "label": "integer"}, "", "", "2 image columns"),
        ({"text": "text", "label": "integer"}, "", "", r"no image column; columns found: text \(text\), label \(integer\)"),
        ({"image": "image", "label": "double"}, "", "", "no label column"),
        ({"image": "image", "label": "integer"}, "", "kind", "prepare.label_column=kind is not a valid label column"),
        ({"image": "image", "label": "integer"}, "label", "", "prepare.image_column=label is not a valid image column"),
        ({}, "", "", "columns found: none"),
    ],
)
def test_doubtful_columns_are_listed(kinds: dict[str, str], image: str, label: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_columns(kinds, image, label)


@pytest.mark.parametrize(
    "metadata", [b"[" * 100_000, b"7" * 5000, b"{", b"[]", b"\xff"], ids=["deep", "long", "cut", "list", "bytes"]
)
def test_metadata_that_cannot_be_read_is_none(metadata: bytes) -> None:
    schema = pa.schema([("label", pa.int64())], metadata={b"huggingface": metadata})
    assert class_label_names(schema, "label") == []


def test_bad_rows_are_refused_one_by_one(tmp_path: Path) -> None:
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [{"bytes": PNG, "path": None}] * 4 + [None, {"bytes": None, "path": "/etc/hostname"}]
    table = pa.table({"image": pa.array(images, struct), "label": pa.array([0, None, 7, -1, 1, 1])})
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "t.parquet")
    expected = ["", "no_label", "label_out_of_range", "label_out_of_range", "no_image", "no_image"]
    assert reasons(tmp_path / "t.parquet") == [(f"t.parquet#{row}", reason) for row, reason in enumerate(expected)]


def test_paths_beside_images_are_read_only_where_an_image_lacks(tmp_path: Path) -> None:
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [{"bytes": PNG, "path": "a.png"}] * 2 + [{"bytes": None, "path": "b.png"}, {"bytes": None, "path": None}]
    table = pa.table({"image": pa.array(images, struct), "label": ["x", "y"] * 2})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    records = list(opened(tmp_path / "t.parquet").records())
    assert [record.data for record in records] == [PNG, PNG, b"", b""]
    assert [record.detail for record in records] == ["", "", "only a path is stored", ""]


def test_corrupt_tables_and_other_files_are_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-0.parquet", {"image": [PNG] * 3, "label": ["x", "y", "x"]})
    write_shard(tmp_path / "test-0.parquet", {"image": [PNG], "label": ["y"]})
    write_shard(tmp_path / "wrong.parquet", {"pixels": [1], "label": ["y"]})
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    (tmp_path / "README.md").write_text("hello")
    found = dict(reasons(tmp_path))
    assert {name: reason for name, reason in found.items() if reason} == {
        "broken.parquet": "corrupt_table",
        "wrong.parquet": "corrupt_table",
        "README.md": "other_file",
    }
    records = list(opened(tmp_path).records())
    assert [record.file for record in records if record.origin == "test" and not record.reason] == ["test-0.parquet#0"]
    assert list(opened(tmp_path).records(start=2)) == records[2:]
    assert len(opened(tmp_path)) == len(records)


def test_a_damaged_row_group_loses_its_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rng = np.random.default_rng(0)
    images = [encode_png(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(300)]
    write_shard(path, {"image": images, "label": ["x", "y"] * 150})
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 400] = os.urandom(400)
    path.write_bytes(bytes(data))
    lost = [file for file, reason in reasons(path) if reason == "corrupt_table"]
    assert lost == [f"t.parquet#{row}" for row in range(100, 200)]
    assert len(reasons(path)) == 300


def test_only_broken_tables_are_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"")
    with pytest.raises(UserError, match="none of 1 Parquet files"):
        opened(tmp_path)


def test_label_numbers_become_names_in_number_order(tmp_path: Path) -> None:
    write_shard(tmp_path / "t.parquet", {"image": [PNG] * 4, "label": [10, 9, -1, 2]})
    source = opened(tmp_path / "t.parquet")
    assert source.class_names == ["2", "9", "10"]
    assert [record.label for record in source.records()] == [2, 1, -1, 0]


def test_a_folder_that_datasets_understands_is_loaded_by_it(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(PNG)
    (tmp_path / "metadata.csv").write_text("file_name,label\n0.png,cat\n1.png,dog\n2.png,cat\n")
    source = opened(tmp_path)
    assert source.class_names == ["cat", "dog"]
    assert [record.data for record in source.records()] == [PNG] * 3
    assert [record.label for record in source.records(start=1)] == [1, 0]


def test_a_hub_name_that_cannot_be_loaded_is_the_users_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach\nthe hub")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(
        UserError, match=r"could not be loaded: Couldn't reach the hub\. There is no folder or file owner/name here"
    ):
        open_source("owner/name", cache=tmp_path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # datasets leaves files open
def test_a_path_in_an_arrow_table_is_opened_below_its_folder_only(tmp_path: Path) -> None:
    """Two paths lead out of the folder, one directly and one through a link; one stays inside."""
    root, outside = tmp_path / "data", tmp_path / "private.png"
    root.mkdir()
    for path in (root / "own.png", outside):
        path.write_bytes(PNG)
    (root / "link.png").symlink_to(outside)
    paths = [str(path) for path in (root / "own.png", outside, root / "link.png", "\0/x")]
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": None, "path": path} for path in paths], struct)
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"image": images, "label": pa.array([0, 1, 0, 1])}).replace_schema_metadata(metadata)
    with pa.ipc.new_stream(root / "train.arrow", table.schema) as stream:
        stream.write_table(table)
    records = list(opened(root).records())
    assert [(record.data, record.reason) for record in records] == [(PNG, ""), *[(b"", "no_image")] * 3]
    gc.collect()
