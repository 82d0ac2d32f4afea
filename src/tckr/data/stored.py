"""A list and a dictionary that store plain values on disk, so that memory does not grow with the pictures of a source.

Values are those of JSON: text, numbers, true, false, null, and lists and dictionaries of them. A tuple is read back as a
list.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

T = TypeVar("T")

CHUNK = 1000
"""Number of values of a list that are written and read together; this many of each list are in memory."""

CACHE_KIB = 128
"""Part of a database that is in memory, in KiB."""


class Store:
    """An empty database in a file without a name: it disappears with this object, or with the process if that is killed."""

    def __init__(self, *statements: str) -> None:
        """Open the file and run `statements`, which create the tables."""
        self.database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self.database.close)
        for statement in (f"PRAGMA cache_size = -{CACHE_KIB}", "PRAGMA journal_mode = OFF", *statements):
            self.database.execute(statement)

    def insert(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run `statement` for each of `rows`."""
        self.database.execute("BEGIN")
        self.database.executemany(statement, rows)
        self.database.execute("COMMIT")


class ListStore(Store):
    """A file for several lists, such as the columns of a table."""

    def __init__(self) -> None:
        """Open it."""
        super().__init__("CREATE TABLE chunks (number INTEGER PRIMARY KEY, items TEXT)")


class StoredList(Sequence[T]):
    """A list that only grows. Up to CHUNK items are only in memory."""

    def __init__(
        self, items: Iterable[T] = (), *, read: Callable[[Any], T] | None = None, store: ListStore | None = None
    ) -> None:
        """Keep `items`.

        Args:
            items: the first items.
            read: converts a value that was read from JSON to an item; by default the value is the item.
            store: the file; a new one by default.
        """
        self._read, self._store = read, store
        self._numbers = array("q")
        self._tail: list[T] = []
        self._last: tuple[int, Sequence[T]] = (-1, ())
        self.extend(items)

    def append(self, item: T) -> None:
        """Add an item at the end."""
        self._tail.append(item)
        if len(self._tail) == CHUNK:
            self._store = self._store or ListStore()
            insert = "INSERT INTO chunks (items) VALUES (?)"
            self._numbers.append(self._store.database.execute(insert, (json.dumps(self._tail, default=str),)).lastrowid or 0)
            self._tail = []

    def extend(self, items: Iterable[T]) -> None:
        """Add items at the end."""
        for item in items:
            self.append(item)

    def __len__(self) -> int:
        """Return the number of items."""
        return CHUNK * len(self._numbers) + len(self._tail)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        """Return an item, or a list of several in memory."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        chunk, place = divmod(range(len(self))[index], CHUNK)
        return self._chunk(chunk)[place]

    def __iter__(self) -> Iterator[T]:
        """Yield all items."""
        return self.since(0)

    def since(self, start: int) -> Iterator[T]:
        """Yield the items from number `start` on."""
        for chunk in range(start // CHUNK, len(self._numbers) + 1):
            yield from self._chunk(chunk)[max(0, start - CHUNK * chunk) :]

    def _chunk(self, chunk: int) -> Sequence[T]:
        """Return the items of a chunk; the chunk of the last call is in memory."""
        if chunk == len(self._numbers):
            return self._tail
        if self._last[0] != chunk:
            assert self._store is not None
            select = "SELECT items FROM chunks WHERE number = ?"
            items = json.loads(self._store.database.execute(select, (self._numbers[chunk],)).fetchone()[0])
            self._last = chunk, items if self._read is None else [self._read(item) for item in items]
        return self._last[1]


class StoredMap(Mapping[str, T]):
    """A dictionary with keys of text, in the order of their characters."""

    def __init__(self, items: Iterable[tuple[str, T]] = ()) -> None:
        """Store `items`; for a key that occurs twice, the last value."""
        self._store = Store("CREATE TABLE items (key BLOB PRIMARY KEY, value TEXT) WITHOUT ROWID")
        self.update(items)

    def update(self, items: Iterable[tuple[str, T]]) -> None:
        """Add or replace items."""
        rows = ((as_key(key), json.dumps(value)) for key, value in items)
        self._store.insert("INSERT OR REPLACE INTO items VALUES (?, ?)", rows)

    def setdefault(self, key: str, value: T) -> T:
        """Return the value of `key`, after setting it to `value` if there is none."""
        self._store.database.execute("INSERT OR IGNORE INTO items VALUES (?, ?)", (as_key(key), json.dumps(value)))
        return self[key]

    def __getitem__(self, key: str) -> T:
        """Return the value of `key`."""
        found = self._store.database.execute("SELECT value FROM items WHERE key = ?", (as_key(key),)).fetchone()
        if found is None:
            raise KeyError(key)
        return json.loads(found[0])

    def __bool__(self) -> bool:
        """Return whether there is any key."""
        return self._store.database.execute("SELECT 1 FROM items LIMIT 1").fetchone() is not None

    def __len__(self) -> int:
        """Return the number of keys, by counting them."""
        return int(self._store.database.execute("SELECT count(*) FROM items").fetchone()[0])

    def __iter__(self) -> Iterator[str]:
        """Yield the keys."""
        return (as_text(key) for (key,) in self._store.database.execute("SELECT key FROM items ORDER BY key"))


def as_key(text: str) -> bytes:
    """Return `text` as bytes for a database. They sort like the characters; half of a surrogate pair is allowed."""
    return text.encode("utf-8", "surrogatepass")


def as_text(key: bytes) -> str:
    """Return the text of `as_key`."""
    return key.decode("utf-8", "surrogatepass")
