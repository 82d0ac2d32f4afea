"""Layouts with what systems, archives and competitions leave behind: hidden folders, thumbnails, submissions, boxes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tests.data.layouts.building import Case, Read, Refused, flat, folders, json_lines, mask, put, splits, table

SPLIT = Read(test=6)
SPACED = Read(train=14, classes=("Cat ", "DOG", "cat", "dog"), said=("class_names",), rename={"Cat ": "cat", "DOG": "dog"})
FILE = ("file_name", "label")


def mixed_case(root: Path) -> None:
    folders(root / "TRAIN")
    folders(root / "Val", 2)
    folders(root / "test", 3, "test")


def litter(root: Path) -> None:
    splits(root)
    for folder in (root, root / "train", root / "train" / "cat"):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "README.md", "._000.png"):
            (folder / name).write_bytes(b"\0\5\x16\7")


def checkpoints(root: Path) -> None:
    folders(root)
    put(root / "cat" / ".ipynb_checkpoints" / "000-checkpoint.png", "dog")
    put(root / ".trash" / "cat" / "000.png", "dog")


def thumbnails(root: Path) -> None:
    folders(root)
    for kind in ("cat", "dog"):
        put(root / kind / "@eaDir" / "000.png" / "SYNOPHOTO_THUMB_M.png", "emu")
        put(root / kind / "__MACOSX" / "000.png", "emu")


def submission(root: Path) -> None:
    table(root / "train.csv", FILE, flat(root / "train"))
    rows = flat(root / "test", 6, "test", "t{:03}.png")
    table(root / "sample_submission.csv", FILE, [(name, "cat") for name, _ in rows])


def placeholder(root: Path) -> None:
    submission(root)
    (root / "sample_submission.csv").rename(root / "test.csv")


def boxes(root: Path) -> None:
    for split, count in (("train", 12), ("test", 6)):
        rows = flat(root / split, count, split)
        both = [(name, kind, 1, 2, 8, 9) for name, _ in rows for kind in ("cat", "dog")]
        table(root / split / "_annotations.csv", ("filename", "class", "xmin", "ymin", "xmax", "ymax"), both)


def coco(root: Path) -> None:
    flat(root / "images")
    (root / "annotations.json").write_text('{"images": [], "annotations": [], "categories": []}')


def yolo(root: Path) -> None:
    for split in ("train", "test"):
        for name, _ in flat(root / "images" / split, 6, split):
            path = root / "labels" / split / name.replace(".png", ".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("0 0.5 0.5 0.2 0.2\n")


def folds(root: Path) -> None:
    for number in (1, 2, 3):
        folders(root / f"fold_{number}", 2)


def zips(root: Path) -> None:
    for kind in ("cat", "dog"):
        with zipfile.ZipFile(root / f"{kind}.zip", "w") as archive:
            archive.write(put(root.with_name("outside") / f"{kind}.png", kind), "000.png")


def same_names(root: Path) -> None:
    rows = flat(root / "train") + flat(root / "test", 6, "test")
    table(root / "labels.csv", FILE, rows)


def absolute(root: Path) -> None:
    rows = [(f"D:\\scans\\2021\\images\\{name}", kind) for name, kind in flat(root / "images")]
    table(
        root / "labels.csv",
        ("path", "diagnosis", "patient"),
        [(*row, f"P{n}") for n, row in enumerate(rows)],
        ";",
        "utf-8-sig",
    )


def repeated_rows(root: Path) -> None:
    rows = flat(root / "images")
    table(root / "labels.csv", FILE, [*rows, *rows[:4]])


def missing_files(root: Path) -> None:
    rows = flat(root / "images")
    table(root / "labels.csv", FILE, [*rows, ("900.png", "cat"), ("901.png", "emu")])


def upper_suffixes(root: Path) -> None:
    for path in list(folders(root).rglob("*.png")):
        path.rename(path.with_suffix(".PNG"))


def suffix_differs(root: Path) -> None:
    rows = flat(root / "images", name="{:03}.PNG")
    table(root / "labels.csv", FILE, [(name.replace(".PNG", ".png"), kind) for name, kind in rows])


def json_and_parquet(root: Path) -> None:
    import pandas as pd

    rows = flat(root / "train")
    json_lines(root / "train" / "metadata.jsonl", [{"file_name": name, "label": kind} for name, kind in rows])
    rows = flat(root / "test", 6, "test")
    pd.DataFrame(rows, columns=list(FILE)).to_parquet(root / "test" / "metadata.parquet")


def seg_suffix(root: Path) -> None:
    for path in list(folders(root).rglob("*.png")):
        mask(path.with_name(f"{path.stem}_seg.png"))


def spaced_classes(root: Path) -> None:
    folders(root)
    folders(root, 1, names=("Cat ", "DOG"))


def one_hot_floats(root: Path) -> None:
    rows = [
        (name.removesuffix(".png"), float(kind == "cat"), float(kind == "dog"), 0.0) for name, kind in flat(root / "images")
    ]
    table(root / "ISIC_GroundTruth.csv", ("image", "MEL", "NV", "UNK"), rows)


def float_ids(root: Path) -> None:
    rows = [(float(number), kind) for number, (_, kind) in enumerate(flat(root / "images", name="{}.png"))]
    table(root / "labels.csv", ("id", "label"), rows)


def prefixed(root: Path) -> None:
    for split, count in (("train", 6), ("test", 3)):
        for kind in ("cat", "dog"):
            for number in range(count):
                put(root / f"{split}_{kind}" / f"{number}.png", kind, split)


def half_table(root: Path) -> None:
    folders(root / "train")
    table(root / "test_labels.csv", FILE, flat(root / "test", 6, "test"))


def mapping(root: Path) -> None:
    (root / "labels.json").write_text(json.dumps(dict(flat(root / "images"))))


CASES = [
    Case("prefixed", "`train_cat/`, `train_dog/`, `test_cat/`, `test_dog/`", prefixed, Refused("can all be the test split")),
    Case("half-table", "`train/cat/`, `test/1.png` and `test_labels.csv`", half_table, Refused("'test' has no labels")),
    Case("mapping", "`labels.json` of the form {picture: label}", mapping, Refused("labels.json: not read as a table")),
    Case("mixed-case-splits", "`TRAIN/`, `Val/`, `test/`", mixed_case, Read(train=16, test=6)),
    Case(
        "litter",
        "`.DS_Store`, `Thumbs.db`, `README.md`, `._1.png` everywhere",
        litter,
        Read(test=6, refused=("hidden_folder", "no_class_folder", "not_an_image")),
    ),
    Case("hidden-in-class", "`cat/.ipynb_checkpoints/`, `.trash/`", checkpoints, Read(refused=("hidden_folder",))),
    Case("thumbnails", "`cat/@eaDir/`, `cat/__MACOSX/`", thumbnails, Read(refused=("hidden_folder",))),
    Case("submission", "`train.csv`, `sample_submission.csv`", submission, Refused("the split 'test' has no labels")),
    Case("placeholder", "the same, named `test.csv`", placeholder, Refused("which looks like a placeholder")),
    Case("boxes", "a row for each box, several classes in a picture", boxes, Refused("have rows of several classes")),
    Case("coco", "`images/`, `annotations.json` (COCO)", coco, Refused("are not classes")),
    Case("yolo", "`images/train`, `labels/train/*.txt` (YOLO)", yolo, Refused("pictures lie directly in images/test/")),
    Case("folds", "`fold_1/cat`, `fold_2/cat`", folds, Refused("look like one patient, part or site each")),
    Case("zips", "`cat.zip`, `dog.zip`", zips, Refused("2 archives such as 'cat.zip'. Unpack them")),
    Case(
        "same-names",
        "one table of bare names, `train/1.png` and `test/1.png`",
        same_names,
        Refused("the split 'test' has no labels"),
    ),
    Case("absolute", "`D:\\\\scans\\\\images\\\\1.png`, semicolons, BOM, `diagnosis`", absolute, Read()),
    Case("repeated-rows", "rows that repeat others", repeated_rows, Read(train=16)),
    Case(
        "missing-files",
        "rows of pictures that do not exist",
        missing_files,
        Read(classes=("cat", "dog", "emu"), refused=("no_image",)),
    ),
    Case("upper-suffixes", "`1.PNG`", upper_suffixes, Read()),
    Case("suffix-differs", "`1.png` in the table, `1.PNG` in the folder", suffix_differs, Read()),
    Case("json-and-parquet", "`train/metadata.jsonl`, `test/metadata.parquet`", json_and_parquet, SPLIT),
    Case("masks-seg", "`cat/1.png` with `1_seg.png`", seg_suffix, Read(refused=("mask",))),
    Case("spaced-classes", "`cat/`, `Cat /`, `dog/`, `DOG/`", spaced_classes, SPACED),
    Case("one-hot-floats", "columns of 0.0 and 1.0 for each class", one_hot_floats, Refused("a column of 0 and 1 for each")),
    Case("float-ids", "ids 0.0, 1.0 for `0.png`, `1.png`", float_ids, Read()),
]
