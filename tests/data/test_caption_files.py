"""Caption files: both published formats and tables, read by the classes and the order of the data set, by nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tckr.data.caption_files import SUFFIXES, Format, read_captions, write_captions
from tckr.data.shards import write_shard
from tckr.errors import UserError

ROWS = ["dog", "cat", "cat: big", "cat", "dog"]
TEXTS = ['a "dog": brown', "a cat", None, "", "eine Katze, größer: 猫\u2028x"]


def write_table(file: Path, rows: Sequence[str], texts: Sequence[str | None], names: list[str] | None) -> Path:
    labels = np.array([names.index(row) for row in rows]) if names else list(rows)
    write_shard(file, {"label": labels, "caption": list(texts)}, names)
    return file


@pytest.mark.parametrize("form", SUFFIXES)
def test_what_is_written_is_read_again(tmp_path: Path, form: Format) -> None:
    file = tmp_path / f"captions{SUFFIXES[form]}"
    write_captions(file, form, ROWS, TEXTS)
    assert [text if text is None else text.strip() for text in read_captions(file, ROWS, {})] == TEXTS
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_the_published_formats(tmp_path: Path) -> None:
    write_captions(tmp_path / "c.json", "grouped_by_class", ROWS, TEXTS)
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8")) == {
        "dog": [TEXTS[0], TEXTS[4]],
        "cat": ["a cat", ""],
        "cat: big": [None],
    }
    write_captions(tmp_path / "c.txt", "original_order", ROWS, TEXTS)
    lines = (tmp_path / "c.txt").read_text(encoding="utf-8").split("\n")
    assert lines == ['dog: a "dog": brown', "cat: a cat", "cat: big", "cat: ", f"dog: {TEXTS[4]}", ""]


def test_classes_are_matched_by_name_never_by_position(tmp_path: Path) -> None:
    groups = {"zebra": ["z0", "z1"], "ant": ["a0"]}  # neither in the data set's order nor sorted
    (tmp_path / "c.json").write_text(json.dumps(groups))
    assert read_captions(tmp_path / "c.json", ["ant", "zebra", "zebra"], {}) == ["a0", "z0", "z1"]
    renamed = {"zebra": "ant", "ant": "zebra"}
    assert read_captions(tmp_path / "c.json", ["zebra", "ant", "ant"], renamed) == ["a0", "z0", "z1"]


@pytest.mark.parametrize("suffix", [".json", ".txt", ".parquet"])
def test_other_class_names_need_a_mapping(tmp_path: Path, suffix: str) -> None:
    file, rows, texts = tmp_path / f"c{suffix}", ["automobile", "cat"], ["a car", "a cat"]
    form = {suffix: form for form, suffix in SUFFIXES.items()}.get(suffix)
    if form:
        write_captions(file, form, rows, texts)
    else:
        write_table(file, rows, texts, None)
    assert [text and text.strip() for text in read_captions(file, ["car", "cat"], {"automobile": "car"})] == texts
    with pytest.raises(UserError, match=r"caption\.class_names"):
        read_captions(file, ["car", "cat"], {})


@pytest.mark.parametrize(
    ("renamed", "problem"),
    [
        ({"a": "bird"}, r"contains \['bird'\]; the data set has \['dog', 'cat'"),
        ({"a": "cat", "b": "cat"}, "gives two classes the same name"),
        ({"dog": "cat"}, "gives two classes the same name"),
    ],
)
def test_mapping_must_make_sense(tmp_path: Path, renamed: dict[str, str], problem: str) -> None:
    write_captions(tmp_path / "c.txt", "original_order", ROWS, TEXTS)
    with pytest.raises(UserError, match=problem):
        read_captions(tmp_path / "c.txt", ROWS, renamed)


@pytest.mark.parametrize("form", SUFFIXES)
def test_one_caption_too_many_says_what_was_found_per_class(tmp_path: Path, form: Format) -> None:
    file = tmp_path / f"c{SUFFIXES[form]}"
    write_captions(file, form, [*ROWS, "cat"], [*TEXTS, "a secret"])
    with pytest.raises(UserError, match=r"6 captions for 5 labelled.*1 classes differ: cat 3 for 2\.") as caught:
        read_captions(file, ROWS, {})
    assert "secret" not in str(caught.value)


def test_lines_in_another_order_are_refused_without_their_text(tmp_path: Path) -> None:
    write_captions(tmp_path / "c.txt", "original_order", ["dog", "cat", "cat"], ["one secret", "b", "c"])
    with pytest.raises(UserError, match=r"line 1 of caption\.file .* is not of class 'cat'") as caught:
        read_captions(tmp_path / "c.txt", ["cat", "dog", "cat"], {})
    assert "secret" not in str(caught.value)


def test_lines_may_end_as_on_windows_and_without_the_space(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes("\ufeffcat: a cat\r\ncat:\r\ncat\r\n".encode())
    assert [text and text.strip() for text in read_captions(tmp_path / "c.txt", ["cat"] * 3, {})] == ["a cat", "", None]


@pytest.mark.parametrize("names", [None, ["cat", "cat: big", "dog"]])
def test_table_is_read_by_its_label_column(tmp_path: Path, names: list[str] | None) -> None:
    file = write_table(tmp_path / "c.parquet", ROWS, TEXTS, names)
    assert read_captions(file, ROWS, {}) == TEXTS
    with pytest.raises(UserError, match=r"labelled row 0 of caption\.file .* is not of class 'cat'"):
        read_captions(file, ["cat", "dog", *ROWS[2:]], {})


def test_rows_without_label_have_no_place(tmp_path: Path) -> None:
    table = pa.table({"label": [1, None, -1, 0], "caption": ["one", "none", "none", "zero"]})
    pq.write_table(table, tmp_path / "c.parquet")
    assert read_captions(tmp_path / "c.parquet", ["1", "0"], {}) == ["one", "zero"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("c.csv", b"", r"ends in \.csv; expected one of \.json, \.txt, \.parquet"),
        ("c.json", b"{", "cannot be read"),
        ("c.json", b"", "is empty; expected one caption for each of 1 rows"),
        ("c.txt", b"", "is empty"),
        ("c.txt", b"cat: a\n\n", "2 lines for 1 .*1 are blank, the first is line 2"),
        ("c.json", b'{"cat": "a cat"}', "not a JSON object of lists of texts"),
        ("c.json", b'["a cat"]', "not a JSON object of lists of texts"),
        ("c.json", b'{"cat": ["a"], "cat": ["b"]}', "class 'cat' occurs 2 times"),
        ("c.txt", b"cat: \xff", "cannot be read.*save it as UTF-8"),
        ("c.parquet", b"no table", "cannot be read"),
        pytest.param("c.json", b"[" * 100_000, "cannot be read: maximum recursion depth", id="deep"),
        pytest.param("c.json", b'{"cat": [' + b"7" * 5000 + b"]}", "cannot be read: Exceeds the limit", id="long"),
    ],
)
def test_broken_files_are_explained(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=problem):
        read_captions(tmp_path / name, ["cat"], {})


def test_table_without_captions_is_explained(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": [0], "caption": [1.5]}), tmp_path / "c.parquet")
    with pytest.raises(UserError, match=r"label \(int64\), caption \(double\); it needs label, and caption of type string"):
        read_captions(tmp_path / "c.parquet", ["0"], {})


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.txt.*name it c\.json, or choose --format original_order"):
        write_captions(tmp_path / "c.txt", "grouped_by_class", ROWS, TEXTS)
    with pytest.raises(UserError, match="has a line break"):
        write_captions(tmp_path / "c.txt", "original_order", ["a\nb"], ["x"])
    assert not list(tmp_path.iterdir())


APART = "e\u0301"
"""The letter é as some systems write it: e, and the accent as a character of its own (NFD)."""


@pytest.mark.parametrize("suffix", [".json", ".txt", ".parquet"])
@pytest.mark.parametrize(("ours", "theirs"), [("caf\u00e9", f"caf{APART}"), (f"caf{APART}", "caf\u00e9")])
def test_accents_may_be_composed_or_apart(suffix: str, ours: str, theirs: str, tmp_path: Path) -> None:
    """The names are equal after NFC; the captions stay as they are."""
    rows, file = [ours, "caf", ours], tmp_path / f"c{suffix}"
    texts = [f"un {APART}clair", "b", None]
    if suffix == ".parquet":
        write_table(file, [theirs, "caf", theirs], texts, None)
    else:
        write_captions(file, "grouped_by_class" if suffix == ".json" else "original_order", [theirs, "caf", theirs], texts)
    assert [text and text.strip() for text in read_captions(file, rows, {})] == texts


def test_a_mapping_may_write_accents_otherwise(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"coffee": ["a"]}))
    assert read_captions(tmp_path / "c.json", [f"caf{APART}"], {"coffee": "caf\u00e9"}) == ["a"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"cat": ["secret \\ud83d"]}', r"half of a surrogate pair \(.ud83d\).*UTF-8"),
        ('{"cat": ["secret \\udc00\\ud83d"]}', "half of a surrogate pair"),
        ('{"cat": ' + "[" * 200_000 + "]" * 200_000 + "}", "cannot be read"),
        ('{"cat": ["secret", ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "]}", "cannot be read"),
    ],
)
def test_json_that_no_text_can_hold_is_refused_without_the_captions(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=problem) as error:
        read_captions(tmp_path / "c.json", ["cat"], {})
    assert "secret" not in str(error.value)
