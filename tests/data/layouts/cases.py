"""The table of layouts: what each looks like, and how it must be understood or why it is refused."""

from __future__ import annotations

from pathlib import Path

from tests.data.layouts.building import Case, Read, Refused, flat, folders, mask, put, splits, table

SPLIT = Read(test=6)
FILE = ("file_name", "label")


def stray_file(root: Path) -> None:
    (splits(root) / "train" / "classes.txt").write_text("cat\ndog\n")


def annotations_beside(root: Path) -> None:
    (splits(root) / "annotations").mkdir()
    (root / "annotations" / "a.xml").write_text("<a/>")


def masks_beside_splits(root: Path) -> None:
    for number in range(4):
        mask(splits(root) / "masks" / f"{number:03}.png")


def other_beside_splits(root: Path) -> None:
    flat(splits(root) / "extra", 3)


def class_train(root: Path) -> None:
    folders(root, 4, names=("train", "plane"))


def no_train(root: Path) -> None:
    folders(root / "test", 3, "test")


def wrapped(root: Path) -> None:
    splits(root / "archive" / "pets")


def hidden_beside(root: Path) -> None:
    splits(root / "pets")
    put(root / "__MACOSX" / "._001.png", "cat").write_bytes(b"\0")


def split_flat(root: Path) -> None:
    folders(root / "train")
    flat(root / "test", 6, "test")


def test_flat_table_train(root: Path) -> None:
    table(root / "train.csv", FILE, flat(root / "train"))
    flat(root / "test", 6, "test")


def test_table_bare(root: Path) -> None:
    table(root / "train.csv", FILE, flat(root / "train"))
    table(root / "test.csv", ("file_name",), [row[:1] for row in flat(root / "test", 6, "test", "t{:03}.png")])


def other_case(root: Path) -> None:
    folders(root / "train")
    folders(root / "test", 3, "test", names=("Cat", "Dog"))


def nothing_common(root: Path) -> None:
    folders(root / "train")
    folders(root / "test", 3, "test", names=("lion", "wolf"))


def split_below(root: Path) -> None:
    for name in ("cat", "dog"):
        flat(root / name / "train", 4)
        flat(root / name / "test", 2)


def masks_same_stem(root: Path) -> None:
    for path in list(folders(root).rglob("*.png")):
        path.rename(path.with_suffix(".jpg"))
        mask(path)


def masks_named(root: Path) -> None:
    for path in list(folders(root).rglob("*.png")):
        mask(path.with_name(f"{path.stem}_mask.png"))
        mask(path.with_name(f"{path.stem}_mask_1.png"), (0, 1, 2))


def masks_in_class(root: Path) -> None:
    for kind in ("cat", "dog"):
        for number in range(6):
            put(root / kind / "images" / f"{number}.png", kind)
            mask(root / kind / "masks" / f"{number}.png")


def two_formats(root: Path) -> None:
    for path in list(folders(root, 3).rglob("*.png")):
        put(path.with_suffix(".bmp"), path.parent.name)


def images_and_masks(root: Path) -> None:
    for file, _ in flat(root / "images"):
        mask(root / "masks" / file)


def masks_and_table(root: Path) -> None:
    images_and_masks(root)
    table(root / "labels.csv", FILE, [(f"images/{n:03}.png", ("cat", "dog")[n % 2]) for n in range(12)])


def split_images_and_masks(root: Path) -> None:
    for split in ("train", "test"):
        for file, _ in flat(root / split / "images", 6, split):
            mask(root / split / "masks" / file)


def patients(root: Path, name: str = "patient_{:03}") -> None:
    for number in range(3):
        folders(root / name.format(number), 2)


def one_class_each_patient(root: Path) -> None:
    for number in range(4):
        flat(root / f"patient{number}", 3)


def patients_below(root: Path) -> None:
    for kind in ("cat", "dog"):
        for number in range(6):
            put(root / kind / f"patient_{number}" / "a.png", kind)


def sites(root: Path) -> None:
    folders(root / "Berlin")
    folders(root / "Bonn")


def texts_beside(root: Path) -> None:
    for path in list(folders(root).rglob("*.png")):
        path.with_suffix(".txt").write_text("a pet")


def flat_only(root: Path) -> None:
    flat(root)


def spreadsheet(root: Path) -> None:
    flat(root / "images")
    (root / "labels.xlsx").write_bytes(b"PK\3\4")


def linked(root: Path) -> None:
    for path in list(folders(root / ".store").rglob("*.png")):
        link = root / path.parent.name / path.name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(path)


def codes(root: Path) -> None:
    for number in range(3):
        flat(root / f"P{number:03}", 4)


def two_tests(root: Path) -> None:
    folders(splits(root) / "evaluation", 2, "test")


def train_and_val(root: Path) -> None:
    folders(splits(root) / "val", 2)


CASES = [
    Case("two-tests", "`train/`, `test/`, `evaluation/`", two_tests, Refused("can all be the test split 'test'")),
    Case("validation", "`train/`, `val/`, `test/`", train_and_val, Read(train=16, test=6)),
    Case("class-folders", "`cat/`, `dog/`", folders, Read()),
    Case("nested-classes", "folders below the classes", patients_below, Read()),
    Case("splits", "`train/cat`, `test/cat`", splits, SPLIT),
    Case("stray-file", "the same with `train/classes.txt`", stray_file, Read(test=6, refused=("no_class_folder",))),
    Case(
        "annotations-beside",
        "the same with `annotations/a.xml`",
        annotations_beside,
        Read(test=6, said=("annotations/",), refused=("folder_not_read",)),
    ),
    Case(
        "masks-beside-splits",
        "the same with `masks/*.png`",
        masks_beside_splits,
        Read(test=6, said=("masks/",), refused=("folder_not_read",)),
    ),
    Case("capital-splits", "`Train/`, `Test/`", lambda root: splits(root, "Train", "Test"), SPLIT),
    Case("training-testing", "`Training/`, `Testing/`", lambda root: splits(root, "Training", "Testing"), SPLIT),
    Case("train-images", "`train_images/`, `test_images/`", lambda root: splits(root, "train_images", "test_images"), SPLIT),
    Case("eval", "`train/`, `eval/`", lambda root: splits(root, "train", "eval"), SPLIT),
    Case("numbered-splits", "`01-train/`, `02-test/`", lambda root: splits(root, "01-train", "02-test"), SPLIT),
    Case(
        "own-test-name",
        "`train/`, `holdout/`, `test_split=holdout`",
        lambda r: splits(r, "train", "holdout"),
        SPLIT,
        {"test_split": "holdout"},
    ),
    Case("wrapped", "`archive/pets/train/cat`", wrapped, Read(test=6, said=("archive/pets/ is read",))),
    Case("mac-archive", "`pets/train/cat` and `__MACOSX/`", hidden_beside, Read(test=6, refused=("folder_not_read",))),
    Case(
        "other-beside-splits",
        "`train/`, `test/` and `extra/` with pictures",
        other_beside_splits,
        Refused("can be splits.*'extra'.*prepare.layout=split_folders or prepare.layout=class_folders"),
    ),
    Case(
        "other-left-out",
        "the same, `layout=split_folders`",
        other_beside_splits,
        Read(test=6, refused=("folder_not_read",)),
        {"layout": "split_folders"},
    ),
    Case("class-called-train", "`train/`, `plane/`, both with pictures", class_train, Refused("'train' can be splits")),
    Case(
        "train-is-a-class",
        "the same, `layout=class_folders`",
        class_train,
        Read(train=8, classes=("plane", "train"), rename={"train": "cat", "plane": "dog"}),
        {"layout": "class_folders"},
    ),
    Case("no-training-split", "`test/cat`, `test/dog` alone", no_train, Refused("no training split")),
    Case(
        "test-without-classes",
        "`train/cat`, but pictures directly in `test/`",
        split_flat,
        Refused("the split 'test' has no labels.*prepare.test_split="),
    ),
    Case(
        "test-left-out",
        "the same, `test_split=` (empty)",
        split_flat,
        Read(refused=("no_class_folder",)),
        {"test_split": ""},
    ),
    Case(
        "test-not-in-table",
        "`train.csv` for `train/`, none for `test/`",
        test_flat_table_train,
        Refused("the split 'test' has no labels"),
    ),
    Case(
        "test-table-bare", "`test.csv` without labels", test_table_bare, Refused("the split 'test' has no labels.*test.csv")
    ),
    Case("test-other-case", "`train/cat`, `test/Cat`", other_case, Refused("a class 'Cat' and the training split 'cat'")),
    Case("test-other-classes", "`test/lion`, `train/cat`", nothing_common, Refused("none in common")),
    Case("splits-below-classes", "`cat/train`, `cat/test`", split_below, Refused("contain folders of splits")),
    Case(
        "masks-same-stem",
        "`cat/1.jpg` with its mask `cat/1.png`",
        masks_same_stem,
        Read(said=("masks (12)",), refused=("mask",)),
    ),
    Case("masks-named", "`cat/1.png` with `1_mask.png`, `1_mask_1.png`", masks_named, Read(refused=("mask",))),
    Case("masks-in-class", "`cat/images`, `cat/masks`", masks_in_class, Read(refused=("mask",))),
    Case("two-formats", "`cat/1.png` and another picture `cat/1.bmp`", two_formats, Read()),
    Case("images-and-masks", "`images/`, `masks/`", images_and_masks, Refused("'images', 'masks' are not classes")),
    Case("split-images-and-masks", "`train/images`, `train/masks`", split_images_and_masks, Refused("are not classes")),
    Case("masks-and-table", "`images/`, `masks/`, `labels.csv`", masks_and_table, Read(refused=("not_in_table",))),
    Case("patients-above", "`patient_001/cat`", patients, Refused("look like one patient, part or site each")),
    Case("numbers-above", "`0017/cat`", lambda root: patients(root, "{:04}"), Refused("two readings are possible")),
    Case("one-class-per-patient", "`patient1/*.png`", one_class_each_patient, Refused("look like one patient")),
    Case("codes", "`P000/*.png`, `P001/*.png`, ...", codes, Refused("'P000', 'P001', 'P002' look like one patient")),
    Case("sites-above", "`Berlin/cat`, `Bonn/cat`", sites, Refused("classes 'Berlin', 'Bonn', or classes 'cat', 'dog'")),
    Case("flat", "pictures without class folders or table", flat_only, Refused("without class folders.*labels.csv")),
    Case("spreadsheet", "`labels.xlsx`, `images/`", spreadsheet, Refused("'images' are not classes.*file_name")),
    Case(
        "kohya",
        "class folders with a `.txt` beside each picture",
        texts_beside,
        Read(said=("captions: 12 .txt",)),
    ),
    Case("links", "class folders of links below the source", linked, Read(refused=("hidden_folder",))),
]
