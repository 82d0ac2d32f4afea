"""Hooks of mkdocs: add pages that lie outside docs/, fit links to files of the repository, show bars in tables."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/cifar10/README.md": "example_cifar10.md",
    "examples/cluster/README.md": "example_cluster.md",
    "examples/fashion_mnist/README.md": "example_fashion_mnist.md",
    "examples/pretrained_classifier/README.md": "example_pretrained_classifier.md",
    "examples/real_pictures/README.md": "example_real_pictures.md",
    "pretraining/README.md": "pretraining.md",
}
"""File of the repository -> page of the site that shows it."""

LINK = re.compile(r"\[([^\]\n]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
PICTURES = (".png", ".svg", ".webp")
CODE = re.compile(r"`[^`\n]*`")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of `OUTSIDE`, and the pictures beside them."""
    for source, page in OUTSIDE.items():
        text, folder = (ROOT / source).read_text(encoding="utf-8"), posixpath.dirname(source)
        files.append(File.generated(config, page, content=_fit_page(text, folder)))
        for path in (ROOT / folder).iterdir() if folder else ():
            if path.suffix in PICTURES:
                files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with links that fit the site."""
    return markdown if page.file.src_uri in OUTSIDE.values() else _fit_page(markdown, "docs")


def _fit_page(text: str, folder: str) -> str:
    """Return `text`, a file in `folder` of the repository, with links to pages; of other files it says the path."""
    lines = (_free_bars(line) if line.startswith("|") else line for line in text.split("\n"))
    return LINK.sub(lambda found: _fit(found, folder), "\n".join(lines))


def _free_bars(row: str) -> str:
    """Return a row of a table without the backslash before a bar in code: code hosts need it, mkdocs would show it."""
    return CODE.sub(lambda code: code[0].replace("\\|", "|"), row)


def _fit(found: re.Match[str], folder: str) -> str:
    words, target, anchor = found[1], found[2], found[3] or ""
    place = posixpath.normpath(posixpath.join(folder, target))
    if place == "README.md":
        return f"[{words}](index.md)"
    if place in OUTSIDE:
        return f"[{words}]({OUTSIDE[place]}{anchor})"
    if place.startswith("docs/"):
        return f"[{words}]({place.removeprefix('docs/')}{anchor})"
    if place.endswith(PICTURES) and (ROOT / place).is_file():
        return f"[{words}](results/{posixpath.basename(place)})"
    if not (ROOT / place).exists():
        return found[0]  # mkdocs reports it
    return words if target in words else f"{words} (`{place}`)"
