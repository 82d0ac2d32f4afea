"""`tckr release`: copy the releasable parts of a run into a new folder after the gate; upload only on request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from tckr.cli.newest import newest_run
from tckr.cli.run import INVALID
from tckr.errors import UserError, shown
from tckr.releasing.names import FormatName, Part

if TYPE_CHECKING:
    from tckr.releasing.releasing import Release

To = Annotated[Path, typer.Option(help="A folder that does not exist, or is empty.", show_default=False)]
Licence = Annotated[
    str, typer.Option("--license", help="Licence of what you release, e.g. cc-by-4.0 or other.", show_default=False)
]
What = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PART [PART]...",
        help="What to release: one or more of images, labels, student, adapter and report.",
        show_default="images labels student",
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN] [PART]...",
        help="The folder of a finished run, and the parts after the first one of --what.",
        show_default="the newest run",
    ),
]
Form = Annotated[FormatName, typer.Option("--format", help="Layout of the images.")]
Risk = Annotated[
    str,
    typer.Option(metavar="REASON", help="Release what the gate refuses; the cards state this reason.", show_default=False),
]
By = Annotated[str, typer.Option(metavar="NAME", help="Who accepts the risk; the cards state it.", show_default=False)]
CertificateFile = Annotated[
    Path | None,
    typer.Option(
        "--c2pa-certificate", metavar="FILE", help="Sign every image (C2PA): certificate chain, PEM.", show_default=False
    ),
]
KeyFile = Annotated[
    Path | None, typer.Option("--c2pa-key", metavar="FILE", help="The certificate's private key, PEM.", show_default=False)
]
Push = Annotated[
    str,
    typer.Option(
        metavar="OWNER/NAME", help="Upload the release to the Hugging Face hub, if you confirm.", show_default=False
    ),
]


def release(
    arguments: Arguments = None,
    *,
    to: To,
    what: What = None,
    licence: Licence = "",
    form: Form = "parquet",
    accept_risk: Risk = "",
    by: By = "",
    certificate: CertificateFile = None,
    key: KeyFile = None,
    push: Push = "",
) -> None:
    """Copy the releasable parts of a run into a new folder, without prompts, paths, names and seeds; mark the images.

    A gate reads the run's audit. It refuses parts that leak or were not measured, and prints the command that would measure
    them. Exit status 2 if it refuses, 3 if a control of the audit failed. The run itself is not changed.
    """
    from tckr.cli.terminal import complain
    from tckr.releasing.releasing import GateError
    from tckr.releasing.releasing import release as make_release
    from tckr.releasing.request import DEFAULT_PARTS

    run, more = split_arguments(arguments or [])
    parts = [*(what or []), *more] or DEFAULT_PARTS
    try:
        made = make_release(
            run,
            to=to,
            license=licence,
            what=parts,
            format=form,
            accept_risk=accept_risk,
            by=by,
            c2pa_certificate=certificate,
            c2pa_key=key,
            hub_name=push,
        )
    except GateError as error:
        if not error.invalid:
            raise
        complain(f"error: {error}")
        raise typer.Exit(INVALID) from None
    _print(made)
    if push:
        _push(made, push)


def split_arguments(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the folder of the run (the newest if none is named) and the names of parts among the arguments.

    Raises:
        UserError: several runs are named, or there is none.
    """
    folders = [text for text in arguments if text not in get_args(Part) or Path(text).is_dir()]
    if len(folders) > 1:
        raise UserError(f"found {', '.join(map(shown, folders[:5]))}; give one run, and parts: {', '.join(get_args(Part))}")
    run = Path(folders[0]) if folders else newest_run(None)
    return run, [text for text in arguments if text not in folders]


def _print(made: Release) -> None:
    from tckr.cli.terminal import Terminal, escape
    from tckr.disk import size_text
    from tckr.releasing.facts import size_of

    console = Terminal()
    for obstacle in made.accepted:
        console.print(f"[yellow]risk accepted[/]  {escape(obstacle)}", soft_wrap=True)
    size = size_text(size_of(made.folder))
    console.print(escape(f"release        {made.folder}"), soft_wrap=True)
    console.print(f"               {made.num_files} files, {size}; read back, all match SHA256SUMS", soft_wrap=True)


def _push(made: Release, name: str) -> None:
    """Ask for confirmation, then upload."""
    from tckr.cli.terminal import Terminal, escape
    from tckr.errors import printable
    from tckr.releasing.hub import repositories, upload

    for place in repositories(made.folder, name):
        typer.echo(printable(f"to upload      {place.kind} {place.name}: {place.folder}"))
    typer.confirm("Upload to the hub? Missing repositories are created as private", abort=True)
    for address in upload(made.folder, name):
        Terminal().print(escape(f"uploaded       {address}"), soft_wrap=True)
