"""Read and write captions in the two published formats, and read them from a table.

grouped_by_class  JSON, class name -> captions in the order of the data set
original_order    text, one `class name: caption` per line in the order of the data set
a table           Parquet with the columns `label` and `caption`, one row per image in the order of the data set

The order of the data set is that of its labelled training rows, including rows that `prepare` rejected. A row without
caption is null in JSON and in a table; in the text format it is the class name without a colon.
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
"""Maximum number of classes that an error lists."""


def read_captions(file: Path, rows: Sequence[str], renamed: Mapping[str, str]) -> list[str | None]:
    """Return the caption in `file` for each of N rows; None if it has none.

    Args:
        file: .json, .txt or .parquet; the suffix determines the format.
        rows: N class names, as written in the data source, in its order.
        renamed: class name in the file -> class name in the data set; other names are equal in both.

    Raises:
        UserError: the file cannot be read, or has other classes or another number of captions. The message contains no
            caption.
    """
    if file.suffix not in READERS:
        raise UserError(f"caption.file {file} ends in {file.suffix or 'nothing'}; expected one of {', '.join(READERS)}")
    try:
        if not file.stat().st_size:
            raise UserError(f"caption.file {file} is empty; expected one caption for each of {len(rows):,} rows")
        captions = READERS[file.suffix](file, rows, _names_in_file(rows, renamed))
        "".join(caption for caption in captions if caption).encode()  # raises an error for half of a surrogate pair
        return captions
    except (
        OSError,
        ValueError,
        RecursionError,
        pa.ArrowException,
    ) as error:  # RecursionError: JSON with thousands of nested brackets
        advice = "; save it as UTF-8" if isinstance(error, UnicodeError) else ""
        reason = _without_text(error) if isinstance(error, UnicodeEncodeError) else " ".join(str(error).split())[:200]
        raise UserError(f"caption.file {file} cannot be read: {reason}{advice}") from None


def _without_text(error: UnicodeEncodeError) -> str:
    """Return the reason, without the captions that the error quotes."""
    return f"a caption has half of a surrogate pair (\\u{ord(error.object[error.start]):04x}), which is not a character"


def write_captions(file: Path, form: Format, rows: Sequence[str], texts: Sequence[str | None]) -> None:
    """Write N captions (None = none) of rows with these class names, completely or not at all.

    Only its owner can read the file. An existing file is never overwritten.

    Raises:
        UserError: the file's suffix is that of another format, a class name has a line break and the format is
            original_order, or the file exists with other content.
    """
    if file.suffix != SUFFIXES[form]:
        others = "".join(f", or choose --format {other}" for other, suffix in SUFFIXES.items() if suffix == file.suffix)
        raise UserError(
            f"{file} ends in {file.suffix or 'nothing'}; {form} is only read from {SUFFIXES[form]} files: name it "
            f"{file.with_suffix(SUFFIXES[form]).name}{others}"
        )
    broken = [name for name in dict.fromkeys(rows) if len(name.splitlines()) > 1]
    if form == "original_order" and broken:
        raise UserError(
            f"class name {broken[0]!r} has a line break; original_order has one line per caption: use grouped_by_class"
        )
    text = WRITERS[form](rows, texts)
    file = Path(os.path.realpath(file.parent)) / file.name
    if os.path.lexists(file):
        if file.is_file() and not file.is_symlink() and file.read_bytes() == text.encode():
            return
        raise UserError(f"{file} exists and is not overwritten; remove it or give another --output")

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
            f"caption.class_names contains {unknown[:SHOWN]}; the data set has {list(names)[:SHOWN]}"
            f"{' ...' if len(names) > SHOWN else ''}. Write {{name in the file: name in the data set}}"
        )
    names |= {ours: theirs for theirs, ours in renamed.items()}
    names = {ours: _composed(theirs) for ours, theirs in names.items()}
    if len(set(names.values())) < len(names) or len(set(renamed.values())) < len(renamed):
        raise UserError(
            f"caption.class_names {dict(renamed)} gives two classes the same name; every class needs a different name"
        )
    return names


def _composed(name: str) -> str:
    """Return a name with composed accents (NFC), because other systems may write an accent as a separate character."""
    return unicodedata.normalize("NFC", name)


def _read_grouped(file: Path, rows: Sequence[str], names: Mapping[str, str]) -> list[str | None]:
    groups = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repetition)
    if not isinstance(groups, dict) or not all(_is_list_of_captions(group) for group in groups.values()):
        raise UserError(f"caption.file {file} is not a JSON object of lists of texts: expected class name -> its captions")
    if groups.keys() != set(names.values()):
        only_there = [name for name in groups if name not in names.values()]
        missing = [name for name in names.values() if name not in groups]
        raise UserError(
            f"the classes of caption.file {file} are not those of the data set; only in the file: {only_there[:SHOWN]}, "
            f"only in the data set: {missing[:SHOWN]}. Map them in caption.class_names, as name in the file: "
            "name in the data set"
        )
    _check_counts(file, Counter({name: len(group) for name, group in groups.items()}), rows, names)
    captions = {name: iter(groups[theirs]) for name, theirs in names.items()}
    return [next(captions[name]) for name in rows]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    pairs = [(_composed(name), value) for name, value in pairs]
    name, count = max(Counter(name for name, _ in pairs).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise UserError(f"class {name!r} occurs {count} times in caption.file; give every class one list")
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
    """Return the line with its class name in composed form; the caption is unchanged."""
    apart = (unicodedata.normalize("NFD", name) for name in names)
    spelt = max((name for name in apart if line.startswith(name)), key=len, default="")
    return _composed(spelt) + line[len(spelt) :]


def _caption_of(line: str, name: str, file: Path, number: int) -> str | None:
    """Return the text after the row's class name. The name is needed, because names may contain `: ` too."""
    if line == name:
        return None
    if not f"{line} ".startswith(f"{name}: "):
        raise _other_class(file, f"line {number}", name)
    return line[len(name) + 1 :]


def _class_of(line: str, names: Iterable[str]) -> str:
    """Return the longest of `names` that `line` starts with."""
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
    """Return the name of the class that `prepare` reads from a cell, None if it finds no label."""
    if label is None or (not isinstance(label, str) and not 0 <= label < (len(known) or math.inf)):
        return None
    return known[label] if known else str(label)


def _check_counts(file: Path, found: Counter[str], rows: Sequence[str], names: Mapping[str, str]) -> None:
    expected = Counter(names[name] for name in rows)
    if found == expected or (found.total() == expected.total() and file.suffix != ".json"):
        return  # equal counts: a line or row with a wrong class is reported when it is read
    differing = [name for name in [*expected, *(found.keys() - expected.keys())] if found[name] != expected[name]]
    shown = ", ".join(f"{name} {found[name]:,} for {expected[name]:,}" for name in differing[:SHOWN])
    raise UserError(
        f"caption.file {file} has {found.total():,} captions for {expected.total():,} labelled training rows of the data "
        f"set; {len(differing)} classes differ: {shown}{' ...' if len(differing) > SHOWN else ''}. Every row needs an "
        "entry, also rows that prepare rejected. Use the file that was made for this data set"
    )


def _other_class(file: Path, where: str, name: str) -> UserError:
    return UserError(
        f"{where} of caption.file {file} is not of class {name!r}, the class of that row of the data set. "
        "Expected the order of the data set; if classes have other names in the file, set caption.class_names"
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
