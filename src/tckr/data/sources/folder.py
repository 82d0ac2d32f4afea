"""Images in class folders, where `tckr.data.layouts` found them.

Follows no link out of the folder unless asked to, opens no pipe or device, and takes the content, never the extension, as
the truth.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tckr.data.layouts.description import Layout, LayoutPart, LeftOut, count_classes
from tckr.data.layouts.labels import alike
from tckr.data.layouts.names import is_system_folder, split_of
from tckr.data.layouts.readings import FolderReading, Wishes
from tckr.data.layouts.survey import is_picture
from tckr.data.sources.files import read_file
from tckr.data.sources.own_texts import TextFiles
from tckr.data.sources.record import TRAIN, SourceRecord, printable


@dataclass(frozen=True, slots=True)
class _Entry:
    file: str
    part: str
    class_name: str
    reason: str = ""
    detail: str = ""
    rules: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Return whether it may be a picture of a class."""
        return bool(self.class_name) and not self.reason and is_picture(self.file.rpartition("/")[2])


class FolderSource:
    """Images in class folders, in the order of their names."""

    def __init__(self, root: Path, reading: FolderReading, *, max_file_bytes: int, wishes: Wishes) -> None:
        """List the folder as `reading` says; names only, O(number of files)."""
        self._grouping = wishes.grouping
        self.root = root
        self.name = root.resolve().name
        self._reading = reading
        self._max_file_bytes = max_file_bytes
        entries = _stray_entries(root, list(reading.parts))
        classes: set[str] = set()
        for prefix in reading.parts:
            found, names = _list_split(root, prefix, reading.masks, wishes.follow_links)
            entries += found
            classes |= names
        self._texts = TextFiles(
            root, [entry.file for entry in entries if entry.class_name and not entry.reason], reading.texts
        )
        kept = (entry for entry in entries if not self._texts.holds(entry.file))
        self._entries = sorted(kept, key=lambda entry: os.fsencode(entry.file))
        self.class_names = sorted(classes)
        self._label = {name: label for label, name in enumerate(self.class_names)}

    @property
    def layout(self) -> Layout:
        """Return how the folder was understood."""
        reading = self._reading
        names = {prefix: part.name for prefix, part in reading.parts.items()}
        usable = [(names[entry.part], self._label[entry.class_name]) for entry in self._entries if entry.counts]
        images = Counter(name for name, _ in usable)
        masks = [LeftOut(what="masks", count=len(reading.masks), why="few values, and named like a picture beside them")]
        in_splits = len(names) > 1 or any(split_of(part) for prefix in names for part in prefix.split("/"))
        splits = " in folders of splits" if in_splits else ""
        return Layout(
            kind=f"class folders{splits}",
            labels_from="the names of folders",
            parts=[LayoutPart(name=part.name, use=part.use, images=images[part.name]) for part in reading.parts.values()],
            classes={
                printable(name): counts
                for name, counts in count_classes(self.class_names, usable).items()
                if counts or not reading.classes
            },
            **self._grouping.counted(self._group_value(entry.file) for entry in self._entries if entry.counts),
            captions=reading.captions,
            left_out=[*(masks if reading.masks else []), *reading.left_out, *self._strays()],
            notes=[*reading.notes, *([note] if (note := alike(self.class_names)) else [])],
        )

    def _strays(self) -> list[LeftOut]:
        strays = [printable(entry.file) for entry in self._entries if entry.reason == "no_class_folder"]
        names = ", ".join(strays[:3]) + (" ..." if len(strays) > 3 else "")
        return [LeftOut(what=names, count=len(strays), why="in no class folder")] if strays else []

    def __len__(self) -> int:
        """Return the number of files and of refused folders and links."""
        return len(self._entries)

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield one record per file, in name order."""
        for entry in self._entries[start:]:
            yield self._record(entry)

    def _group_value(self, file: str) -> Any:
        return self._reading.groups.get(file) if self._grouping.column else printable(file)

    def _record(self, entry: _Entry) -> SourceRecord:
        label = self._label.get(entry.class_name, -1)
        data, reason, detail = b"", entry.reason, entry.detail
        if not reason:
            data, reason, detail = read_file(self.root / entry.file, self._max_file_bytes)
        record = SourceRecord(
            file=printable(entry.file),
            origin=self._reading.parts[entry.part].use if entry.part in self._reading.parts else TRAIN,
            label=label,
            data=data,
            reason=reason,
            detail=detail,
            rules=entry.rules,
            caption=None if reason else self._texts.caption_of(entry.file),
        )
        return self._grouping.assign(record, self._group_value(entry.file))


def _stray_entries(root: Path, prefixes: list[str]) -> list[_Entry]:
    """Return what lies beside the folders `prefixes`, which hold the class folders, and is in none of them."""
    above = {prefix[:end] for prefix in prefixes for end in _ends_of_parents(prefix)}
    strays = []
    for folder in sorted(above):
        for item in _scan(root / folder)[0]:
            file = f"{folder}/{item.name}" if folder else item.name
            if file not in above and file not in prefixes:
                strays.append(_Entry(file, "", "", *_why_stray(item)))
    return strays


def _ends_of_parents(path: str) -> list[int]:
    """Return where the paths of the folders above `path` end in it: 0 for the source itself."""
    return [0, *(place for place, letter in enumerate(path) if letter == "/")] if path else []


def _why_stray(item: os.DirEntry[str]) -> tuple[str, str]:
    if not item.is_dir(follow_symlinks=False):
        return "no_class_folder", ""
    if item.name.startswith("."):
        return "hidden_folder", ""
    return "folder_not_read", f"{sum(len(files) for _, _, files in os.walk(item.path))} files"


def _list_split(root: Path, prefix: str, masks: frozenset[str], follow_links: bool) -> tuple[list[_Entry], set[str]]:
    """Return the entries below `root/prefix` and the names of its class folders."""
    entries: list[_Entry] = []
    classes: set[str] = set()
    listed, error = _scan(root / prefix)
    if error:
        entries.append(_Entry(prefix or ".", prefix, "", "unreadable", error))
    for item in listed:
        file = f"{prefix}/{item.name}" if prefix else item.name
        if not item.is_dir(follow_symlinks=False):
            reason, detail = _refuse(root, item, follow_links)
            entries.append(_Entry(file, prefix, "", reason or "no_class_folder", detail))
        elif is_system_folder(item.name):
            entries.append(_Entry(file, prefix, "", "hidden_folder"))
        else:
            classes.add(item.name)
            entries += [_or_mask(entry, masks) for entry in _list_class(root, file, item.name, prefix, follow_links)]
    return entries, classes


def _list_class(root: Path, folder: str, class_name: str, part: str, follow_links: bool) -> list[_Entry]:
    """Return the files of one class folder and its subfolders; a stack, since a deep tree must not exhaust recursion."""
    entries: list[_Entry] = []
    pending = [folder]
    while pending:
        current = pending.pop()
        listed, error = _scan(root / current)
        if error:
            entries.append(_Entry(current, part, class_name, "unreadable", error))
        for item in listed:
            file = f"{current}/{item.name}"
            if item.is_dir(follow_symlinks=False):
                if is_system_folder(item.name):
                    entries.append(_Entry(file, part, class_name, "hidden_folder"))
                else:
                    pending.append(file)
                continue
            reason, detail = _refuse(root, item, follow_links)
            entries.append(_Entry(file, part, class_name, reason, detail, () if current == folder else ("nested_folder",)))
    return entries


def _or_mask(entry: _Entry, masks: frozenset[str]) -> _Entry:
    return replace(entry, reason="mask", detail="") if entry.file in masks and not entry.reason else entry


def _scan(folder: Path) -> tuple[list[os.DirEntry[str]], str]:
    try:
        with os.scandir(folder) as listed:
            return list(listed), ""
    except OSError as error:
        return [], error.strerror or type(error).__name__


def _refuse(root: Path, item: os.DirEntry[str], follow_links: bool) -> tuple[str, str]:
    """Return (reason, detail) for what must not be opened: hidden files, pipes, devices, links that lead out or nowhere."""
    if item.name.startswith("."):
        return "hidden_folder", ""
    try:
        if item.is_symlink():
            target = Path(item.path).resolve(strict=True)
            if not follow_links and not target.is_relative_to(root.resolve()):
                return "symlink", f"leads to {target}, outside the data folder; prepare.follow_links=true reads it"
            if not target.is_file():
                return "symlink", "leads to a folder"
        elif not stat.S_ISREG(item.stat(follow_symlinks=False).st_mode):
            return "not_a_file", ""
    except (OSError, RuntimeError) as error:
        return ("symlink" if item.is_symlink() else "unreadable"), "broken link or loop" if item.is_symlink() else str(error)
    return "", ""
