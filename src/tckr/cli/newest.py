"""The run that a command works on when none is named: the one that was worked on last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tckr.errors import UserError, shown

RUNS = Path("runs")
"""Where runs lie unless --output says otherwise."""


def runs_below(output: Path | None) -> list[Path]:
    """Return the folders of all runs below `output`, the one that was worked on last first."""
    folders = [path.parent for path in (output or RUNS).glob("*/config.yaml")]
    return sorted(folders, key=_last_worked_on, reverse=True)


def newest_run(output: Path | None, name: str | None = None) -> Path:
    """Return the folder of the newest run below `output`, or that of the run `name`; say which one on standard error.

    Raises:
        UserError: there is none.
    """
    from tckr.cli.terminal import complain

    folders = runs_below(output)
    found = next((folder for folder in folders if name in (None, folder.name)), None)
    if found is None:
        raise UserError(_none(output or RUNS, name, folders))
    if name is None:
        complain(f"{found}, the newest of {len(folders)} runs" if len(folders) > 1 else f"{found}, the only run")
    return found


def _none(output: Path, name: str | None, folders: Sequence[Path]) -> str:
    if name is not None and folders:
        return (
            f"no run called {shown(name)} below {shown(output)}; found {', '.join(shown(path.name) for path in folders[:5])}"
        )
    return f"no run below {shown(output)}; start one with `tckr demo` or `tckr run --data FOLDER`, or name a run's folder"


def _last_worked_on(folder: Path) -> float:
    files = [folder / "config.yaml", folder / "log.jsonl"]
    return max(path.stat().st_mtime for path in files if path.exists())
