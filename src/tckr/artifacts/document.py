"""JSON files of artifacts with declared fields, and functions to write JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from tckr.disk import write_whole


class Document(BaseModel):
    """Fields of a JSON file that one stage writes and others read.

    Attributes:
        file_name: name of the file in the artifact's folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file_name: ClassVar[str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the document in `folder`.

        Raises:
            pydantic.ValidationError: the file has other fields than declared.
        """
        return cls.model_validate_json((folder / cls.file_name).read_text(encoding="utf-8"))

    @classmethod
    def read_if_there(cls, folder: Path) -> Self | None:
        """Return the document in `folder`, or None if there is no such file."""
        return cls.read(folder) if (folder / cls.file_name).exists() else None

    def write(self, folder: Path) -> None:
        """Write the file into `folder`, completely or not at all."""
        write_json(folder / self.file_name, self.model_dump(mode="json"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, completely or not at all."""
    text = json_text(value)
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def json_text(value: Any) -> str:
    """Return `value` as the text of a JSON file."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
