"""Read tables beside pictures: which tables and columns, the split of each row, and the pictures without a row."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tckr.data.layouts.columns import (
    NoClassError,
    as_labels,
    find_label_column,
    group_of,
    is_usual_label,
    one_hot_columns,
    split_columns,
    usual_caption,
)
from tckr.data.layouts.description import LeftOut
from tckr.data.layouts.matching import Match, Pictures, columns_of, match_pictures
from tckr.data.layouts.names import TABLE_SUFFIXES, is_form, split_of, stem_of, suffix_of, use_of
from tckr.data.layouts.readings import Part, Row, TableReading, Wishes
from tckr.data.layouts.survey import Folder
from tckr.data.layouts.tables import Table, UnreadableTableError, read_table
from tckr.data.sources.record import TEST, TRAIN, printable
from tckr.data.stored import Store, StoredList, StoredMap, as_key, as_text
from tckr.errors import UserError, shown

FEW_CONTRADICTIONS = 0.1
"""Up to this share of pictures, rows of several classes are taken for mistakes, which `prepare` lists one by one."""


@dataclass(frozen=True)
class _Labelled:
    table: Table
    match: Match
    column: str
    labels: Sequence[str | int | None]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Result of reading the tables of a source.

    Attributes:
        reading: pictures and labels; None if no table gives both.
        problems: reasons why a table that names pictures gives no labels.
        left_out: tables that are not read.
        captions: where texts about the pictures are; empty if there are none.
        texts: picture -> text.
    """

    reading: TableReading | None
    problems: Sequence[str] = ()
    left_out: Sequence[LeftOut] = ()
    captions: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


def read_tables(top: Folder, root: Path, wishes: Wishes) -> Tables:
    """Return what the tables below `top` contain about its pictures.

    Raises:
        UserError: two tables give different labels, or the table that the user named is missing or unreadable.
    """
    files = _asked(top.all_tables(), wishes)
    if not files:
        return Tables(reading=None)
    pictures = Pictures(top.all_pictures())
    labelled: list[_Labelled] = []
    problems, left_out, captions, bare = [], [], "", []
    texts: StoredMap[str] = StoredMap()
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
        if match is None:
            left_out.append(LeftOut(what=file, count=1, why="the table names no picture of this folder"))
            continue
        if text := usual_caption(table.columns):
            captions = f"column {text!r} of {file}; caption.from_source=true uses them"
            said = zip(match.files, table.columns[text], strict=True)
            texts.update((picture, str(cell)) for picture, cell in said if picture is not None and cell is not None)
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
            f"prepare.table={wishes.table} is not a table in {wishes.source}; found: {', '.join(files[:20]) or 'none'}. "
            "Name one of them."
        )
    return found


def _labels(table: Table, match: Match, wishes: Wishes) -> _Labelled | str:
    """Return the labels of a table, or the reason why it has none."""
    taken = {match.column} | _splits_of(table, wishes).keys()
    taken |= {wishes.grouping.column} & table.columns.keys()
    where = f"{table.file} names {len(match.found):,} pictures in the column {match.column!r}"
    try:
        column = find_label_column(table.columns, taken, wishes.label_column)
    except NoClassError as error:
        return f"{where}: {error}"
    if column is None:
        ones = one_hot_columns(table.columns, taken)
        what = "no certain column of labels"
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
    """Return the problem of a table with a row for each box or finding: some pictures have rows of several classes."""
    named = sum(file is not None for file in found.match.files)
    if named == len(found.match.found):  # a row each
        return ""
    store = Store("CREATE TABLE labels (file BLOB, label BLOB, PRIMARY KEY (file, label)) WITHOUT ROWID")
    rows = zip(found.match.files, found.labels, strict=True)
    pairs = ((as_key(file), as_key(str(label))) for file, label in rows if file is not None and label is not None)
    store.insert("INSERT OR IGNORE INTO labels VALUES (?, ?)", pairs)
    sizes = "SELECT file, count(*) AS size FROM labels GROUP BY file"
    query = f"SELECT count(*), count(nullif(size, 1)), min(CASE WHEN size > 1 THEN file END) FROM ({sizes})"
    num_labelled, num_several, first = store.database.execute(query).fetchone()
    if num_several <= FEW_CONTRADICTIONS * num_labelled:
        return ""
    names = store.database.execute("SELECT label FROM labels WHERE file = ? ORDER BY label LIMIT 3", (first,))
    example = f"{shown(printable(as_text(first)))} ({', '.join(shown(as_text(name)) for (name,) in names)})"
    return (
        f"{num_several:,} of {num_labelled:,} pictures have rows of several classes, such as {example}: a row for each "
        "box or finding does not give the class of a picture. TCKR needs exactly one class for each. Write one row each"
    )


def _agreeing(found: Sequence[_Labelled]) -> list[_Labelled]:
    """Return the tables to read; a table that repeats an earlier one is left out.

    Raises:
        UserError: two tables label the same pictures differently.
    """
    if len(found) < 2:
        return list(found)
    kept: list[_Labelled] = []
    said: StoredMap[Sequence[Any]] = StoredMap()
    for item in found:
        new = StoredMap((file, label) for file, label in zip(item.match.files, item.labels, strict=True) if file is not None)
        num_shared = 0
        for file, label in new.items():
            before, table = said.get(file, (label, ""))
            num_shared += bool(table)
            if before != label:
                raise UserError(
                    f"two tables label {file}: {table} as {before!r}, {item.table.file} (column {item.column!r}) as "
                    f"{label!r}. Name the table to read: prepare.table=FILE."
                )
        if num_shared < len(new):
            kept.append(item)
        said.update((file, (label, item.table.file)) for file, label in new.items())
    return kept


def _refuse_unlabelled(bare: Sequence[str], wishes: Wishes) -> None:
    """Raise if a table without labels is that of the test split."""
    tests = [file for file in bare if _part_of_path(file, wishes).use == TEST]
    if tests:
        name = _part_of_path(tests[0], wishes).name
        raise UserError(
            f"the split {name!r} has no labels: {tests[0]} has no column of labels. Add the column; or set "
            "prepare.test_split= (empty): then its pictures are left out and a test split is sampled from the others."
        )


def _join(labelled: Sequence[_Labelled], pictures: Pictures, wishes: Wishes, left_out: Sequence[LeftOut]) -> TableReading:
    rows = StoredList((row for item in labelled for row in _rows(item, wishes)), read=Row.read)
    unlisted = StoredList(file for file in pictures if not any(file in item.match.found for item in labelled))
    first = labelled[0]
    notes = [note for item in labelled for note in _notes(item, wishes)]
    return TableReading(
        tables=[item.table.file for item in labelled],
        path_column=first.match.column,
        label_column=first.column,
        rows=rows,
        unlisted=unlisted,
        usual=bool(wishes.label_column) or is_usual_label(first.column),
        group_column=group_of(first.table.columns),
        notes=notes,
        left_out=left_out,
    )


def _splits_of(table: Table, wishes: Wishes) -> dict[str, list[str]]:
    """Return the columns that name at least one split, with the values that name none."""
    found = split_columns(table.columns, wishes.test_split)
    return {name: others for name, (known, others) in found.items() if known}


def _split_column(item: _Labelled, wishes: Wishes) -> str | None:
    """Return the column that says which split a row belongs to; None if there is none.

    Raises:
        UserError: some of its values name no split, so their rows could be those of the test split.
    """
    table = item.table
    for name, others in _splits_of(table, wishes).items():
        if name == item.column:
            continue
        if others and wishes.test_split:
            raise UserError(
                f"{table.file}: the column {name!r} names splits, but not with {', '.join(map(shown, others[:3]))}. If this "
                f"is the test split, set prepare.test_split={others[0]}; else write train, validation or test. With "
                "prepare.test_split= (empty) all rows are used for training and a test split is sampled."
            )
        return name
    return None


def _notes(item: _Labelled, wishes: Wishes) -> Iterator[str]:
    """Yield what was guessed about a table: its encoding, labels that mean no class, splits that are not read."""
    table = item.table
    if table.note:
        yield f"{table.file}: {table.note}"
    cells = zip(item.labels, table.columns[item.column], strict=True)
    if negative := sum(label is None and cell is not None for label, cell in cells):
        yield f"{table.file}: {negative:,} rows have a negative number in {item.column!r}, which means no class"
    for name, (known, others) in split_columns(table.columns, wishes.test_split).items():
        if not known and others and name != item.column:
            yield f"{table.file}: the column {name!r} names no split ({', '.join(map(shown, others[:3]))}) and is not read"
    for name in table.columns:
        if split_of(name) and name not in (item.column, item.match.column, wishes.grouping.column):
            yield f"{table.file}: the column {name!r} is not read; splits are read from a column `split` of train and test"


def _rows(item: _Labelled, wishes: Wishes) -> Iterator[Row]:
    table = item.table
    column = _split_column(item, wishes)
    own = _part_of_path(table.file, wishes)
    splits = table.columns[column] if column else itertools.repeat(None, table.num_rows)
    columns = zip(item.match.files, item.labels, splits, table.columns[item.match.column], strict=True)
    for number, (file, label, said, cell) in enumerate(columns):
        part = own
        if said is not None:
            part = Part(str(said), use_of(str(said), wishes.test_split) or TRAIN)
        elif file is not None and own.name == TRAIN:
            part = _part_of_path(file, wishes)
        yield Row(name=file or f"{table.file}#{number}", file=file, part=part, label=label, detail=str(cell)[:100])


def _part_of_path(path: str, wishes: Wishes) -> Part:
    """Return the split given by the folders of a file, or by a table's own name; else the training split."""
    *folders, name = path.split("/")
    named = [stem_of(name)] if suffix_of(name).lower() in TABLE_SUFFIXES else []
    return _part_of_words((*folders, *named), wishes.test_split)


@functools.lru_cache(maxsize=1000)
def _part_of_words(words: tuple[str, ...], test_split: str) -> Part:
    found = ((word, use_of(word, test_split)) for word in words)
    return next((Part(word, use) for word, use in found if use), Part(TRAIN, TRAIN))


def split_without_labels(reading: TableReading, top: Folder, wishes: Wishes) -> str:
    """Return the folder of the test split if it has pictures but no labels, else an empty text."""
    for folder in top.folders:
        if use_of(folder.name, wishes.test_split) == TEST and folder.num_pictures:
            labelled = any(row.part.use == TEST and row.label is not None and row.file for row in reading.rows)
            return "" if labelled else folder.name
    return ""


def has_train_rows(reading: TableReading) -> bool:
    """Return whether any row belongs to a split that is used for training."""
    return any(row.part.use == TRAIN and row.file and row.label is not None for row in reading.rows)


def is_named_after_split(table: str) -> bool:
    """Return whether a table, or a folder above it, is named after a split."""
    return any(map(split_of, (PurePosixPath(table).stem, *PurePosixPath(table).parts[:-1])))
