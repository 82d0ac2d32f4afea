"""Decide how a folder is read. Two possible readings are an error that shows both and names the setting that decides.

1. A folder written by `save_to_disk` is recognised by its files.
2. Parquet files with pictures, and TAR or Arrow files, are read if there are no picture files beside them.
3. Tables with pictures and a label for each are read if class folders are not plausible, or agree with the tables.
4. Otherwise folders are classes, at the top or in folders of splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tckr.data.layouts.description import LeftOut
from tckr.data.layouts.folders import read_folders, strange_classes
from tckr.data.layouts.grouping import read_group_cells
from tckr.data.layouts.listed import Tables, has_train_rows, is_named_after_split, read_tables, split_without_labels
from tckr.data.layouts.names import split_of, use_of
from tckr.data.layouts.readings import EncodedReading, FolderReading, LoaderReading, Part, Reading, TableReading, Wishes
from tckr.data.layouts.survey import Folder, survey
from tckr.data.sources.record import TEST, TRAIN, printable
from tckr.errors import UserError, shown

SAVED_FILES = ("dataset_dict.json", "state.json")
PACKED_SUFFIXES = (".zip", ".7z", ".rar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LOADER_SUFFIXES = (".tar", ".arrow")
EXAMPLES = 3


def decide(root: Path, wishes: Wishes) -> Reading:
    """Return the only possible reading of the folder `root`, with the groups of its pictures.

    Raises:
        UserError: none or more than one reading is possible; the message says what was found and which setting decides.
    """
    reading = _decide(root, wishes)
    if wishes.grouping.column and isinstance(reading, FolderReading | TableReading):
        cells, tables = read_group_cells(survey(root, wishes.follow_links), root, wishes)
        left_out = [item for item in reading.left_out if item.what not in tables]
        return replace(reading, groups=cells, left_out=left_out)
    return reading


def _decide(root: Path, wishes: Wishes) -> Reading:
    if any((root / name).is_file() for name in SAVED_FILES):
        return LoaderReading(saved=True)
    top = survey(root, wishes.follow_links)
    encoded = _encoded(top, root, wishes) if wishes.layout == "auto" else None
    if encoded and not top.num_pictures:
        return encoded
    _refuse_packed(top, wishes)
    folders = read_folders(top, root, wishes)
    if wishes.layout == "auto" and _is_for_loader(top, folders):
        return LoaderReading(saved=False)
    if wishes.layout in {"class_folders", "split_folders"}:
        return _accepted(folders, top, wishes)
    tables = read_tables(top, root, wishes)
    if encoded:
        return _beside_encoded(encoded, folders, tables, wishes)
    return _choose(folders, tables, top, wishes)


def _refuse_packed(top: Folder, wishes: Wishes) -> None:
    """Raise if the folder contains only archives."""
    packed = [name for folder in top.walk() for name in folder.files if name.lower().endswith(PACKED_SUFFIXES)]
    if packed and not top.num_pictures:
        raise UserError(
            f"{wishes.source} holds no picture, but {len(packed)} archives such as {_some(packed[:1])}. Unpack them into "
            "folders and try again; TAR files of WebDataset are read as they are."
        )


def _choose(folders: FolderReading, tables: Tables, top: Folder, wishes: Wishes) -> Reading:
    reading = tables.reading
    asked = (
        wishes.layout == "table"
        or bool(wishes.table)
        or bool((wishes.label_column or wishes.image_column) and (reading or tables.problems))
    )
    if asked and reading is None:
        raise UserError(f"{_no_table(tables, wishes).removesuffix('.')}.")
    plausible = not folders.problems and len(folders.classes) > 1
    if reading is None or (plausible and not asked and not reading.usual):
        if tables.problems and not plausible:
            raise UserError(f"{wishes.source} is not understood. {tables.problems[0].removesuffix('.')}.")
        unread = [LeftOut(what=file, count=1, why="folders are the classes") for file in (reading.tables if reading else ())]
        captions = tables.captions or folders.captions
        left_out = [*folders.left_out, *tables.left_out, *unread]
        return _accepted(replace(folders, left_out=left_out, captions=captions, texts=tables.texts), top, wishes, tables)
    if plausible and not asked:
        _refuse_two_readings(folders, reading, wishes)
        notes = [*folders.notes, _says_the_same(reading)]
        captions = reading.captions or folders.captions
        return _accepted(replace(folders, notes=notes, captions=captions, texts=tables.texts), top, wishes)
    return _checked_table(reading, top, wishes)


def _no_table(tables: Tables, wishes: Wishes) -> str:
    if tables.problems:
        return tables.problems[0]
    unread = "; ".join(f"{item.what}: {item.why}" for item in tables.left_out[:EXAMPLES])
    return (
        f"no table in {wishes.source} names its pictures and their labels ({unread or 'no table found'}). Expected a CSV, "
        "TSV, JSON lines or Parquet file with a column `file_name` and a column `label`, one row for each picture"
    )


def _accepted(folders: FolderReading, top: Folder, wishes: Wishes, tables: Tables | None = None) -> FolderReading:
    """Return the reading by class folders; its problems are errors of the user."""
    if folders.problems and top.num_pictures:
        unread = "; ".join(f"{printable(item.what)}: {item.why}" for item in (tables.left_out if tables else ())[:EXAMPLES])
        raise UserError(
            f"{wishes.source} is not understood. {folders.problems[0]}.{f' Not read: {unread}.' if unread else ''}"
        )
    return folders


def _refuse_two_readings(folders: FolderReading, reading: TableReading, wishes: Wishes) -> None:
    """Raise unless the table gives every picture the class of its folder."""
    labelled = (row for row in reading.rows if row.file and row.label is not None)
    if all(_in_folder(str(row.file), str(row.label)) for row in labelled) and has_train_rows(reading):
        return
    labels = sorted({str(row.label) for row in reading.rows if row.label is not None})
    raise UserError(
        f"{wishes.source} can be read in two ways. By folders: classes {_some(list(folders.classes))}. "
        f"By {reading.tables[0]}, column {reading.label_column!r}: classes {_some(labels)}. Set "
        "prepare.layout=class_folders (split_folders where they lie in splits) for the first, or prepare.layout=table for "
        "the second."
    )


def _in_folder(file: str, label: str) -> bool:
    return label in file.split("/")[:-1]


def _says_the_same(reading: TableReading) -> str:
    return f"{reading.tables[0]} gives the same classes in its column {reading.label_column!r}"


def _checked_table(reading: TableReading, top: Folder, wishes: Wishes) -> TableReading:
    """Return the reading by tables, unless its test split must be a mistake."""
    if name := split_without_labels(reading, top, wishes):
        raise UserError(
            f"the split {name!r} has no labels: {', '.join(reading.tables[:EXAMPLES])} label none of its pictures. Label "
            "them; or set prepare.test_split= (empty): then they are left out and a test split is sampled from the others."
        )
    if not has_train_rows(reading):
        raise UserError(
            f"{', '.join(reading.tables[:EXAMPLES])} label no picture to train on. Check the tables and the splits."
        )
    tests = sorted({row.part.name for row in reading.rows if row.part.use == TEST})
    _refuse_other_tables(reading, wishes, tests)
    if len(tests) > 1:
        raise UserError(
            f"{wishes.source}: {_some(tests)} can all be the test split {wishes.test_split!r}. Move away, or rename, those "
            "that are not."
        )
    sizes: dict[str, dict[str, int]] = {TRAIN: {}, TEST: {}}
    for row in reading.rows:
        if row.file and row.label is not None:
            use = sizes[row.part.use]
            use[str(row.label)] = use.get(str(row.label), 0) + 1
    if len(sizes[TEST]) == 1 < len(sizes[TRAIN]):
        raise UserError(
            f"{wishes.source}: all {sum(sizes[TEST].values()):,} test pictures have the label {_some(list(sizes[TEST]))}, "
            f"which looks like a placeholder; the training split has {len(sizes[TRAIN])} classes. Give the table the true "
            "labels, or move it and the test pictures away: a test split is then sampled from the others."
        )
    if sizes[TEST] and (problem := strange_classes(sizes[TRAIN], sizes[TEST])):
        raise UserError(f"{wishes.source}: {problem[0]}.")
    if all(split_of(name) for name in sizes[TRAIN]):
        raise UserError(
            f"the labels in column {reading.label_column!r} of {reading.tables[0]} are {_some(sorted(sizes[TRAIN]))}: names "
            "of splits, not of classes. Name the column of labels: prepare.label_column=NAME."
        )
    return reading


def _refuse_other_tables(reading: TableReading, wishes: Wishes, tests: Sequence[str]) -> None:
    """Raise if tables of splits stand beside others, of which one could be that of the test split; `tests` are found."""
    named = [file for file in reading.tables if is_named_after_split(file)]
    others = [file for file in reading.tables if file not in named]
    if wishes.test_split and named and others and not tests:
        raise UserError(
            f"{wishes.source}: {_some(named)} can be tables of splits, and {_some(others)} beside them name none. If one of "
            "them is the test split, set prepare.test_split to its name, without .csv. With prepare.test_split= (empty) all "
            "are used for training and a test split is sampled."
        )


def _encoded(top: Folder, root: Path, wishes: Wishes) -> EncodedReading | None:
    """Return the Parquet files, if any contains pictures or is unreadable, or if there is nothing else."""
    files = sorted(file for file in top.all_tables() if file.lower().endswith(".parquet"))
    if not files or (top.num_pictures and not any(_holds_pictures(root / file) for file in files)):
        return None
    return EncodedReading(files=_with_parts(root, files, wishes))


def _with_parts(root: Path, files: Sequence[str], wishes: Wishes) -> dict[Path, Part]:
    """Return each file with its split, from its own name or from a folder above it."""
    parts = {}
    for file in files:
        names = [PurePosixPath(file).stem, *PurePosixPath(file).parts[-2::-1]]
        parts[root / file] = next((part for name in names if (part := part_of(name, wishes.test_split))), Part(TRAIN, TRAIN))
    return parts


def part_of(name: str, test_split: str) -> Part | None:
    """Return the split in the name of a table, or None."""
    use = use_of(name, test_split)
    if use is None and test_split and test_split.lower() in _words(name):
        use = TEST
    return Part(split_of(name) or test_split, use) if use else None


def _words(name: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()


def _holds_pictures(path: Path) -> bool:
    from tckr.data.sources.parquet import holds_pictures

    return holds_pictures(path)


def _beside_encoded(encoded: EncodedReading, folders: FolderReading, tables: Tables, wishes: Wishes) -> Reading:
    """Return the Parquet files if the pictures beside them give no classes; else raise because of two readings."""
    if tables.reading is None and (folders.problems or len(folders.classes) < 2):
        return encoded
    first = next(iter(encoded.files))
    other = tables.reading.tables[0] if tables.reading else f"folders, with the classes {_some(list(folders.classes))}"
    raise UserError(
        f"{wishes.source} can be read in two ways: the pictures in {first.name}, or those by {other}. Set "
        "prepare.layout=class_folders, split_folders or table for the second; for the first, name the Parquet file, or its "
        "folder, as the source."
    )


def _is_for_loader(top: Folder, folders: FolderReading) -> bool:
    """Return whether the source has TAR or Arrow files and no class folders (below it: no pictures) beside them."""
    if any(name.lower().endswith(LOADER_SUFFIXES) for name in top.files):
        return bool(folders.problems) or len(folders.classes) < 2
    below = (name for folder in top.walk() for name in folder.files)
    return not top.num_pictures and any(name.lower().endswith(LOADER_SUFFIXES) for name in below)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES} others" if len(names) > EXAMPLES else ""
    return ", ".join(shown(printable(name)) for name in names[:EXAMPLES]) + more
