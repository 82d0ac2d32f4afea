"""What tests read in Markdown: fenced blocks, links, headings, commands."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(tckr [a-z][^`]*)`")


def pages() -> list[Path]:
    """Return every Markdown file of the repository that readers get."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("pretraining/*.md")]
    return sorted([*found, *ROOT.glob("examples/*/*.md")])


def blocks(text: str) -> list[tuple[str, str]]:
    """Return each fenced block as (language, content)."""
    return [(language, content) for _, language, content in BLOCK.findall(text)]


def prose(text: str) -> str:
    """Return the text without its fenced blocks."""
    return BLOCK.sub("", text)


def links(text: str) -> list[str]:
    """Return the targets of links and pictures that lie in the repository."""
    return [target for target in LINK.findall(prose(text)) if "://" not in target and not target.startswith("mailto:")]


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, where the site and code hosts make the same of them."""
    titles = [line.lstrip("#").strip() for line in prose(text).splitlines() if re.match(r"#{1,6} ", line)]
    return {of_site for title in titles if (of_site := _of_site(title)) == _of_host(title)}


def _of_site(title: str) -> str:
    plain = unicodedata.normalize("NFKD", _plain(title)).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def _of_host(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", _plain(title).lower()).replace(" ", "-")


def _plain(title: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each complete `tckr` command: those in blocks."""
    for line in (line for language, content in blocks(text) if not language for line in _lines(content)):
        if line.startswith("tckr ") and "..." not in line.split("#")[0]:
            yield shlex.split(line, comments=True)


def mentioned(text: str) -> Iterator[list[str]]:
    """Yield the words of each `tckr` command in the text, where arguments may be left out."""
    yield from (line.split() for line in INLINE.findall(prose(text)))


def _lines(content: str) -> list[str]:
    """Return the lines of a block: continued ones as one, without the sign of a prompt."""
    return [line.strip().removeprefix("$ ") for line in content.replace("\\\n", " ").splitlines()]
