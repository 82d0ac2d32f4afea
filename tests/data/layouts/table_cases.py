"""Layouts with a table of labels beside the pictures, and tables that are something else."""

from __future__ import annotations

from pathlib import Path

from tests.data.layouts.building import Case, Read, Refused, flat, folders, json_lines, put, table

SPLIT = Read(test=6)
FILE = ("file_name", "label")


def metadata_in_splits(root: Path) -> None:
    for split, count in (("train", 12), ("test", 6)):
        table(root / split / "metadata.csv", FILE, flat(root / split, count, split))


def labels_csv(root: Path, header: tuple[str, str] = FILE, file: str = "labels.csv", **form: str) -> None:
    table(root / file, header, flat(root / "images"), **form)


def labels_nested(root: Path) -> None:
    rows = flat(root / "images" / "a", 6) + flat(root / "images" / "b", 6, name="b{:03}.png")
    table(root / "labels.csv", FILE, rows)


def ids(root: Path) -> None:
    rows = flat(root / "images", name="id{:03}.png")
    table(root / "labels.csv", ("id", "breed"), [(Path(name).stem, kind) for name, kind in rows])


def windows_paths(root: Path) -> None:
    table(root / "labels.csv", FILE, [(f"images\\{name}", kind) for name, kind in flat(root / "images")])


def excel(root: Path) -> None:
    labels_csv(root, separator=";", encoding="utf-8-sig")


def accents(root: Path) -> None:
    rows = flat(root / "images", name="brûlé{:03}.png")
    table(root / "labels.csv", FILE, rows, separator=";", encoding="cp1252")


def pandas_index(root: Path) -> None:
    rows = flat(root / "images")
    table(root / "labels.csv", ("", *FILE), [(number, *row) for number, row in enumerate(rows)])


def float_labels(root: Path) -> None:
    rows = [(name, 0.0 if kind == "cat" else 1.0) for name, kind in flat(root / "images")]
    table(root / "labels.csv", FILE, rows)


def missing_labels(root: Path) -> None:
    rows = [[name, 0.0 if kind == "cat" else 1.0] for name, kind in flat(root / "images")]
    rows[0][1] = "NaN"
    table(root / "labels.csv", FILE, rows)


def measures(root: Path) -> None:
    table(root / "labels.csv", FILE, [(name, 0.5 + number) for number, (name, _) in enumerate(flat(root / "images"))])


def several_labels(root: Path) -> None:
    rows = flat(root / "images")
    table(root / "labels.csv", FILE, [*rows[:-1], (rows[-1][0], "cat|dog")])


def label_lists(root: Path) -> None:
    json_lines(root / "metadata.jsonl", [{"file_name": name, "label": [kind]} for name, kind in flat(root)])


def one_hot(root: Path) -> None:
    rows = [(name, int(kind == "cat"), int(kind == "dog")) for name, kind in flat(root / "images")]
    table(root / "labels.csv", ("image", "cat", "dog"), rows)


def many_columns(root: Path, label: str = "finding") -> None:
    rows = [(name, number, kind) for number, (name, kind) in enumerate(flat(root / "images"))]
    table(root / "labels.csv", ("image", "age", label), rows)


def patient_column(root: Path) -> None:
    rows = [(name, number // 3, kind) for number, (name, kind) in enumerate(flat(root / "images"))]
    table(root / "labels.csv", ("image", "patient_id", "label"), rows)


def split_column(root: Path) -> None:
    rows = [(f"a{n:03}.png", ("cat", "dog")[n % 2], "train" if n < 12 else "test") for n in range(18)]
    for name, kind, split in rows:
        put(root / "images" / name, kind, split)
    table(root / "labels.csv", (*FILE, "split"), rows)


def split_held_out(root: Path, words: tuple[str, str] = ("train", "holdout")) -> None:
    rows = [(f"a{n:03}.png", ("cat", "dog")[n % 2], words[n >= 12]) for n in range(18)]
    for name, kind, split in rows:
        put(root / "images" / name, kind, "test" if split == "holdout" else "train")
    table(root / "labels.csv", (*FILE, "fold"), rows)


def negative_labels(root: Path, *others: int) -> None:
    kinds = {"cat": 0 if others else -1, "dog": 1}
    rows = [(name, kinds[kind]) for name, kind in flat(root / "images")]
    rows += [(name, number) for number in others for name, _ in flat(root / "images", 1, name=f"x{number}.png")]
    table(root / "labels.csv", FILE, rows)


def split_as_label(root: Path) -> None:
    rows = [(name, "train") for name, _ in flat(root / "images")]
    table(root / "labels.csv", ("file_name", "label"), rows)


def one_table_two_splits(root: Path) -> None:
    rows = [(f"train/{name}", kind) for name, kind in flat(root / "train")]
    rows += [(f"test/{name}", kind) for name, kind in flat(root / "test", 6, "test")]
    table(root / "labels.csv", FILE, rows)


def two_tables_two_splits(root: Path) -> None:
    table(root / "train.csv", FILE, flat(root / "images"))
    table(root / "test.csv", FILE, flat(root / "images", 6, "test", "t{:03}.png"))


def table_held_out(root: Path) -> None:
    table(root / "train.csv", FILE, flat(root / "images"))
    table(root / "holdout.csv", FILE, flat(root / "images", 6, "test", "t{:03}.png"))


def is_train(root: Path) -> None:
    rows = [(name, kind, number % 2) for number, (name, kind) in enumerate(flat(root / "images"))]
    table(root / "labels.csv", (*FILE, "is_train"), rows)


def tables_disagree(root: Path) -> None:
    rows = flat(root / "images")
    table(root / "a.csv", FILE, rows)
    table(root / "b.csv", FILE, [(name, "dog") for name, _ in rows])


def tables_agree(root: Path) -> None:
    rows = flat(root)
    table(root / "metadata.csv", FILE, rows)
    json_lines(root / "metadata.jsonl", [{"file_name": name, "label": kind} for name, kind in rows])


def two_path_columns(root: Path) -> None:
    rows = flat(root / "a")
    for name, kind in rows:
        put(root / "b" / f"x{name}", kind)
    table(root / "labels.csv", ("left", "right", "label"), [(name, f"x{name}", kind) for name, kind in rows])


def unlisted(root: Path) -> None:
    rows = flat(root / "images")
    table(root / "labels.csv", FILE, rows)
    put(root / "images" / "new.png", "cat")


def without_file(root: Path) -> None:
    table(root / "labels.csv", FILE, [*flat(root / "images"), ("gone.png", "cat")])


def names_twice(root: Path) -> None:
    rows = [*flat(root / "a"), ("000.png", "cat")]
    put(root / "b" / "000.png", "dog")
    table(root / "labels.csv", FILE, [(f"a/{name}", kind) for name, kind in rows[:-1]] + [("000.png", "cat")])


def no_header(root: Path) -> None:
    rows = flat(root / "images")
    table(root / "labels.csv", rows[0], rows[1:])


def unrelated_table(root: Path) -> None:
    table(folders(root) / "sizes.csv", ("name", "size"), [("cat", 1), ("dog", 2)])


def folders_and_text(root: Path) -> None:
    rows = [(f"{kind}/{n:03}.png", f"a {kind}") for kind in ("cat", "dog") for n in range(6)]
    table(folders(root) / "metadata.csv", ("file_name", "text"), rows)


def folders_and_same_labels(root: Path) -> None:
    rows = [(f"{kind}/{n:03}.png", kind) for kind in ("cat", "dog") for n in range(6)]
    table(folders(root) / "metadata.csv", FILE, rows)


def folders_and_other_labels(root: Path) -> None:
    folders(root, names=("2019", "2020"))
    rows = [(f"{year}/{n:03}.png", kind) for year, kind in (("2019", "cat"), ("2020", "dog")) for n in range(6)]
    table(root / "metadata.csv", FILE, rows)


def folders_and_age(root: Path) -> None:
    rows = [(f"{kind}/{n:03}.png", 30 + n) for kind in ("cat", "dog") for n in range(6)]
    table(folders(root) / "people.csv", ("file", "age"), rows)


def parts_of_images(root: Path) -> None:
    rows = flat(root / "SKIN_images_part_1", 6, name="a{:03}.png") + flat(root / "SKIN_images_part_2", 6)
    rows = [(name.removesuffix(".png"), kind, 50) for name, kind in rows]
    table(root / "SKIN_metadata.csv", ("image_id", "dx", "age"), rows)


def longer_paths(root: Path) -> None:
    rows = [(f"set-v1/images/{name}", kind) for name, kind in flat(root / "images")]
    table(root / "labels.csv", ("Path", "label"), rows)


def stray_spaces(root: Path) -> None:
    rows = [(name, kind.title() + " " if name == "000.png" else kind) for name, kind in flat(root / "images")]
    table(root / "labels.csv", FILE, rows)


def only_joined(root: Path) -> None:
    table(root / "labels.csv", FILE, [(name, f"{kind}|pet") for name, kind in flat(root / "images")])


def two_label_columns(root: Path, differ: bool = False) -> None:
    rows = [(name, number % 3 if differ else int(kind == "dog"), kind) for number, (name, kind) in enumerate(flat(root))]
    table(root / "metadata.csv", (*FILE, "class"), rows)


def one_joined(root: Path) -> None:
    rows = flat(root / "images")
    table(root / "labels.csv", FILE, [*rows[1:], (rows[0][0], "emu|gnu")])


def no_label_at_all(root: Path) -> None:
    table(root / "labels.csv", FILE, [(name, "") for name, _ in flat(root / "images")])


CASES = [
    Case(
        "two-label-columns",
        "columns `label` (0, 1) and `class` (names) that agree",
        two_label_columns,
        Read(classes=("0", "1"), rename={"0": "cat", "1": "dog"}),
    ),
    Case(
        "label-columns-differ",
        "columns `label` and `class` that group the pictures differently",
        lambda root: two_label_columns(root, differ=True),
        Refused("'label' and 'class' can both be the labels"),
    ),
    Case("one-joined", "one label `emu\\|gnu`", one_joined, Refused("several labels in one cell")),
    Case("no-label-at-all", "an empty label column", no_label_at_all, Refused("label no picture to train on")),
    Case("parts-of-images", "`SKIN_images_part_1/`, `.._2/`, `SKIN_metadata.csv`", parts_of_images, Read()),
    Case("longer-paths", "paths in the table that begin above the folder", longer_paths, Read()),
    Case(
        "stray-spaces",
        "a label `Cat ` among `cat`",
        stray_spaces,
        Read(classes=("Cat ", "cat", "dog"), said=("differ only in case, spaces",), rename={"Cat ": "cat"}),
    ),
    Case("only-joined", "labels `cat\\|pet`, `dog\\|pet`", only_joined, Refused("several labels in one cell")),
    Case("metadata-in-splits", "`train/metadata.csv`, `test/metadata.csv`", metadata_in_splits, SPLIT),
    Case("metadata", "pictures and `metadata.csv`", lambda root: table(root / "metadata.csv", FILE, flat(root)), Read()),
    Case("labels-csv", "`labels.csv`, `images/`", labels_csv, Read(said=("column 'label' of labels.csv",))),
    Case("labels-tsv", "`labels.tsv`", lambda root: labels_csv(root, file="labels.tsv", separator="\t"), Read()),
    Case("labels-nested", "`labels.csv`, `images/a/`, `images/b/`", labels_nested, Read()),
    Case("ids", "columns `id` (no extension), `breed`", ids, Read()),
    Case("windows-paths", "`images\\001.png` in the table", windows_paths, Read()),
    Case("excel", "semicolons and a byte order mark", excel, Read()),
    Case("cp1252", "Windows encoding", accents, Read(said=("cp1252",))),
    Case("utf-16", "UTF-16", lambda root: labels_csv(root, encoding="utf-16"), Read()),
    Case("pandas-index", "a first column without name", pandas_index, Read()),
    Case("float-labels", "labels 0.0, 1.0", float_labels, Read(classes=("0", "1"), rename={"0": "cat", "1": "dog"})),
    Case(
        "missing-labels",
        "a label NaN",
        missing_labels,
        Read(train=11, classes=("0", "1"), refused=("no_label",), rename={"0": "cat", "1": "dog"}),
    ),
    Case("measures", "labels 0.5, 1.5, 2.5 ...", measures, Refused("holds measures, not classes")),
    Case("several-labels", "a label `cat|dog`", several_labels, Refused("several labels in one cell.*exactly one class")),
    Case("label-lists", "lists of labels", label_lists, Refused("several labels for a picture")),
    Case("one-hot", "a column of 0 and 1 for each class", one_hot, Refused("a column of 0 and 1 for each of 2 classes")),
    Case(
        "many-columns",
        "columns `image`, `age`, `finding`",
        many_columns,
        Refused("columns found: image, age, finding.*prepare.label_column=NAME"),
    ),
    Case("label-column", "the same, `label_column=finding`", many_columns, Read(), {"label_column": "finding"}),
    Case("patient-column", "columns `image`, `patient_id`, `label`", patient_column, Read(said=("'patient_id'",))),
    Case("split-column", "a column `split`", split_column, SPLIT),
    Case(
        "split-unknown",
        "a column `fold` of `train` and `holdout`",
        split_held_out,
        Refused("column 'fold' names splits, but not with 'holdout'.*prepare.test_split=holdout"),
    ),
    Case("split-named", "the same, `test_split=holdout`", split_held_out, SPLIT, {"test_split": "holdout"}),
    Case(
        "split-numbers",
        "a column `fold` of 0 and 1",
        lambda root: split_held_out(root, ("0", "1")),
        Read(train=18, said=("'fold' names no split ('0', '1')",)),
    ),
    Case("negative", "labels -1 and 1", negative_labels, Refused("holds -1, 1, and a negative number means")),
    Case(
        "negative-some",
        "labels 0 and 1, and -1 once",
        lambda root: negative_labels(root, -1),
        Read(
            classes=("0", "1"),
            refused=("no_label",),
            rename={"0": "cat", "1": "dog"},
            said=("1 rows have a negative number in 'label'",),
        ),
    ),
    Case("split-as-label", "a label column of nothing but `train`", split_as_label, Refused("names of splits")),
    Case("table-above-splits", "`labels.csv` with `train/1.png`, `test/1.png`", one_table_two_splits, SPLIT),
    Case("tables-of-splits", "`train.csv`, `test.csv`, `images/`", two_tables_two_splits, SPLIT),
    Case(
        "table-held-out",
        "`train.csv`, `holdout.csv`, `images/`",
        table_held_out,
        Refused("train.csv' can be tables of splits, and 'holdout.csv' beside them.*prepare.test_split"),
    ),
    Case("table-held-out-named", "the same, `test_split=holdout`", table_held_out, SPLIT, {"test_split": "holdout"}),
    Case("is-train", "a column `is_train`", is_train, Read(said=("'is_train' is not read",))),
    Case("tables-disagree", "two tables, other labels", tables_disagree, Refused("two tables label .*prepare.table=FILE")),
    Case("table-named", "the same, `table=a.csv`", tables_disagree, Read(), {"table": "a.csv"}),
    Case("tables-agree", "two tables, the same labels", tables_agree, Read()),
    Case(
        "two-path-columns", "two columns of pictures", two_path_columns, Refused("both name pictures.*prepare.image_column")
    ),
    Case(
        "path-column",
        "the same, `image_column=left`",
        two_path_columns,
        Read(refused=("not_in_table",)),
        {"image_column": "left"},
    ),
    Case(
        "unlisted",
        "a picture that the table does not list",
        unlisted,
        Read(said=("no table names",), refused=("not_in_table",)),
    ),
    Case("row-without-file", "a row without picture", without_file, Read(refused=("no_image",))),
    Case(
        "names-twice",
        "a row whose name two pictures have",
        names_twice,
        Read(refused=("no_image", "not_in_table")),
        {"layout": "table"},
    ),
    Case("no-header", "a table whose first line is a row", no_header, Refused("first line of labels.csv names a picture")),
    Case(
        "unrelated-table",
        "class folders and a table of something else",
        unrelated_table,
        Read(said=("sizes.csv",), refused=("no_class_folder",)),
    ),
    Case(
        "folders-and-text",
        "class folders, `metadata.csv` with texts",
        folders_and_text,
        Read(said=("captions:",), refused=("no_class_folder",)),
    ),
    Case(
        "folders-and-same-labels",
        "class folders, a table that agrees",
        folders_and_same_labels,
        Read(said=("the same",), refused=("no_class_folder",)),
    ),
    Case(
        "folders-and-other-labels",
        "folders by year, a table of labels",
        folders_and_other_labels,
        Refused("in two ways.*prepare.layout=class_folders.*prepare.layout=table"),
    ),
    Case("table-decides", "the same, `layout=table`", folders_and_other_labels, Read(), {"layout": "table"}),
    Case(
        "folders-and-age",
        "class folders, a table of ages",
        folders_and_age,
        Read(said=("people.csv",), refused=("no_class_folder",)),
    ),
]
