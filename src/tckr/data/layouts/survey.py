"""List the names in a folder and its subfolders, without opening files. Links to folders are not followed, and links out
of the source only on request."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tckr.data.layouts.names import PICTURE_SUFFIXES, PLAIN_FILES, TABLE_SUFFIXES, is_system_folder, suffix_of


class Names(Collection[str]):
    """Names of files, stored in one text, because a list would take four times the memory."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Store `names` in the given order."""
        listed = list(names)
        self._text, self._count = "/".join(listed), len(listed)

    def __len__(self) -> int:
        """Return the number of names."""
        return self._count

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return (found[0] for found in re.finditer("[^/]+", self._text))

    def __contains__(self, name: object) -> bool:
        """Return whether `name` is one of them."""
        return any(name == other for other in self)


@dataclass(eq=False)
class Folder:
    """A folder of the source.

    Attributes:
        path: path relative to the source, with `/`; empty for the source itself.
        files: sorted names of the files directly in it.
        folders: subfolders, sorted by name.
    """

    path: str
    files: Names = field(default_factory=Names)
    folders: list[Folder] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition("/")[2]

    def file(self, name: str) -> str:
        """Return the path of a file directly in it, relative to the source."""
        return f"{self.path}/{name}" if self.path else name

    @cached_property
    def pictures(self) -> Names:
        """Return the names of its own files that are named like pictures."""
        count = sum(map(is_picture, self.files))
        return self.files if count == len(self.files) else Names(filter(is_picture, self.files))

    @cached_property
    def num_pictures(self) -> int:
        """Return the number of pictures in it, including all subfolders."""
        return len(self.pictures) + sum(folder.num_pictures for folder in self.folders)

    @cached_property
    def full(self) -> list[Folder]:
        """Return the subfolders that contain pictures."""
        return [folder for folder in self.folders if folder.num_pictures]

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all below; with a stack, because a deep tree must not exhaust recursion."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield folder
            pending += reversed(folder.folders)

    def all_pictures(self) -> Iterator[str]:
        """Yield the paths of all pictures in it and in all subfolders."""
        for folder in self.walk():
            yield from (folder.file(name) for name in folder.pictures)

    @property
    def tables(self) -> list[str]:
        """Return the names of its own files that are named like tables."""
        return [name for name in self.files if suffix_of(name).lower() in TABLE_SUFFIXES]

    def all_tables(self) -> list[str]:
        """Return the paths of all files, also in subfolders, whose names are those of tables."""
        return sorted(folder.file(name) for folder in self.walk() for name in folder.tables)


def is_picture(name: str) -> bool:
    """Return whether a file is named like a picture: a known extension, or none at all."""
    suffix = suffix_of(name).lower()
    return suffix in PICTURE_SUFFIXES or (not suffix and name.lower() not in PLAIN_FILES)


def survey(root: Path, follow_links: bool) -> Folder:
    """Return the tree below `root`; unreadable folders are empty. With `follow_links`, linked files may be elsewhere."""
    top, inside = Folder(""), None if follow_links else root.resolve()
    pending = [top]
    order = []
    while pending:
        folder = pending.pop()
        order.append(folder)
        _list(root, folder, inside)
        pending += folder.folders
    for folder in reversed(order):  # from the leaves to the root, so that no property recurses deeply
        _ = folder.num_pictures
    return top


def _list(root: Path, folder: Folder, inside: Path | None) -> None:
    files, folders = [], []
    try:
        with os.scandir(root / folder.path) as listed:
            for item in listed:  # one after the other: an item takes four times the memory of its name
                if _is_hidden(item):
                    continue
                if item.is_dir(follow_symlinks=False):
                    folders.append(item.name)
                elif _is_readable(item, inside):
                    files.append(item.name)
    except OSError:
        return
    folder.files = Names(sorted(files))
    folder.folders = [Folder(folder.file(name)) for name in sorted(folders)]


def _is_hidden(item: os.DirEntry[str]) -> bool:
    return item.name.startswith(".") or (is_system_folder(item.name) and item.is_dir(follow_symlinks=False))


def _is_readable(item: os.DirEntry[str], inside: Path | None) -> bool:
    """Return whether it is a file, or a link to one, below `inside` if given; not a pipe, device, broken link or loop."""
    try:
        if not item.is_symlink():
            return item.is_file()
        target = Path(item.path).resolve(strict=True)
        return target.is_file() and (inside is None or target.is_relative_to(inside))
    except (OSError, RuntimeError):
        return False
