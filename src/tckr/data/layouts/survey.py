"""What lies in a folder, by name alone: one walk, no file is opened. Follows no link to a folder, and none out of the source
unless asked to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from tckr.data.layouts.names import PICTURE_SUFFIXES, PLAIN_FILES, TABLE_SUFFIXES, is_system_folder


@dataclass(eq=False)
class Folder:
    """A folder of the source.

    Attributes:
        path: relative to the source, with `/`; empty for the source itself.
        files: names of its own files, in order.
        folders: its own folders, in order of their names.
    """

    path: str
    files: list[str] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition("/")[2]

    def file(self, name: str) -> str:
        """Return the path of one of its files, relative to the source."""
        return f"{self.path}/{name}" if self.path else name

    @cached_property
    def pictures(self) -> list[str]:
        """Return the names of its own files that are named like pictures."""
        return [name for name in self.files if is_picture(name)]

    @cached_property
    def num_pictures(self) -> int:
        """Return how many pictures it holds, with all folders below."""
        return len(self.pictures) + sum(folder.num_pictures for folder in self.folders)

    @cached_property
    def full(self) -> list[Folder]:
        """Return its own folders that hold pictures."""
        return [folder for folder in self.folders if folder.num_pictures]

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all below; a stack, since a deep tree must not exhaust recursion."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield folder
            pending += reversed(folder.folders)

    def all_pictures(self) -> Iterator[str]:
        """Yield the paths of all pictures in it and below."""
        for folder in self.walk():
            yield from (folder.file(name) for name in folder.pictures)

    @property
    def tables(self) -> list[str]:
        """Return the names of its own files that are named like tables."""
        return [name for name in self.files if PurePosixPath(name).suffix.lower() in TABLE_SUFFIXES]

    def all_tables(self) -> list[str]:
        """Return the paths of all files, also in folders below, that are named like tables."""
        return sorted(folder.file(name) for folder in self.walk() for name in folder.tables)


def is_picture(name: str) -> bool:
    """Return whether a file is named like a picture: a known extension, or none at all."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in PICTURE_SUFFIXES or (not suffix and name.lower() not in PLAIN_FILES)


def survey(root: Path, follow_links: bool) -> Folder:
    """Return the tree below `root`; what may not be listed is empty. With `follow_links` files may lie elsewhere."""
    top, inside = Folder(""), None if follow_links else root.resolve()
    pending = [top]
    order = []
    while pending:
        folder = pending.pop()
        order.append(folder)
        _list(root, folder, inside)
        pending += folder.folders
    for folder in reversed(order):  # from the leaves up, so that no property recurses deeply
        _ = folder.num_pictures
    return top


def _list(root: Path, folder: Folder, inside: Path | None) -> None:
    try:
        with os.scandir(root / folder.path) as listed:
            items = sorted((item for item in listed if not _is_hidden(item)), key=lambda item: item.name)
    except OSError:
        return
    for item in items:
        if item.is_dir(follow_symlinks=False):
            folder.folders.append(Folder(folder.file(item.name)))
        elif _is_readable(item, inside):
            folder.files.append(item.name)


def _is_hidden(item: os.DirEntry[str]) -> bool:
    return item.name.startswith(".") or (is_system_folder(item.name) and item.is_dir(follow_symlinks=False))


def _is_readable(item: os.DirEntry[str], inside: Path | None) -> bool:
    """Return whether it is a plain file, or a link to one, below `inside` if given; no pipe, device, broken link or loop."""
    try:
        if not item.is_symlink():
            return item.is_file()
        target = Path(item.path).resolve(strict=True)
        return target.is_file() and (inside is None or target.is_relative_to(inside))
    except (OSError, RuntimeError):
        return False
