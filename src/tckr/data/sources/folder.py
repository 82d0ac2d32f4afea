"""Images in class folders, where `tckr.data.layouts` found them.

Links that point outside of the folder are followed only with `follow_links`. Pipes and devices are not opened. The format
of a file is determined by its content, not by its extension.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tckr.data.layouts.columns import alike
from tckr.data.layouts.description import Layout, LayoutPart, LeftOut, merge_counts
from tckr.data.layouts.names import split_of
from tckr.data.layouts.readings import FolderReading, Wishes
from tckr.data.sources.class_folders import ClassFolders, Entry
from tckr.data.sources.files import read_file
from tckr.data.sources.own_texts import read_text, text_beside
from tckr.data.sources.record import TRAIN, SourceRecord, printable
from tckr.data.stored import StoredList

EXAMPLES = 3


class FolderSource:
    """Images in class folders, in the order of their names."""

    def __init__(self, root: Path, reading: FolderReading, *, max_file_bytes: int, wishes: Wishes) -> None:
        """List the names in the folder according to `reading`; no file is opened."""
        self._grouping = wishes.grouping
        self.root = root
        self.name = root.resolve().name
        self._reading = reading
        self._said = reading.texts or {}
        self._max_file_bytes = max_file_bytes
        folders = ClassFolders(root, reading, wishes.follow_links)
        self._entries = StoredList(folders.entries(), read=lambda fields: Entry(*fields))
        self.class_names = sorted(folders.names)
        self._label = {name: label for label, name in enumerate(self.class_names)}

    @property
    def layout(self) -> Layout:
        """Return how the folder was understood."""
        reading = self._reading
        counts = self._counts()
        masks = [LeftOut(what="masks", count=len(reading.masks), why="few values, and named like a picture beside them")]
        in_splits = len(reading.parts) > 1 or any(split_of(part) for prefix in reading.parts for part in prefix.split("/"))
        splits = " in folders of splits" if in_splits else ""
        return Layout(
            kind=f"class folders{splits}",
            labels_from="the names of folders",
            parts=[
                LayoutPart(name=part.name, use=part.use, images=counts[part.name].total()) for part in reading.parts.values()
            ],
            classes={
                printable(name): sizes
                for name, sizes in merge_counts(self.class_names, counts).items()
                if sizes or not reading.classes
            },
            **self._grouping.counted(self._group_value(entry.file) for entry in self._entries if entry.counts),
            captions=reading.captions,
            left_out=[*(masks if reading.masks else []), *reading.left_out, *self._strays()],
            notes=[*reading.notes, *([note] if (note := alike(self.class_names)) else [])],
        )

    def _counts(self) -> dict[str, Counter[int]]:
        """Return split -> label -> number of pictures."""
        counts: dict[str, Counter[int]] = {part.name: Counter() for part in self._reading.parts.values()}
        for entry in self._entries:
            if entry.counts:
                counts[self._reading.parts[entry.part].name][self._label[entry.class_name]] += 1
        return counts

    def _strays(self) -> list[LeftOut]:
        strays = (printable(entry.file) for entry in self._entries if entry.reason == "no_class_folder")
        names = list(islice(strays, EXAMPLES))
        more = sum(1 for _ in strays)
        what = ", ".join(names) + (" ..." if more else "")
        return [LeftOut(what=what, count=len(names) + more, why="not in a class folder")] if names else []

    def __len__(self) -> int:
        """Return the number of files and of refused folders and links."""
        return len(self._entries)

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield one record per file, in name order."""
        return map(self._record, self._entries.since(start))

    def _group_value(self, file: str) -> Any:
        return self._reading.groups.get(file) if self._grouping.column else printable(file)

    def _record(self, entry: Entry) -> SourceRecord:
        data, reason, detail = b"", entry.reason, entry.detail
        if not reason:
            data, reason, detail = read_file(f"{self.root}/{entry.file}", self._max_file_bytes)
        record = SourceRecord(
            file=printable(entry.file),
            origin=self._reading.parts[entry.part].use if entry.part in self._reading.parts else TRAIN,
            label=self._label.get(entry.class_name, -1),
            data=data,
            reason=reason,
            detail=detail,
            rules=("nested_folder",) if entry.nested else (),
            caption=None if reason else self._caption(entry),
        )
        return self._grouping.assign(record, self._group_value(entry.file))

    def _caption(self, entry: Entry) -> str | None:
        """Return the caption of a picture: from a table, or else from the text file beside it."""
        said = self._said.get(entry.file)
        return read_text(f"{self.root}/{text_beside(entry.file)}") if said is None and entry.has_text else said
