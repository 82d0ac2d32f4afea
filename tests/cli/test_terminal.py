"""Names and paths are shown in a terminal as they are and never obeyed."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.table import Table

import tckr.cli
from tckr.cli.console import ConsoleObserver
from tckr.cli.terminal import Terminal, escape
from tckr.data.rejections import Rejection
from tckr.errors import UserError, printable
from tckr.html.pages import Section, markdown_page
from tckr.stages.prepare.writing import plain_cell, write_rejections
from tests.cli.test_commands import call

HOSTILE = {
    "escape sequence": "a\x1b[31mred",
    "title of the window": "a\x1b]0;owned\x07b",
    "8-bit escape": "a\x9b2Jb",
    "forged message": "a\nok  audit",
    "overwritten line": "a\rok",
    "turned around": "a\u202egnp.exe",
    "isolated": "a\u2066b\u2069",
    "hidden letters": "a\u200bb\ufeffc\u00adde",
    "line separator": "a\u2028b",
    "deleted": "a\x08\x7fb",
    "not UTF-8": "a\udcff",
}
MARKUP = ("[red]x[/red]", "[/]", "[link=http://x]y[/link]", ":dog:", "\\[bold]", "[bold]\\")


def is_visible(text: str) -> bool:
    return all(char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in text)


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_terminal_would_obey_becomes_visible_on_one_line(name):
    shown = printable(HOSTILE[name])
    assert is_visible(shown)
    assert "\n" not in shown
    assert shown.startswith("a\\")


@pytest.mark.parametrize(
    "text", ["Rote Kreise", "árbol verde", "سلام می‌کنم", "क्‍ष", "犬", "a\\b", "[x]", "\U0001f468\u200d\U0001f469"]
)
def test_names_in_any_script_are_shown_as_they_are(text):
    assert printable(text) == text


@pytest.mark.parametrize("text", [*MARKUP, *HOSTILE.values()])
def test_the_console_prints_a_name_literally(text, capsys):
    table = Table(title=escape(text))
    table.add_column(escape(text))
    table.add_row(escape(text))
    console = Terminal()
    console.print(f"[bold]{escape(text)}[/]", soft_wrap=True)
    console.print(table)
    out = capsys.readouterr().out
    assert out.count(printable(text)) == 4
    assert is_visible(out)


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if "\n" not in text])
def test_a_name_that_nobody_escaped_still_does_not_reach_the_terminal(text, capsys):
    table = Table("heading")
    table.add_row(text)
    for shown in (text, table):
        Terminal().print(shown, markup=False, soft_wrap=True)
    assert is_visible(capsys.readouterr().out)


def test_a_warning_is_one_line_whatever_it_quotes(capsys):
    ConsoleObserver().warned("prepare: class '\x1b[2J\n  ok  audit [red]' left out")
    assert capsys.readouterr().err == "  warning  prepare: class '\\x1b[2J\\n  ok  audit [red]' left out\n"


def test_an_error_is_one_line_whatever_it_quotes(monkeypatch, capsys):
    def fail(prog_name: str) -> None:
        raise UserError("no file '\x1b[2J\n  ok  audit [red]'")

    monkeypatch.setattr(tckr.cli, "app", fail)
    status, out, err = call(monkeypatch, capsys, "run")
    assert (status, out, err) == (2, "", "error: no file '\\x1b[2J\\n  ok  audit [red]'\n")


@pytest.mark.slow
def test_a_run_on_hostile_files_and_folders_prints_nothing_but_visible_text(monkeypatch, capsys, tmp_path):
    root = tmp_path / "[red]\x1b[31m data\n\u202e"
    generator = np.random.default_rng(0)
    for place, name in enumerate(["good", "bad\x1b[2J\n[bold]", "few\u202e"]):
        (root / name).mkdir(parents=True)
        for index in range(10 if place < 2 else 2):
            Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(root / name / f"{index}.png")
        (root / name / "=HYPERLINK(1)\x1b[2J\n.png").write_bytes(b"no picture")
    output = tmp_path / "[blue]out\x1b[0m\n"
    arguments = ["--data", str(root), "--output", str(output), "--name", "run", "execution.device=cpu"]
    monkeypatch.setenv("COLUMNS", "4000")
    for command in (["prepare", *arguments], ["status", str(output / "run")], ["prepare", *arguments, "--dry-run"]):
        status, out, err = call(monkeypatch, capsys, *command)
        assert status == 0, err
        assert is_visible(out + err)
        joined = re.sub(r"\s", "", out + err)  # a title is wrapped to the width of its table
        assert "[red]\\x1b[31mdata\\n\\u202e" in joined
        assert "[blue]out\\x1b[0m\\n" in joined
    assert "warning" in call(monkeypatch, capsys, "prepare", *arguments, "prepare.test_fraction=0.3")[2]
    cells = (next(output.rglob("rejected.csv"))).read_text(encoding="utf-8")
    assert is_visible(cells)


CELLS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    '"=1"',
    "'=1",
    " =1",
    "\u3000=1",
    "\uff1d1",
    '"\t-1',
    "''+1",
]


@pytest.mark.parametrize("cell", CELLS)
def test_no_cell_of_rejected_csv_begins_a_formula(tmp_path, cell):
    write_rejections(tmp_path, [Rejection(file=cell, reason="corrupt", detail=cell)])
    text = (tmp_path / "rejected.csv").read_text(encoding="utf-8")
    row = list(csv.reader(io.StringIO(text)))[1]
    for written in (row[0], row[2]):
        assert not re.match(r"[\t\r\n]|[\s\"]*[=+\-@\uff1d]", written)
        assert printable(cell) in (written, written.removeprefix("'"))
        assert written != cell


def test_no_cell_begins_a_formula_where_cells_end_at_semicolons(tmp_path):
    names = ["x;=1+1", "a; -1.png", ";@SUM(1)", 'b;"=1"']
    write_rejections(tmp_path, [Rejection(file=name, reason="corrupt", detail=name) for name in names])
    text = (tmp_path / "rejected.csv").read_text(encoding="utf-8")
    cells = [cell for row in csv.reader(io.StringIO(text), delimiter=";") for cell in row]
    assert len(cells) > len(names)
    assert not [cell for cell in cells if re.match(r"[\s\"]*[=+\-@]", cell)]


def test_ordinary_cells_are_not_changed():
    for cell in ("a/b.png", "cat-1.png", "3 x 4 px", "a=b", "árbol"):
        assert plain_cell(cell) == cell


def test_a_cell_of_a_markdown_table_stays_in_its_row():
    page = markdown_page("t", [Section(table=[["a|b"], ["c\nd"]])])
    assert page.splitlines()[-3:] == ["| a\\|b |", "| --- |", "| c\\nd |"]


def test_every_command_prints_through_the_terminal():
    folder = Path(tckr.cli.__file__).parent
    for path in folder.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        if path.name != "terminal.py":
            assert not re.search(r"rich\.markup|[^.\w]Console\(|[^\w]print\(f?\"", source.replace("console.print", "")), path
            assert "markup=False" not in re.sub(r"print\(\s*printable\(.*", "", source), path


def test_rich_s_own_console_would_have_obeyed(capsys):
    Console().print("a\x1b[31m", markup=False)
    assert not is_visible(capsys.readouterr().out)
