"""A folder `class_name/*.png`, or `train/class_name/*` beside `test/class_name/*`.

Follows no link out of the folder, opens no pipe or device, and takes the content, never the extension, as the truth.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tckr.data.sources.record import TEST, TRAIN, SourceRecord

SPLIT_FOLDERS = ("train", "training", "validation", "valid", "val", "dev", "test")
"""All but the one named `test_split` join the training split: `prepare` draws its own."""


@dataclass(frozen=True)
class _Entry:
    file: str
    origin: str
    class_name: str
    reason: str = ""
    detail: str = ""
    rules: tuple[str, ...] = ()


class FolderSource:
    """Images in class folders, in the order of their names."""

    def __init__(self, root: Path, *, test_split: str, max_file_bytes: int) -> None:
        """List the folder; names only, O(number of files)."""
        self.root = root
        self.name = root.resolve().name
        self._max_file_bytes = max_file_bytes
        origins = _split_folders(root, test_split)
        entries: list[_Entry] = []
        classes: set[str] = set()
        for prefix, origin in origins.items():
            found, names = _list_split(root, prefix, origin)
            entries += found
            classes |= names
        if origins.keys() != {""}:
            entries += _stray_entries(root, origins)
        self._entries = sorted(entries, key=lambda entry: os.fsencode(entry.file))
        self.class_names = sorted(classes)
        self._label = {name: label for label, name in enumerate(self.class_names)}

    def __len__(self) -> int:
        """Return the number of files and of refused folders and links."""
        return len(self._entries)

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield one record per file, in name order."""
        for entry in self._entries[start:]:
            yield self._record(entry)

    def _record(self, entry: _Entry) -> SourceRecord:
        label = self._label.get(entry.class_name, -1)
        data, reason, detail = b"", entry.reason, entry.detail
        if not reason:
            data, reason, detail = read_file(self.root / entry.file, self._max_file_bytes)
        return SourceRecord(
            file=os.fsencode(entry.file).decode("utf-8", "backslashreplace"),
            origin=entry.origin,
            label=label,
            data=data,
            reason=reason,
            detail=detail,
            rules=entry.rules,
        )


def read_file(path: Path, max_file_bytes: int) -> tuple[bytes, str, str]:
    """Return (content, reason, detail); the reason is empty when the file could be read."""
    try:
        size = path.stat().st_size
        if size > max_file_bytes:
            return b"", "file_too_large", f"{size} bytes; at most {max_file_bytes}"
        return path.read_bytes(), "", ""
    except OSError as error:
        return b"", "unreadable", error.strerror or type(error).__name__


def _split_folders(root: Path, test_split: str) -> dict[str, str]:
    """Return folder -> origin for class folders below train/ and test/; {"": train} for plain class folders."""
    names = {entry.name for entry in _scan(root)[0] if entry.is_dir(follow_symlinks=False) and entry.name[0] != "."}
    origins = {name: TEST if name == test_split else TRAIN for name in names if name in {*SPLIT_FOLDERS, test_split}}
    layout = names == origins.keys() and TRAIN in origins.values() and names & {"train", "training"}
    return origins if layout and not any(_holds_files(root / name) for name in names) else {"": TRAIN}


def _holds_files(folder: Path) -> bool:
    return any(entry.is_file(follow_symlinks=False) and entry.name[0] != "." for entry in _scan(folder)[0])


def _stray_entries(root: Path, origins: dict[str, str]) -> list[_Entry]:
    strays = [entry for entry in _scan(root)[0] if entry.name not in origins]
    return [
        _Entry(entry.name, TRAIN, "", "hidden_folder" if entry.is_dir(follow_symlinks=False) else "no_class_folder")
        for entry in strays
    ]


def _list_split(root: Path, prefix: str, origin: str) -> tuple[list[_Entry], set[str]]:
    """Return the entries below `root/prefix` and the names of its class folders."""
    entries: list[_Entry] = []
    classes: set[str] = set()
    listed, error = _scan(root / prefix)
    if error:
        entries.append(_Entry(prefix or ".", origin, "", "unreadable", error))
    for item in listed:
        file = f"{prefix}/{item.name}" if prefix else item.name
        if not item.is_dir(follow_symlinks=False):
            reason, detail = _refuse(root, item)
            entries.append(_Entry(file, origin, "", reason or "no_class_folder", detail))
        elif item.name.startswith("."):
            entries.append(_Entry(file, origin, "", "hidden_folder"))
        else:
            classes.add(item.name)
            entries += _list_class(root, file, item.name, origin)
    return entries, classes


def _list_class(root: Path, folder: str, class_name: str, origin: str) -> list[_Entry]:
    """Return the files of one class folder and its subfolders; a stack, since a deep tree must not exhaust recursion."""
    entries: list[_Entry] = []
    pending = [folder]
    while pending:
        current = pending.pop()
        listed, error = _scan(root / current)
        if error:
            entries.append(_Entry(current, origin, class_name, "unreadable", error))
        for item in listed:
            file = f"{current}/{item.name}"
            if item.is_dir(follow_symlinks=False):
                pending.append(file)
                continue
            reason, detail = _refuse(root, item)
            entries.append(_Entry(file, origin, class_name, reason, detail, () if current == folder else ("nested_folder",)))
    return entries


def _scan(folder: Path) -> tuple[list[os.DirEntry[str]], str]:
    try:
        with os.scandir(folder) as listed:
            return list(listed), ""
    except OSError as error:
        return [], error.strerror or type(error).__name__


def _refuse(root: Path, item: os.DirEntry[str]) -> tuple[str, str]:
    """Return (reason, detail) for what must not be opened: pipes, devices, links that lead out or nowhere."""
    try:
        if item.is_symlink():
            target = Path(item.path).resolve(strict=True)
            if not target.is_relative_to(root.resolve()):
                return "symlink", f"leads to {target}, outside the data folder"
            if not target.is_file():
                return "symlink", "leads to a folder"
        elif not stat.S_ISREG(item.stat(follow_symlinks=False).st_mode):
            return "not_a_file", ""
    except (OSError, RuntimeError) as error:
        return ("symlink" if item.is_symlink() else "unreadable"), "broken link or loop" if item.is_symlink() else str(error)
    return "", ""
