"""`tckr inspect`: show how a data set is interpreted and describe its images, before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tckr.cli.completing import complete_setting
from tckr.cli.settings import Json, settings_from
from tckr.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from tckr.html.pages import Section
    from tckr.stages.prepare.config import PrepareConfig


def inspect(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Your images, as for `tckr run --data`.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings of prepare, e.g. prepare.layout=table.",
            autocompletion=complete_setting,
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a page with a contact sheet; it contains private images."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how a data set is read: splits, classes, image sizes and formats, duplicates, groups. Runs no model."""
    from tckr.cli.terminal import Terminal, complain, write_json
    from tckr.html.pages import html_page

    settings = settings_from(overrides, data, None, None, None)
    if page:
        _refuse_taken(page)
    found = inspected(settings.prepare, settings.execution.threads_for(1))
    if as_json:
        write_json({"source": settings.prepare.source, "sections": [_plain(section) for section in found[:-1]]})
    else:
        console = Terminal()
        for section in found[:-1]:
            _print(section, console)
    if page:
        _write_page(page, html_page(f"Data: {Path(data).name}", found))
        complain(f"contact sheet: {page} (contains private images: store it with the data)")


def _plain(section: Section) -> dict[str, Any]:
    """Return a section for --json; its table becomes a list of rows by heading."""
    head, *rows = section.table or [[]]
    table = [dict(zip(head, row, strict=True)) for row in rows]
    return {"title": section.title, "sentences": [*section.sentences], "table": table, "notes": [*section.notes]}


def _refuse_taken(page: Path) -> None:
    """Raise a UserError if the page would overwrite a file or be written into a folder of TCKR."""
    from tckr.engine.folders import refuse_inside

    refuse_inside(page)
    if os.path.lexists(page):
        raise UserError(f"{page} exists and is not overwritten; remove it or give another --page")


def _write_page(page: Path, text: str) -> None:
    from tckr.disk import write_whole

    def fill(partial: Path) -> None:
        partial.touch(mode=0o600)
        partial.write_text(text, encoding="utf-8")

    write_whole(page, fill)


def inspected(config: PrepareConfig, num_threads: int) -> list[Section]:
    """Return what was found in the source that `config` names, as sections of a page."""
    import tempfile

    from tckr.cli.bars import Bars
    from tckr.cli.terminal import Terminal
    from tckr.data.alike import find_alike
    from tckr.data.normalise import max_file_bytes
    from tckr.data.sources.opening import open_source
    from tckr.disk import explained
    from tckr.inspection.looking import look_at
    from tckr.inspection.page import sections

    with tempfile.TemporaryDirectory() as cache, explained(Path(cache)):
        source = open_source(
            config.source,
            **config.opening(),
            max_file_bytes=max_file_bytes(config.max_pixels),
            max_unpacked=config.max_unpacked,
            cache=Path(cache),
        )
        with Bars(Terminal(stderr=True)).open("inspect", len(source), "images") as advance:
            seen = look_at(
                source,
                max_pixels=config.max_pixels,
                treatment=config.treatment(),
                num_threads=num_threads,
                advance=advance,
            )
        needed = {"min_images": config.min_images_per_class, "min_classes": config.min_classes}
        return sections(source.layout, seen, find_alike(seen.hashes), source.class_names, **needed)


def _print(section: Section, console: Console) -> None:
    from rich.table import Table

    from tckr.cli.terminal import escape

    console.print(f"\n[bold]{escape(section.title)}[/]")
    for text in section.sentences:
        console.print(f"  {escape(text)}", soft_wrap=True)
    if section.table:
        table = Table(*section.table[0])
        for row in section.table[1:]:
            table.add_row(*map(escape, row))
        console.print(table)
    for text in section.notes:
        console.print(f"  {escape(text)}", soft_wrap=True)
