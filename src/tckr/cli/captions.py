"""`tckr captions`: write the captions of a run to a file in a common format that `caption.file` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tckr.cli.settings import check_run_folder, settings_from
from tckr.errors import UserError, printable

if TYPE_CHECKING:
    from tckr.config import Settings


def captions(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, e.g. runs/demo.")],
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="File to write: .json for grouped_by_class, .txt for original_order.")
    ],
    form: Annotated[
        Literal["grouped_by_class", "original_order"],
        typer.Option("--format", help="JSON of captions by class, or text with one `class name: caption` per line."),
    ] = "grouped_by_class",
) -> None:
    """Write the captions of a run, in the order of the data set, for caption.file or other programs. They are private."""
    from tckr.data.caption_files import write_captions
    from tckr.engine.folders import refuse_inside

    check_run_folder(folder)
    refuse_inside(output)
    settings = settings_from([str(folder)], None, None, None, None)
    names, texts = _captions_of_rows(settings)
    write_captions(output, form, names, texts)
    told = sum(text is not None for text in texts)
    typer.echo(
        f"{told:,} captions of {len(texts):,} rows, {form}: {printable(str(output))}\n"
        "Captions describe private images: store the file with the images, and do not release it."
    )


def _captions_of_rows(settings: Settings) -> tuple[list[str], list[str | None]]:
    """Return class name and caption (None if missing) of every row of the data source, from all steps that wrote captions.

    Raises:
        UserError: the run has no captions yet.
    """
    from tckr.data.shards import read_columns
    from tckr.data.source_rows import read_source_rows
    from tckr.engine.store import Store
    from tckr.running import plan

    store, folder = Store(settings.execution.store), settings.execution.folder
    data, *others = plan(settings)
    whole = [step for step in others if step.stage == "caption" and store.has(step)]
    if not whole or not store.has(data):
        raise UserError(f"{folder} has no captions yet; make them with `tckr caption {folder}`")
    store.require_intact([data, *whole])
    said: dict[int, str] = {}
    for step in reversed(whole):  # the target comes first, so its captions are written last and replace those of other runs
        columns = read_columns(store.folder(step), ["record", "caption"])
        said |= dict(zip(columns["record"].tolist(), columns["caption"].tolist(), strict=True))
    rows = read_source_rows(store.folder(data))
    return list(rows.class_names), [said.get(record) for record in rows.records.tolist()]
