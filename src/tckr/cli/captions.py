"""`tckr captions`: write the captions of a run into a file that people exchange and `caption.file` reads."""

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
    output: Annotated[Path, typer.Option(metavar="FILE", help="Where to write: .json or .txt, as the format is.")],
    form: Annotated[
        Literal["grouped_by_class", "original_order"],
        typer.Option("--format", help="JSON of class: captions, or text of one `class name: caption` per line."),
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
        "They say what private images show: keep the file where the images are, and do not release it."
    )


def _captions_of_rows(settings: Settings) -> tuple[list[str], list[str | None]]:
    """Return class name and caption of every row of the run's data source, from all that its steps have captioned.

    Raises:
        UserError: the run has captioned nothing yet.
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
    for step in reversed(whole):  # the target's own captions, which come first, are the ones that stay
        columns = read_columns(store.folder(step), ["record", "caption"])
        said |= dict(zip(columns["record"].tolist(), columns["caption"].tolist(), strict=True))
    rows = read_source_rows(store.folder(data))
    return list(rows.class_names), [said.get(record) for record in rows.records.tolist()]
