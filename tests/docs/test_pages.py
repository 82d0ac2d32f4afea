"""The documentation: links lead somewhere, commands and settings exist, quoted messages are said, the README stays short."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer
import yaml
from pydantic import BaseModel

from tckr.cli import app
from tckr.config import Settings
from tests.docs.markdown import ROOT, anchors, blocks, commands, links, mentioned, pages

README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = [str(path.relative_to(ROOT)) for path in pages()]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OUTSIDE = {"changelog.md", "contributing.md", "reporting.md", "benchmarks.md", "pretraining.md"}
FILE = re.compile(r"(?<![\w/.-])(?:(?:src|tests|benchmarks|examples|docs|pretraining|\.ci)/)[\w./-]*\w")
TERMS = ["CAS", "AUC", "AOP", "depth", "epsilon", "reference run", "control", "agreement", "surface"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings_of_the_repository(name):
    folder, broken = (ROOT / name).parent, []
    for target in links(read(name)):
        file, _, anchor = target.partition("#")
        place = (folder / file).resolve() if file else ROOT / name
        if not place.exists() or (anchor and anchor not in anchors(place.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", NAMES)
def test_files_that_a_page_names_are_in_the_repository(name):
    named = set(FILE.findall(read(name))) - {"docs/NAME.md"}
    assert [file for file in sorted(named) if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_commands_in_blocks_are_those_that_the_command_line_takes(name):
    for _, command, *arguments in commands(read(name)):
        COMMANDS[command].make_context(command, [word for word in arguments if word != "--help"])
        assert unknown_settings(arguments) == []


@pytest.mark.parametrize("name", NAMES)
def test_commands_in_the_text_have_the_options_and_settings_that_it_names(name):
    for _, command, *arguments in mentioned(read(name)):
        if command not in COMMANDS:  # `tckr itself`, `tckr --version`
            assert command.startswith("-"), f"tckr {command}"
            continue
        options = {option for parameter in COMMANDS[command].params for option in parameter.opts} | {"--help"}
        assert {word for word in arguments if word.startswith("--")} <= options, f"tckr {command}"
        assert unknown_settings(arguments) == []


def unknown_settings(words: list[str]) -> list[str]:
    """Return the names among `section.setting=value` that are no settings."""
    names = [found[1] for word in words if (found := re.match(r"((?:[a-z_]+\.)+[a-z_]+|seed)=", word))]
    return [name for name in names if not is_setting(Settings, name.split("."))]


def is_setting(model: type[BaseModel], path: list[str]) -> bool:
    """Return whether a path of names leads to a field."""
    if path[0] not in model.model_fields:
        return False
    return len(path) == 1 or is_setting(model.model_fields[path[0]].annotation, path[1:])  # type: ignore[arg-type]


def test_the_readme_is_short_and_begins_with_a_picture_and_the_two_commands():
    lines = README.splitlines()
    assert len(lines) <= 150
    assert any(line.startswith("![") for line in lines[:40])
    assert {"make demo", "make test"} <= {line.split("  ")[0] for line in lines[:60]}


def test_every_page_is_in_the_navigation_of_the_site():
    site = yaml.safe_load(read("mkdocs.yml"))
    shown = set(re.findall(r"[\w]+\.md", str(site["nav"])))
    written = {path.name for path in ROOT.glob("docs/*.md")}
    assert shown - written == OUTSIDE | {f"example_{path.parent.name}.md" for path in ROOT.glob("examples/*/README.md")}
    assert written <= shown


@pytest.mark.parametrize("term", TERMS)
def test_the_page_about_the_report_explains_a_term_before_it_uses_it(term):
    before, _, after = read("docs/report.md").partition("## The words")
    assert term not in before
    glossary, _, _ = after.partition("## The first screen")
    rows = [line.split("|")[1] for line in glossary.splitlines() if line.startswith("|")]
    assert any(term in row for row in rows)


def spoken() -> str:
    """Return all texts in the code of the package, what is filled in as a gap."""
    texts = [read("Makefile")]
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_messages_that_troubleshooting_quotes_are_said_by_the_program():
    said = spoken()
    rows = [line.split("|")[1] for line in read("docs/troubleshooting.md").splitlines() if line.startswith("| ")]
    quoted = [text for row in rows for text in re.findall(r'"([^"]+)"', row)]
    assert len(quoted) > 25
    assert [text for text in quoted if text not in said] == []


def test_the_tutorial_goes_from_the_first_look_to_the_release():
    told = [words[1] for words in commands(read("docs/tutorial.md")) if "shapes" in " ".join(words)]
    assert list(dict.fromkeys(told)) == ["inspect", "estimate", "run", "audit", "release"]
    assert [language for language, _ in blocks(read("docs/tutorial.md"))].count("python") == 3


def test_pictures_of_the_docs_are_small():
    pictures = [path for path in (ROOT / "docs" / "results").iterdir() if path.suffix in (".webp", ".png")]
    assert {path.name for path in pictures} >= {"report.webp", "digits.webp"}
    assert all(path.stat().st_size < 200_000 for path in pictures), [path.name for path in pictures]


def test_the_checked_kinds_of_files_are_found():
    assert {"README.md", "SECURITY.md", "CHANGELOG.md", "docs/index.md", "examples/cifar10/README.md"} <= set(NAMES)
    assert all(Path(ROOT / name).is_file() for name in NAMES)
