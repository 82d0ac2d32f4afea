"""Folders that TCKR made: a marker file lists what TCKR wrote, and only that is ever replaced or removed.

FOLDER/.tckr.json   kind of the folder, and the digest of every file and link in it that TCKR may replace
FOLDER/.tckr.<id>.* the mark of a process that works in the folder (`tckr.engine.hold`)

A folder with files but without a marker is refused. A file that somebody else wrote or changed keeps its content: if TCKR
needs its name, the file is renamed (`report.kept-1.html`), otherwise it is left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ValidationError, field_validator

from tckr.engine.hold import exclusive, shared
from tckr.engine.private import FILE, create_private, make_private
from tckr.errors import UserError

OWN = ".tckr."
"""Prefixes of the names of TCKR's own files in any folder."""
MARKER, HOLD, PARTIAL = f"{OWN}json", OWN.rstrip("."), ".partial"
LEFT_BEHIND = re.compile(rf"{re.escape(OWN)}[0-9a-f]{{32}}(\.work)?{re.escape(PARTIAL)}")
"""Names of files in the middle of being written by a killed process (`Folder._filled`)."""
LOG_START = b'{"time": '
MOST_PARTS = 2
"""Maximum depth of a name: TCKR writes into a folder and its direct subfolders."""
SHOWN = 3
"""Number of names that an error lists."""

Fill = Callable[[Path], object]
"""Writes a file, or makes a link, at the given path."""


class Kind(StrEnum):
    """Purpose for which TCKR made a folder."""

    RUN = "run"
    SWEEP = "sweep"
    RESULTS = "reproduction"
    SCORES = "audit of scores"
    STORE = "artifact store"


BROUGHT = {Kind.STORE: ("secret",)}
"""Files that a user may put into a folder before TCKR creates it: the secret of another store."""


class Marker(BaseModel):
    """Content of `.tckr.json`: for each file and link that TCKR may replace, its possible digests (`_mark`)."""

    format: Literal["TCKR folder"] = "TCKR folder"
    version: Literal[1] = 1
    kind: Kind
    files: dict[str, list[str]] = {}

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, list[str]]) -> dict[str, list[str]]:
        """Refuse names outside the folder, because a folder and its marker may come from somebody else."""
        for name in files:
            parts = PurePosixPath(name).parts
            if not 1 <= len(parts) <= MOST_PARTS or "/".join(parts) != name or {"..", "/"} & set(parts):
                raise ValueError(f"{name!r} is not a file of this folder")
        return files


@dataclass(frozen=True)
class Folder:
    """A folder of one kind, which may not exist yet. `tell` receives a message when a file of somebody else is renamed."""

    path: Path
    kind: Kind
    tell: Callable[[str], Any] = field(default=lambda message: None, compare=False)

    def check(self) -> None:
        """Raise a UserError unless the folder is missing, empty, or made by TCKR for the same purpose; write nothing."""
        self._check_parents()
        found = [name for name in _strangers(self.path) if name not in BROUGHT.get(self.kind, ())]
        marker = read_marker(self.path)  # read after the names, because another process writes the marker first
        if self.path.is_symlink() and self.kind is not Kind.STORE:  # a store may be on another disk
            raise UserError(
                f"{self.path} is a link; expected a folder. Give the folder that it points to, or {self._advice}"
            )
        if marker is None and found:
            more = " ..." if len(found) > SHOWN else ""
            raise UserError(
                f"{self.path} contains {', '.join(found[:SHOWN])}{more} but no {MARKER}, so it was not made "
                f"by TCKR, and TCKR writes nothing there; {self._advice}. (Older versions of TCKR wrote no "
                f"{MARKER}: their folders can be read, and you may remove them yourself.)"
            )
        if marker is not None and marker.kind is not self.kind:
            raise UserError(f"{self.path} is a folder for another purpose: {marker.kind}, not {self.kind}; {self._advice}")

    def _check_parents(self) -> None:
        for path in (self.path, *self.path.parents):
            if path.name == ".." and not path.exists():  # `missing/..` would change its meaning when the folder is created
                raise UserError(f"{self.path} contains {path.parent}, which does not exist; give the path without `..`")
        for parent in Path(os.path.realpath(self.path)).parents:
            marker = read_marker(parent) if parent.exists() else None
            if marker is not None and marker.kind is not Kind.SWEEP:  # a sweep contains its variants
                raise UserError(
                    f"{self.path} is inside {parent}, a folder for another purpose: {marker.kind}; {self._advice}"
                )

    @property
    def _advice(self) -> str:
        return "give another --name or --output" if self.kind in (Kind.RUN, Kind.SWEEP) else "give another --output"

    def make(self) -> None:
        """Create the folder with its marker unless it exists.

        Raises:
            UserError: see `check`.
        """
        self.check()
        self._create()
        if read_marker(self.path) is None:
            self._note({})

    @contextmanager
    def held(self) -> Iterator[None]:
        """Create the folder unless it exists, and reserve it for this process until the block ends.

        Raises:
            UserError: see `check`; or another process uses it.
        """
        self.check()
        self._create()
        with exclusive(self.path / HOLD, self.path):
            self.make()  # checks again, because the folder may have changed meanwhile
            self._remove_left_behind()
            yield

    def _remove_left_behind(self) -> None:
        for left in (path for path in self.path.iterdir() if LEFT_BEHIND.fullmatch(path.name)):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Keep other processes from reserving the folder until the block ends.

        Raises:
            UserError: another process has reserved the folder.
        """
        with shared(self.path / HOLD, self.path):
            yield

    def put(self, made: Mapping[str, Fill], only: Sequence[str] = ()) -> None:
        """Write files and links completely or not at all. After a kill, the next call still knows which files are TCKR's.

        Args:
            made: relative name -> function that writes it.
            only: prefixes of names; files with these prefixes that TCKR wrote earlier and that are not in `made` are
                removed.

        Raises:
            UserError: see `check`; or a subfolder is a link or a file.
        """
        self.make()
        noted = self._noted()
        gone = [name for name in noted if name not in made and name.startswith(tuple(only))]
        partials = {name: self._filled(fill) for name, fill in made.items()}
        marks = {name: _mark(partial) for name, partial in partials.items()}
        self._note({**noted, **{name: [*noted.get(name, []), mark] for name, mark in marks.items()}})
        for name, partial in partials.items():
            self._replace(name, partial, noted.get(name, []), marks[name])
        for name in gone:
            self._remove(name, noted[name])
        self._note({name: found for name, found in noted.items() if name not in gone} | {n: [m] for n, m in marks.items()})

    def log_file(self, name: str = "log.jsonl") -> Path:
        """Return the log of the folder, to which lines are appended; a file of somebody else with this name is renamed."""
        path = self.path / name
        if os.path.lexists(path) and not _is_log(path):
            self._keep(path)
        create_private(path)
        return path

    def _create(self) -> None:
        make_private(self.path.parent)  # nobody else can list the runs in an output folder created here
        make_private(self.path)

    def _noted(self) -> dict[str, list[str]]:
        marker = read_marker(self.path)
        return dict(marker.files) if marker else {}

    def _note(self, files: Mapping[str, list[str]]) -> None:
        unique = {name: list(dict.fromkeys(marks)) for name, marks in files.items()}
        text = Marker(kind=self.kind, files=unique).model_dump_json(indent=1) + "\n"
        if read_marker(self.path) is None or unique != self._noted():
            self._filled(text_fill(text)).replace(self.path / MARKER)

    def _filled(self, fill: Fill) -> Path:
        """Return a new file or link in this folder, written by `fill`; no other user can read it at any time."""
        name = f"{OWN}{uuid.uuid4().hex}"
        work, partial = self.path / f"{name}.work{PARTIAL}", self.path / f"{name}{PARTIAL}"
        make_private(work)
        try:
            fill(work / "new")
            if not (work / "new").is_symlink():
                (work / "new").chmod(FILE)
            return (work / "new").replace(partial)
        finally:
            shutil.rmtree(work)

    def _replace(self, name: str, partial: Path, known: Sequence[str], mark: str) -> None:
        path = self.path / name
        self._make_parent(path)
        if os.path.lexists(path):
            found = _mark(path)
            if found == mark and found in known:
                return partial.unlink()
            if found not in known:
                self._keep(path)
        return os.replace(partial, path)  # noqa: PTH105 - as in `write_whole`

    def _make_parent(self, path: Path) -> None:
        if path.parent == self.path:
            return
        if path.parent.is_symlink() or (path.parent.exists() and not path.parent.is_dir()):
            raise UserError(
                f"{path.parent} is a link or a file; TCKR needs a folder there: move it away and run the command again"
            )
        make_private(path.parent)

    def _remove(self, name: str, known: Sequence[str]) -> None:
        path = self.path / name
        if path.parent.is_symlink() or not os.path.lexists(path):
            return
        if _mark(path) in known:
            path.unlink()
        else:
            self._keep(path)
        if path.parent != self.path and not any(path.parent.iterdir()):
            path.parent.rmdir()

    def _keep(self, path: Path) -> None:
        """Rename a file that TCKR did not write."""
        number = 1
        while os.path.lexists(kept := path.with_name(f"{path.stem}.kept-{number}{path.suffix}")):
            number += 1
        path.rename(kept)
        self.tell(f"{path} was changed by somebody else; it is kept as {kept}")


def read_marker(folder: Path) -> Marker | None:
    """Return the content of the marker of `folder`, None without a marker.

    Raises:
        UserError: the marker cannot be read or is from a newer version, or the folder is a file.
    """
    path = folder / MARKER
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{folder} is not a folder{' (a broken link)' * folder.is_symlink()}; move it, or give another path")
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return Marker.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        raise UserError(
            f"{path} is damaged or from a newer version of TCKR. It lists the files of {folder} that TCKR "
            "may change, so none is changed now. Restore it, or give another --name or --output"
        ) from None


def refuse_inside(file: Path) -> None:
    """Raise a UserError if `file` would be inside a folder that TCKR made, whose files only TCKR may write."""
    for parent in Path(os.path.realpath(file)).parents:
        if parent.is_dir() and read_marker(parent) is not None:
            raise UserError(f"{file} would be inside {parent}, a folder of TCKR; give a file outside of it")


def text_fill(text: str) -> Fill:
    """Return a function that writes `text` as UTF-8."""
    return lambda path: path.write_text(text, encoding="utf-8")


def copy_fill(source: Path) -> Fill:
    """Return a function that copies the content of the file `source`."""
    return lambda path: path.write_bytes(source.read_bytes())


def link_fill(target: str) -> Fill:
    """Return a function that makes a link to the folder `target`."""
    return lambda path: path.symlink_to(target, target_is_directory=True)


def _strangers(folder: Path) -> list[str]:
    """Return the names in `folder` without the prefixes of TCKR's own files."""
    return sorted(name for name in os.listdir(folder) if not name.startswith(OWN)) if folder.is_dir() else []  # noqa: PTH208


def _mark(path: Path) -> str:
    """Return a digest of the content of a file or the target of a link; empty for a folder."""
    if path.is_symlink():
        return f"link:{os.readlink(path)}"  # noqa: PTH115 - as it is written, not as a path
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else ""


def _is_log(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(len(LOG_START))
    return start in (b"", LOG_START)
