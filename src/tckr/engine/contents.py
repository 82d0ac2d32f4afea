"""What an artifact holds: size and digest of every file, and how a folder differs from what was written.

The digest is XXH3 with 128 bits. It finds flipped bits, zeros and mixed-up files, and costs about as much as reading the
file. It does not protect from somebody who forges on purpose: the manifest lies beside the files and could be forged too.
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
"""Of the files that this process has read, by what changes when a file does: each is read once."""


class DamageError(Exception):
    """Say what is wrong with a manifest."""


def file_digest(path: Path) -> str:
    """Return the digest (32 hex digits) of a file; a file that has not changed since is not read again."""
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
    """Return all files below `folder` by their relative name, in order."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of `folder` with a digest of its own."""
    text = json.dumps({**manifest, OWN_DIGEST: _own_digest(manifest)}, indent=1)
    write_whole(folder / MANIFEST, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of `folder`; one written before there were digests has none.

    Raises:
        DamageError: it is no longer what was written.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise DamageError("is missing") from None
    except (ValueError, RecursionError):  # no JSON, or no text
        raise DamageError("is no longer readable") from None
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(name), dict) for name in ("files", "sealed")):
        raise DamageError("is not a manifest any more")
    if (OWN_DIGEST in manifest or "digests" in manifest) and manifest.get(OWN_DIGEST) != _own_digest(manifest):
        raise DamageError("is not what was written")
    return manifest


def _own_digest(manifest: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in manifest.items() if name != OWN_DIGEST}
    return xxhash.xxh3_128_hexdigest(json.dumps(rest, sort_keys=True).encode())


def differences(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence about each file of `folder` that is not what `manifest` says, and each that it does not name.

    A manifest from before there were digests knows sizes alone, and only those are compared.
    Files whose names begin with a dot may be added: desktops and network file systems leave such, and no stage reads them.
    """
    sealed, digests = manifest["sealed"], manifest.get("digests", {})
    restore = f"Put the file back, or delete {folder}, and the same command computes it anew"
    for name, size in manifest["files"].items():
        path = folder / name
        if Path(name).parts[0] in sealed:
            continue
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found:,} bytes"
            yield f"{path} {state}; expected {size:,} bytes, as written. {restore}"
        elif name in digests and file_digest(path) != digests[name]:
            yield f"{path} has the size but not the content that was written (flipped bits, or another file). {restore}"
    added = list_files(folder).keys() - manifest["files"].keys() - {MANIFEST} if "digests" in manifest else ()
    for name in sorted(added):
        if not any(part.startswith(".") for part in Path(name).parts):
            path = folder / name
            yield f"{path} was added to the artifact after it was written. Move it elsewhere, and the same command goes on"
