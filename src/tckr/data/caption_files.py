"""Read and write captions in the two published formats, and read them from a table; knows neither records nor the engine.

grouped_by_class  JSON, class name -> captions in the order of the data set
original_order    text, one `class name: caption` per line in the order of the data set
a table           Parquet with the columns `label` and `caption`, one row per image in the order of the data set

The data set's order is that of its labelled training rows, whatever `prepare` made of them: a refused row keeps its place.
A row without caption is null in JSON and in a table, and in the text its class name alone, without the colon.
"""

from __future__ import annotations

import json
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tckr.data.sources.parquet import class_label_names
from tckr.data.unpacking import read_columns
from tckr.disk import write_whole
from tckr.errors import UserError

Format = Literal["grouped_by_class", "original_order"]
SUFFIXES: dict[Format, str] = {"grouped_by_class": ".json", "original_order": ".txt"}
TEXT_TYPES = ("string", "large_string")
SHOWN = 5
"""Classes that an error lists."""


def read_captions(file: Path, rows: Sequence[str], renamed: Mapping[str, str]) -> list[str | None]:
    """Return the caption that `file` has for each of N rows; None where it has none.

    Args:
        file: .json, .txt or .parquet; says by its ending which form it has.
        rows: N class names, as the data source writes them, in its order.
        renamed: class name in the file -> class name in the data set; others are the same in both.

    Raises:
        UserError: the file cannot be read, has other classes, or another number of captions. No text of a caption is shown.
    """
    if file.suffix not in READERS:
        raise UserError(f"caption.file {file} ends in {file.suffix or 'nothing'}; expected one of {', '.join(READERS)}")
    try:
        if not file.stat().st_size:
            raise UserError(f"caption.file {file} is empty; expected one caption for each of {len(rows):,} rows")
        captions = READERS[file.suffix](file, rows, _names_in_file(rows, renamed))
        "".join(caption for caption in captions if caption).encode()  # raises for half of a surrogate pair
        return captions
    except (
        OSError,
        ValueError,
        RecursionError,
        pa.ArrowException,
    ) as error:  # RecursionError: JSON of thousands of brackets
        advice = "; save it as UTF-8" if isinstance(error, UnicodeError) else ""
        reason = _without_text(error) if isinstance(error, UnicodeEncodeError) else " ".join(str(error).split())[:200]
        raise UserError(f"caption.file {file} cannot be read: {reason}{advice}") from None


def _without_text(error: UnicodeEncodeError) -> str:
    """Return what is wrong, without the captions that the error quotes."""
    return f"a caption has half of a surrogate pair (\\u{ord(error.object[error.start]):04x}), which is no character"


def write_captions(file: Path, form: Format, rows: Sequence[str], texts: Sequence[str | None]) -> None:
    """Write N captions (None = none) of rows with these class names, whole or not at all.

    The file is its owner's alone. One that exists is never overwritten.

    Raises:
        UserError: the file's ending is of another format, a class name has a line break and the format is of lines, or the
            file exists with another content.
    """
    if file.suffix != SUFFIXES[form]:
        others = "".join(f", or choose --format {other}" for other, suffix in SUFFIXES.items() if suffix == file.suffix)
        raise UserError(
            f"{file} ends in {file.suffix or 'nothing'}; {form} is read again from {SUFFIXES[form]} files alone: name it "
            f"{file.with_suffix(SUFFIXES[form]).name}{others}"
        )
    broken = [name for name in dict.fromkeys(rows) if len(name.splitlines()) > 1]
    if form == "original_order" and broken:
        raise UserError(f"class name {broken[0]!r} has a line break; original_order is of lines: use grouped_by_class")
    text = WRITERS[form](rows, texts)
    file = Path(os.path.realpath(file.parent)) / file.name
    if os.path.lexists(file):
        if file.is_file() and not file.is_symlink() and file.read_bytes() == text.encode():
            return
        raise UserError(f"{file} exists, and is left as it is; remove it, or give another --output")

    def fill(partial: Path) -> None:
        partial.touch(mode=0o600)
        partial.write_text(text, encoding="utf-8", newline="\n")

    write_whole(file, fill)


def _names_in_file(rows: Sequence[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Return class name in the data set -> class name in the file."""
    names = {name: name for name in rows}
    ours_composed = {_composed(name): name for name in names}
    renamed = {theirs: ours_composed.get(_composed(ours), ours) for theirs, ours in renamed.items()}
    if unknown := sorted(set(renamed.values()) - names.keys()):
        raise UserError(
            f"caption.class_names leads to {unknown[:SHOWN]}; the data set has {list(names)[:SHOWN]}"
            f"{' ...' if len(names) > SHOWN else ''}. Write it as name in the file: name in the data set"
        )
    names |= {ours: theirs for theirs, ours in renamed.items()}
    names = {ours: _composed(theirs) for ours, theirs in names.items()}
    if len(set(names.values())) < len(names) or len(set(renamed.values())) < len(renamed):
        raise UserError(
            f"caption.class_names {dict(renamed)} gives two classes one name; every class needs a name of its own"
        )
    return names


def _composed(name: str) -> str:
    """Return a name with composed accents (NFC): files of other systems may write an accent as a character of its own."""
    return unicodedata.normalize("NFC", name)


def _read_grouped(file: Path, rows: Sequence[str], names: Mapping[str, str]) -> list[str | None]:
    groups = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repetition)
    if not isinstance(groups, dict) or not all(_is_list_of_captions(group) for group in groups.values()):
        raise UserError(f"caption.file {file} is no JSON object of lists of strings: expected class name -> its captions")
    if groups.keys() != set(names.values()):
        only_there = [name for name in groups if name not in names.values()]
        missing = [name for name in names.values() if name not in groups]
        raise UserError(
            f"the classes of caption.file {file} are not those of the data set; only in the file: {only_there[:SHOWN]}, "
            f"only in the data set: {missing[:SHOWN]}. Say which are the same in caption.class_names, as name in the file: "
            "name in the data set"
        )
    _check_counts(file, Counter({name: len(group) for name, group in groups.items()}), rows, names)
    captions = {name: iter(groups[theirs]) for name, theirs in names.items()}
    return [next(captions[name]) for name in rows]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    pairs = [(_composed(name), value) for name, value in pairs]
    name, count = max(Counter(name for name, _ in pairs).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise UserError(f"class {name!r} stands {count} times in caption.file; give every class one list")
    return dict(pairs)


def _is_list_of_captions(group: object) -> bool:
    return isinstance(group, list) and all(caption is None or isinstance(caption, str) for caption in group)


def _read_in_order(file: Path, rows: Sequence[str], names: Mapping[str, str]) -> list[str | None]:
    lines = file.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    lines = [_composed_name(line, list(names.values())) for line in lines]
    if (blank := [number for number, line in enumerate(lines, start=1) if not line.strip()]) and len(lines) != len(rows):
        raise UserError(
            f"caption.file {file} has {len(lines):,} lines for {len(rows):,} labelled training rows of the data set; "
            f"{len(blank)} are blank, the first is line {blank[0]}. Expected one `class name: caption` per row; remove them"
        )
    _check_counts(file, Counter(_class_of(line, names.values()) for line in lines), rows, names)
    numbered = enumerate(zip(lines, rows, strict=True), start=1)
    return [_caption_of(line.removesuffix("\r"), names[name], file, number) for number, (line, name) in numbered]


def _composed_name(line: str, names: Sequence[str]) -> str:
    """Return the line with its class name composed, and its caption as it is."""
    apart = (unicodedata.normalize("NFD", name) for name in names)
    spelt = max((name for name in apart if line.startswith(name)), key=len, default="")
    return _composed(spelt) + line[len(spelt) :]


def _caption_of(line: str, name: str, file: Path, number: int) -> str | None:
    """Return what follows the class name that the row has: names may contain `: ` too, so the line alone is ambiguous."""
    if line == name:
        return None
    if not f"{line} ".startswith(f"{name}: "):
        raise _other_class(file, f"line {number}", name)
    return line[len(name) + 1 :]


def _class_of(line: str, names: Iterable[str]) -> str:
    """Return the longest of `names` that `line` begins with."""
    return max((name for name in names if line == name or line.startswith(f"{name}:")), key=len, default="no known class")


def _read_table(file: Path, rows: Sequence[str], names: Mapping[str, str]) -> list[str | None]:
    schema = pq.read_schema(file)
    if not {"label", "caption"} <= set(schema.names) or str(schema.field("caption").type) not in TEXT_TYPES:
        found = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise UserError(f"caption.file {file} has the columns {found}; it needs label, and caption of type string")
    table = read_columns(file, ["label", "caption"]).to_pydict()
    known = class_label_names(schema, "label")
    named = [name and _composed(name) for name in (_class_name(label, known) for label in table["label"])]
    labelled = [(name, caption) for name, caption in zip(named, table["caption"], strict=True) if name is not None]
    _check_counts(file, Counter(name for name, _ in labelled), rows, names)
    for number, (name, row) in enumerate(zip([name for name, _ in labelled], rows, strict=True)):
        if name != names[row]:
            raise _other_class(file, f"labelled row {number}", names[row])
    return [caption for _, caption in labelled]


def _class_name(label: Any, known: Sequence[str]) -> str | None:
    """Return the name of the class that `prepare` reads in a cell, None where it finds no label."""
    if label is None or (not isinstance(label, str) and not 0 <= label < (len(known) or math.inf)):
        return None
    return known[label] if known else str(label)


def _check_counts(file: Path, found: Counter[str], rows: Sequence[str], names: Mapping[str, str]) -> None:
    expected = Counter(names[name] for name in rows)
    if found == expected or (found.total() == expected.total() and file.suffix != ".json"):
        return  # equal in number: which line or row has the wrong class is said when it is read
    differing = [name for name in [*expected, *(found.keys() - expected.keys())] if found[name] != expected[name]]
    shown = ", ".join(f"{name} {found[name]:,} for {expected[name]:,}" for name in differing[:SHOWN])
    raise UserError(
        f"caption.file {file} has {found.total():,} captions for {expected.total():,} labelled training rows of the data "
        f"set; {len(differing)} classes differ: {shown}{' ...' if len(differing) > SHOWN else ''}. Every row needs its "
        "place, those that prepare refused too. Take the file that was made for this data set"
    )


def _other_class(file: Path, where: str, name: str) -> UserError:
    return UserError(
        f"{where} of caption.file {file} is not of class {name!r}, which that row of the data set has. Expected the order "
        "of the data set; where classes have other names in the file, say so in caption.class_names"
    )


def _write_grouped(rows: Sequence[str], texts: Sequence[str | None]) -> str:
    groups: dict[str, list[str | None]] = {name: [] for name in rows}
    for name, text in zip(rows, texts, strict=True):
        groups[name].append(text)
    return json.dumps(groups, ensure_ascii=False, indent=1) + "\n"


def _write_in_order(rows: Sequence[str], texts: Sequence[str | None]) -> str:
    return "".join(f"{name}\n" if text is None else f"{name}: {text}\n" for name, text in zip(rows, texts, strict=True))


READERS: dict[str, Callable[[Path, Sequence[str], Mapping[str, str]], list[str | None]]] = {
    ".json": _read_grouped,
    ".txt": _read_in_order,
    ".parquet": _read_table,
}
WRITERS: dict[Format, Callable[[Sequence[str], Sequence[str | None]], str]] = {
    "grouped_by_class": _write_grouped,
    "original_order": _write_in_order,
}
