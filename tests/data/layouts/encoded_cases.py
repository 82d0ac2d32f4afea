"""Layouts whose pictures lie in tables: Parquet files, data sets saved by `datasets`, TAR files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, DatasetDict, Features
from datasets import Image as ImageFeature

from tckr.data.shards import write_shard
from tests.data.layouts.building import Case, Read, Refused, flat, folders, picture

KINDS = ("cat", "dog")


def png(kind: str, split: str = "train") -> bytes:
    buffer = io.BytesIO()
    picture(kind, split).save(buffer, format="PNG")
    return buffer.getvalue()


def shard(path: Path, count: int = 12, split: str = "train", names: tuple[str, ...] | None = KINDS) -> None:
    """Write a Parquet file of cats and dogs in turn; labels are numbers with these names, or text."""
    kinds = [KINDS[number % 2] for number in range(count)]
    labels = [names.index(kind) for kind in kinds] if names else kinds
    write_shard(path, {"image": [png(kind, split) for kind in kinds], "label": labels}, list(names) if names else None)


def in_splits(root: Path, test_names: tuple[str, ...] | None = KINDS, test: str = "test/part") -> None:
    shard(root / "train" / "part.parquet")
    shard(root / f"{test}.parquet", 6, "test", test_names)


def bare_test(root: Path) -> None:
    shard(root / "train.parquet")
    write_shard(root / "test.parquet", {"image": [png("cat", "test")] * 6})


def hidden_test(root: Path) -> None:
    for split, number in (("train", 12), ("test", 6)):
        labels = [-1 if split == "test" else place % 2 for place in range(number)]
        images = [png(KINDS[place % 2], split) for place in range(number)]
        write_shard(root / f"{split}.parquet", {"image": images, "label": labels}, list(KINDS))


def categorical(root: Path) -> None:
    images = pa.array([png(KINDS[number % 2]) for number in range(12)])
    labels = pa.array([KINDS[number % 2] for number in range(12)]).dictionary_encode()
    pq.write_table(pa.table({"image": images, "label": labels}), root / "t.parquet")


def floating(root: Path, step: float = 1.0) -> None:
    columns = {"image": [png(KINDS[number % 2]) for number in range(12)], "label": [step * (n % 2) for n in range(12)]}
    pq.write_table(pa.table(columns), root / "t.parquet")


def joined(root: Path) -> None:
    columns = {"image": [png("cat")] * 3, "label": ["cat", "dog", "cat|dog"]}
    write_shard(root / "t.parquet", columns)


def lists(root: Path) -> None:
    pq.write_table(pa.table({"image": [png("cat")] * 2, "label": [["cat"], ["cat", "dog"]]}), root / "t.parquet")


def beside_classes(root: Path) -> None:
    shard(root / "train.parquet")
    folders(root)


def beside_pictures(root: Path) -> None:
    shard(root / "train.parquet")
    flat(root / "examples", 2)


def rows(names: tuple[str, ...], count: int, split: str) -> Dataset:
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=list(names))})
    kinds = [KINDS[number % 2] for number in range(count)]
    columns = {"image": [picture(kind, split) for kind in kinds], "label": [names.index(kind) for kind in kinds]}
    return Dataset.from_dict(columns, features=features)


def saved(root: Path, test: str = "test", names: tuple[str, ...] = KINDS, bare: bool = False, none: bool = False) -> None:
    held = rows(names, 6, "test")
    if bare:
        held = held.remove_columns("label")
    if none:
        held = held.map(lambda row: {"label": -1})
    DatasetDict({"train": rows(KINDS, 12, "train"), test: held}).save_to_disk(str(root))


def tars(root: Path) -> None:
    with tarfile.open(root / "train-000.tar", "w") as archive:
        for number in range(12):
            for suffix, data in (("png", png(KINDS[number % 2])), ("cls", str(number % 2).encode())):
                entry = tarfile.TarInfo(f"{number:03}.{suffix}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))


SPLIT = Read(test=6)

CASES = [
    Case("parquet-in-splits", "`train/part.parquet`, `test/part.parquet`", in_splits, SPLIT),
    Case("parquet-capital", "`train/part.parquet`, `Testing.parquet`", lambda root: in_splits(root, test="Testing"), SPLIT),
    Case("parquet-swapped", "the same, class names in another order", lambda root: in_splits(root, ("dog", "cat")), SPLIT),
    Case("parquet-text", "numbers with names in one, text in the other", lambda root: in_splits(root, None), SPLIT),
    Case("parquet-bare-test", "`test.parquet` without labels", bare_test, Refused("the split 'test' has no labels")),
    Case(
        "parquet-test-left-out",
        "the same, `test_split=` (empty)",
        bare_test,
        Read(refused=("corrupt_table",)),
        {"test_split": ""},
    ),
    Case(
        "parquet-hidden-test",
        "`test.parquet` whose labels are all -1",
        hidden_test,
        Refused("the split 'test' has no labels"),
    ),
    Case("parquet-categorical", "a categorical label column (pandas)", categorical, Read()),
    Case(
        "parquet-floating",
        "a floating-point label column 0.0, 1.0 (pandas)",
        floating,
        Read(classes=("0", "1"), rename={"0": "cat", "1": "dog"}),
    ),
    Case("parquet-measures", "the same, 0.0, 0.5", lambda root: floating(root, 0.5), Refused("measures, not classes")),
    Case("parquet-joined", "labels `cat`, `dog`, `cat\\|dog`", joined, Refused("several labels in one cell")),
    Case("parquet-lists", "lists of labels in a Parquet file", lists, Refused("no label column; columns found")),
    Case("parquet-and-classes", "a Parquet file and class folders", beside_classes, Refused("in two ways")),
    Case("parquet-and-pictures", "a Parquet file and `examples/`", beside_pictures, Read(refused=("other_file",))),
    Case("saved", "written by `save_to_disk`", saved, SPLIT),
    Case("swapped-names", "the same, class names in another order", lambda root: saved(root, names=("dog", "cat")), SPLIT),
    Case("saved-testing", "its test split is called `testing`", lambda root: saved(root, "testing"), SPLIT),
    Case(
        "unlabelled-test",
        "its test split has no labels",
        lambda root: saved(root, bare=True),
        Refused("the split 'test' of .* has no labels"),
    ),
    Case(
        "test-of-minus-one",
        "all its test labels are -1",
        lambda root: saved(root, none=True),
        Refused("the split 'test' of .* has no labels"),
    ),
    Case(
        "webdataset",
        "TAR files with `1.png`, `1.cls`",
        tars,
        Read(classes=("0", "1"), rename={"0": "cat", "1": "dog"}),
        {"image_column": "png", "label_column": "cls"},
    ),
]
