"""List the files of class folders in the order of their paths: pictures, texts beside them, and files that are refused.

Only the names of one folder are in memory at a time.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tckr.data.layouts.names import is_system_folder, stem_of
from tckr.data.layouts.readings import FolderReading
from tckr.data.layouts.survey import is_picture
from tckr.data.sources.own_texts import SUFFIX


class Entry(NamedTuple):
    """A file, or something that is refused.

    Attributes:
        file: path relative to the source.
        part: path of the folder that contains the class folders; empty for files outside of such a folder.
        class_name: empty for files that are not in a class folder.
        reason, detail: why the file is refused; empty if it is not.
        nested: whether the file is in a subfolder of its class folder.
        has_text: whether a text file with the same stem is beside it.
    """

    file: str
    part: str = ""
    class_name: str = ""
    reason: str = ""
    detail: str = ""
    nested: bool = False
    has_text: bool = False

    @property
    def counts(self) -> bool:
        """Return whether the file may be a picture of a class."""
        return bool(self.class_name) and not self.reason and is_picture(self.file.rpartition("/")[2])


class _Place(NamedTuple):
    """A folder to be listed: above all splits (`part` is None), a split, or a folder of a class in it."""

    path: str
    part: str | None
    class_name: str = ""


@dataclass
class _Listing:
    """Content of a folder in the order of the paths; names of folders end with `/`."""

    names: list[str] = field(default_factory=list)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    error: str = ""


class ClassFolders:
    """Content of a source that is read by its folders."""

    def __init__(self, root: Path, reading: FolderReading, follow_links: bool) -> None:
        """Use the reading that was chosen for the folder `root`."""
        self._root, self._parts, self._masks = root, reading.parts, reading.masks or frozenset[str]()
        self._above = {prefix[:end] for prefix in self._parts for end in _ends_of_parents(prefix)}
        self._inside = None if follow_links else root.resolve()
        self.names: set[str] = set()

    def entries(self) -> Iterator[Entry]:
        """Yield all entries and fill `names` with the names of the class folders.

        It uses a stack, because a deep tree must not exhaust recursion.
        """
        pending = [self._within(_Place("", "" if "" in self._parts else None))]
        while pending:
            found = next(pending[-1], None)
            if found is None:
                pending.pop()
            elif isinstance(found, _Place):
                pending.append(self._within(found))
            else:
                yield found

    def _within(self, place: _Place) -> Iterator[Entry | _Place]:
        if place.part is None:
            return self._above_parts(place.path)
        return self._in_class(place, place.part) if place.class_name else self._in_part(place.part)

    def _above_parts(self, folder: str) -> Iterator[Entry | _Place]:
        for name in self._list(folder).names:
            file = _joined(folder, name.rstrip("/"))
            if file in self._parts or file in self._above:
                yield _Place(file, file if file in self._parts else None)
            else:
                yield Entry(file, "", "", *_why_stray(self._root / file, name))

    def _in_part(self, part: str) -> Iterator[Entry | _Place]:
        listing = self._list(part)
        if listing.error:
            yield Entry(part or ".", part, "", "unreadable", listing.error)
        for name in listing.names:
            file, folder = _joined(part, name.rstrip("/")), name.endswith("/")
            if folder and is_system_folder(name[:-1]):
                yield Entry(file, part, "", "hidden_folder")
            elif folder:
                self.names.add(name[:-1])
                yield _Place(file, part, name[:-1])
            else:
                yield Entry(file, part, "", *listing.refused.get(name, ("no_class_folder", "")))

    def _in_class(self, place: _Place, part: str) -> Iterator[Entry | _Place]:
        listing = self._list(place.path)
        if listing.error:
            yield Entry(place.path, part, place.class_name, "unreadable", listing.error)
        texts = self._texts(place.path, listing)
        nested = place.path != _joined(part, place.class_name)
        for name in listing.names:
            file = _joined(place.path, name.rstrip("/"))
            if name.endswith("/"):
                hidden = is_system_folder(name[:-1])
                yield Entry(file, part, place.class_name, "hidden_folder") if hidden else place._replace(path=file)
            elif name not in texts:
                reason, detail = self._why_refused(name, file, listing)
                has_text = not reason and bool(texts) and stem_of(name) + SUFFIX in texts and is_picture(name)
                yield Entry(file, part, place.class_name, reason, detail, nested, has_text)

    def _why_refused(self, name: str, file: str, listing: _Listing) -> tuple[str, str]:
        return listing.refused.get(name) or (("mask", "") if file in self._masks else ("", ""))

    def _texts(self, folder: str, listing: _Listing) -> Collection[str]:
        """Return the names of text files that have a picture with the same stem beside them."""
        texts = {name for name in listing.names if name.endswith(SUFFIX) and name not in listing.refused}
        if not texts:
            return ()
        names = (name for name in listing.names if is_picture(name) and not name.endswith("/"))
        pictures = (name for name in names if not self._why_refused(name, _joined(folder, name), listing)[0])
        return {text for name in pictures if (text := stem_of(name) + SUFFIX) in texts}

    def _list(self, folder: str) -> _Listing:
        listing = _Listing()
        try:
            with os.scandir(self._root / folder) as items:
                for item in items:  # one after the other: an item takes four times the memory of its name
                    if item.is_dir(follow_symlinks=False):
                        listing.names.append(f"{item.name}/")
                        continue
                    listing.names.append(item.name)
                    if refused := _refuse(item, self._inside):
                        listing.refused[item.name] = refused
        except OSError as error:
            return _Listing(error=error.strerror or type(error).__name__)
        listing.names.sort(key=None if all(map(str.isascii, listing.names)) else os.fsencode)  # in the order of bytes
        return listing


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _ends_of_parents(path: str) -> Sequence[int]:
    """Return the positions in `path` at which the paths of the folders above it end; 0 for the source itself."""
    return [0, *(place for place, letter in enumerate(path) if letter == "/")] if path else []


def _why_stray(path: Path, name: str) -> tuple[str, str]:
    if not name.endswith("/"):
        return "no_class_folder", ""
    if name.startswith("."):
        return "hidden_folder", ""
    return "folder_not_read", f"{sum(len(files) for _, _, files in os.walk(path))} files"


def _refuse(item: os.DirEntry[str], inside: Path | None) -> tuple[str, str] | None:
    """Return (reason, detail) for what must not be opened: hidden files, pipes, devices, links that break or lead out."""
    if item.name.startswith("."):
        return "hidden_folder", ""
    try:
        if item.is_symlink():
            target = Path(item.path).resolve(strict=True)
            if not target.is_file():
                return "symlink", "points to a folder; no setting follows it: copy the folder, for instance with cp -rl"
            if inside is not None and not target.is_relative_to(inside):
                return "symlink", f"points to {target}, outside the data folder; prepare.follow_links=true reads it"
            return None
        return None if item.is_file(follow_symlinks=False) else ("not_a_file", "")
    except (OSError, RuntimeError) as error:
        return ("symlink", "broken link or loop") if item.is_symlink() else ("unreadable", str(error))
