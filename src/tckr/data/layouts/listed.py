"""Read tables beside pictures: which tables, which columns, which split each row belongs to, which pictures no row names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from tckr.data.layouts.description import LeftOut
from tckr.data.layouts.labels import (
    NoClassError,
    as_labels,
    find_label_column,
    group_of,
    is_usual_label,
    one_hot_columns,
    split_column,
    usual_caption,
)
from tckr.data.layouts.matching import Match, Pictures, columns_of, match_pictures
from tckr.data.layouts.names import is_form, split_of, use_of
from tckr.data.layouts.readings import Part, Row, TableReading, Wishes
from tckr.data.layouts.survey import Folder
from tckr.data.layouts.tables import Table, UnreadableTableError, read_table
from tckr.data.sources.record import TEST, TRAIN, printable
from tckr.errors import UserError, shown

FEW_CONTRADICTIONS = 0.1
"""Share of the pictures up to which rows of several classes are mistakes, which `prepare` lists one by one."""


@dataclass(frozen=True)
class _Labelled:
    table: Table
    match: Match
    column: str
    labels: list[str | int | None]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What the tables of a source say.

    Attributes:
        reading: pictures and labels, None where no table gives both.
        problems: why a table that names pictures gives no labels.
        left_out: tables that are not read.
        captions: where texts about the pictures are, empty if nowhere.
        texts: picture -> text.
    """

    reading: TableReading | None
    problems: Sequence[str] = ()
    left_out: Sequence[LeftOut] = ()
    captions: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


def read_tables(top: Folder, root: Path, wishes: Wishes) -> Tables:
    """Return what the tables below `top` say of its pictures.

    Raises:
        UserError: two tables give different labels, or the table asked for is not there or cannot be read.
    """
    files = _asked(top.all_tables(), wishes)
    if not files:
        return Tables(reading=None)
    pictures = Pictures(top.all_pictures())
    labelled: list[_Labelled] = []
    problems, left_out, captions, bare = [], [], "", []
    texts: dict[str, str] = {}
    for file in files:
        if is_form(PurePosixPath(file).stem) and not wishes.table:
            left_out.append(LeftOut(what=file, count=1, why="a form for answers: its labels are made up"))
            continue
        try:
            table = read_table(root, file)
        except UnreadableTableError as error:
            left_out.append(LeftOut(what=file, count=1, why=f"not read as a table: {error}"))
            continue
        match = match_pictures(table, pictures, wishes.image_column)
        if match is None or not match.found:
            left_out.append(LeftOut(what=file, count=1, why="the table names no picture of this folder"))
            continue
        if text := usual_caption(table.columns):
            captions = f"column {text!r} of {file}; caption.from_source=true uses them"
            said = zip(match.files, table.columns[text], strict=True)
            texts |= {picture: str(cell) for picture, cell in said if picture is not None and cell is not None}
        found = _labels(table, match, wishes)
        if isinstance(found, _Labelled):
            labelled.append(found)
        else:
            problems.append(found)
            bare.append(file)
            left_out.append(LeftOut(what=file, count=1, why="the table has no label column"))
    labelled = _agreeing(labelled)
    if not labelled:
        return Tables(reading=None, problems=problems, left_out=left_out, captions=captions, texts=texts)
    _refuse_unlabelled(bare, wishes)
    reading = replace(_join(labelled, pictures, wishes, left_out), captions=captions, texts=texts)
    return Tables(reading=reading, texts=texts, problems=problems, left_out=left_out, captions=captions)


def _asked(files: Sequence[str], wishes: Wishes) -> Sequence[str]:
    if not wishes.table:
        return files
    asked = wishes.table.removeprefix("./")
    found = [file for file in files if file == asked] or [file for file in files if PurePosixPath(file).name == asked]
    if not found:
        raise UserError(
            f"prepare.table={wishes.table} is no table in {wishes.source}; tables found: {', '.join(files[:20]) or 'none'}. "
            "Name one of them."
        )
    return found


def _labels(table: Table, match: Match, wishes: Wishes) -> _Labelled | str:
    """Return the labels of a table, or why it has none."""
    taken = {match.column} | ({split} if (split := split_column(table.columns)) else set())
    taken |= {wishes.grouping.column} & table.columns.keys()
    where = f"{table.file} names {len(match.found):,} pictures in the column {match.column!r}"
    try:
        column = find_label_column(table.columns, taken, wishes.label_column)
    except NoClassError as error:
        return f"{where}: {error}"
    if column is None:
        ones = one_hot_columns(table.columns, taken)
        what = "no column of labels that is certain"
        if len(ones) > 1:
            what = f"a column of 0 and 1 for each of {len(ones)} classes ({columns_of(dict.fromkeys(ones[:6], ()))})"
        return (
            f"{where}, and has {what}; columns found: {columns_of(table.columns)}. Name the column that holds the class of "
            "each picture: prepare.label_column=NAME (write one if there is none)"
        )
    try:
        found = _Labelled(table, match, column, as_labels(column, table.columns[column]))
    except NoClassError as error:
        return f"{where}: {error}"
    problem = _several_classes(found)
    return f"{where}: {problem}" if problem else found


def _several_classes(found: _Labelled) -> str:
    """Return what speaks against a table with a row for each box or finding: pictures with rows of several classes."""
    classes: dict[str, set[str]] = {}
    for file, label in zip(found.match.files, found.labels, strict=True):
        if file is not None and label is not None:
            classes.setdefault(file, set()).add(str(label))
    several = [file for file, names in classes.items() if len(names) > 1]
    if len(several) <= FEW_CONTRADICTIONS * len(classes):
        return ""
    example = f"{shown(printable(several[0]))} ({', '.join(map(shown, sorted(classes[several[0]])[:3]))})"
    return (
        f"{len(several):,} of {len(classes):,} pictures stand in rows of several classes, such as {example}: a row for each "
        "box or finding is no class of the picture. TCKR needs exactly one class for each: write a table with one row each"
    )


def _agreeing(found: Sequence[_Labelled]) -> list[_Labelled]:
    """Return the tables to read: one that repeats what an earlier one says is left out.

    Raises:
        UserError: two tables label the same pictures differently.
    """
    kept: list[_Labelled] = []
    said: dict[str, tuple[str | int | None, str]] = {}
    for item in found:
        new = dict(zip(item.match.files, item.labels, strict=True))
        shared = [file for file in new if file in said and file is not None]
        other = next((file for file in shared if said[file][0] != new[file]), None)
        if other is not None:
            raise UserError(
                f"two tables label {other}: {said[other][1]} as {said[other][0]!r}, {item.table.file} (column "
                f"{item.column!r}) as {new[other]!r}. Name the table to read: prepare.table=FILE."
            )
        if len(shared) < len(item.match.found):
            kept.append(item)
        said |= {file: (label, item.table.file) for file, label in new.items() if file is not None}
    return kept


def _refuse_unlabelled(bare: Sequence[str], wishes: Wishes) -> None:
    """Raise where a table without labels is that of the test split."""
    tests = [file for file in bare if _part_of_path(file, wishes).use == TEST]
    if tests:
        name = _part_of_path(tests[0], wishes).name
        raise UserError(
            f"the split {name!r} has no labels: {tests[0]} has no column of labels. Add the column; or set "
            "prepare.test_split= (empty): then its pictures are left out and a test split is drawn from the others."
        )


def _join(labelled: Sequence[_Labelled], pictures: Pictures, wishes: Wishes, left_out: Sequence[LeftOut]) -> TableReading:
    rows = [row for item in labelled for row in _rows(item, wishes)]
    named = {row.file for row in rows}
    first = labelled[0]
    notes = [f"{item.table.file}: {item.table.note}" for item in labelled if item.table.note]
    return TableReading(
        tables=[item.table.file for item in labelled],
        path_column=first.match.column,
        label_column=first.column,
        rows=rows,
        unlisted=sorted(pictures.paths - named),
        usual=bool(wishes.label_column) or is_usual_label(first.column),
        group_column=group_of(first.table.columns),
        notes=notes,
        left_out=left_out,
    )


def _rows(item: _Labelled, wishes: Wishes) -> list[Row]:
    table = item.table
    column = split_column(table.columns)
    own = _part_of_path(table.file, wishes)
    rows = []
    for number, (file, label) in enumerate(zip(item.match.files, item.labels, strict=True)):
        said = table.columns[column][number] if column else None
        part = own
        if said is not None:
            part = Part(str(said), use_of(str(said), wishes.test_split) or TRAIN)
        elif file is not None and own.name == TRAIN:
            part = _part_of_path(file, wishes)
        cell = table.columns[item.match.column][number]
        rows.append(Row(name=file or f"{table.file}#{number}", file=file, part=part, label=label, detail=str(cell)[:100]))
    return rows


def _part_of_path(path: str, wishes: Wishes) -> Part:
    """Return the split that the folders of a file, or a table's own name, tell; else the training split."""
    *folders, name = path.split("/")
    for word in [*folders, *([PurePosixPath(name).stem] if PurePosixPath(name).suffix.lower() in _TABLES else [])]:
        use = use_of(word, wishes.test_split)
        if use:
            return Part(word, use)
    return Part(TRAIN, TRAIN)


_TABLES = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"}


def split_without_labels(reading: TableReading, top: Folder, wishes: Wishes) -> str:
    """Return the folder of the test split if it holds pictures and none of them is labelled, else an empty text."""
    for folder in top.folders:
        if use_of(folder.name, wishes.test_split) == TEST and folder.num_pictures:
            labelled = any(row.part.use == TEST and row.label is not None and row.file for row in reading.rows)
            return "" if labelled else folder.name
    return ""


def has_train_rows(reading: TableReading) -> bool:
    """Return whether any row belongs to a split that is trained on."""
    return any(row.part.use == TRAIN and row.file and row.label is not None for row in reading.rows)


def split_named(path: str) -> str | None:
    """Return the split that a file or folder is named after."""
    return split_of(PurePosixPath(path).stem)
