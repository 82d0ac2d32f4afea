"""SHA256SUMS: the digest of every file of a release, in the format of `sha256sum --check`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tckr.errors import UserError

NAME = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Write the digests of all files below `folder`, sorted by name."""
    lines = [f"{digest}  {name}\n" for name, digest in file_digests(folder).items()]
    (folder / NAME).write_text("".join(lines), encoding="utf-8")


def verify_checksums(folder: Path) -> int:
    """Read every file of a release again, compare it with SHA256SUMS and return the number of files.

    Raises:
        UserError: a file was changed, is missing, or was added.
    """
    lines = (folder / NAME).read_text(encoding="utf-8").splitlines()
    expected = {line[66:]: line[:64] for line in lines}
    found = file_digests(folder)
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise UserError(
            f"{folder} differs from its {NAME} in {', '.join(wrong[:3])}. The disk may be damaged, or somebody changed the "
            "release. Remove the folder and release again"
        )
    return len(found)


def file_digests(folder: Path) -> dict[str, str]:
    """Return relative name -> SHA-256 of every file below `folder` except SHA256SUMS, sorted by name."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: _digest(files[name]) for name in sorted(files) if name != NAME}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
