"""Content of an artifact: size and digest of every file, and how a folder differs from its manifest.

The digest is XXH3 with 128 bits. It detects flipped bits, zeros and swapped files, and costs about as much as reading the
file. It does not protect against intentional forgery: the manifest is beside the files and could be forged too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xxhash

from tckr.disk import write_whole

MANIFEST = "manifest.json"
OWN_DIGEST = "manifest_digest"
BLOCK_BYTES = 2**20
Identity = tuple[int, ...]

_DIGESTS: dict[Identity, str] = {}
"""Digests of files that this process has read, by device, inode, size and times: each file is read once."""


class DamageError(Exception):
    """A manifest is damaged; the message says how."""


def file_digest(path: Path) -> str:
    """Return the digest (32 hex digits) of a file; an unchanged file is read only once."""
    found = path.stat()
    identity = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    if identity not in _DIGESTS:
        _DIGESTS[identity] = _read_digest(path)
    return _DIGESTS[identity]


def _read_digest(path: Path) -> str:
    digest, block = xxhash.xxh3_128(), memoryview(bytearray(BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
    return digest.hexdigest()


def list_files(folder: Path) -> dict[str, Path]:
    """Return all files below `folder` by relative name, sorted."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of `folder` with a digest of the manifest itself."""
    text = json.dumps({**manifest, OWN_DIGEST: _own_digest(manifest)}, indent=1)
    write_whole(folder / MANIFEST, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of `folder`. A manifest of an old version has no digest of itself.

    Raises:
        DamageError: it is missing or was changed.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise DamageError("is missing") from None
    except (ValueError, RecursionError):  # not JSON, or not text
        raise DamageError("is no longer readable") from None
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(name), dict) for name in ("files", "sealed")):
        raise DamageError("is not a manifest any more")
    if (OWN_DIGEST in manifest or "digests" in manifest) and manifest.get(OWN_DIGEST) != _own_digest(manifest):
        raise DamageError("was changed after it was written")
    return manifest


def _own_digest(manifest: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in manifest.items() if name != OWN_DIGEST}
    return xxhash.xxh3_128_hexdigest(json.dumps(rest, sort_keys=True).encode())


def differences(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each file of `folder` that is missing, changed, or not listed in `manifest`.

    A manifest of an old version lists only sizes, so only these are compared. Files whose names start with a dot may be
    added: desktops and network file systems create such files, and no stage reads them.
    """
    sealed, digests = manifest["sealed"], manifest.get("digests", {})
    restore = f"Restore the file, or delete {folder}; the same command then computes it again"
    for name, size in manifest["files"].items():
        path = folder / name
        if Path(name).parts[0] in sealed:
            continue
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found:,} bytes"
            yield f"{path} {state}; expected {size:,} bytes. {restore}"
        elif name in digests and file_digest(path) != digests[name]:
            yield f"{path} has the right size but different content (flipped bits, or another file). {restore}"
    added = list_files(folder).keys() - manifest["files"].keys() - {MANIFEST} if "digests" in manifest else ()
    for name in sorted(added):
        if not any(part.startswith(".") for part in Path(name).parts):
            path = folder / name
            yield (
                f"{path} was added to the artifact after it was written. Move it elsewhere, then the same command continues"
            )
