"""The secret of a store: 256 random bits that determine all random choices of its runs on private sets.

It is stored in store/secret (mode 0600, hexadecimal digits), created once and never overwritten. Anyone with the secret and
the images can compute which images were members.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tckr.disk import explained
from tckr.engine.folders import Folder, Kind
from tckr.errors import UserError

SECRET_NAME = "secret"
NUM_BYTES = 32

Plan = TypeVar("Plan")


def with_secret(store: Path, plan: Callable[[bytes], Plan], *, begins: bool) -> Plan:
    """Return `plan(secret)` with the secret of `store`.

    Without a secret, the plan is made with a temporary one, so no step of it can be complete. If that succeeds and a run
    `begins`, a new secret is stored and the plan is made again with it.

    Raises:
        UserError: the secret is damaged, the disk is full or refuses to write, or `plan` raises it; a store without a secret
            is then not changed.
    """
    secret = read_secret(store)
    if secret is not None:
        return plan(secret)
    provisional = plan(draw_secret())
    if not begins:
        return provisional
    with explained(store):
        secret = _keep_secret(store)
    return plan(secret)


def draw_secret() -> bytes:
    """Return a new secret from the operating system's random numbers."""
    return secrets.token_bytes(NUM_BYTES)


def read_secret(store: Path) -> bytes | None:
    """Return the secret of `store`, None if there is none.

    Raises:
        UserError: it cannot be read or is incomplete.
    """
    path = store / SECRET_NAME
    try:
        text = path.read_bytes().strip()
        secret = bytes.fromhex(text.decode("ascii"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"the secret of the store cannot be read: {error}. {_meaning(path)}") from None
    except ValueError:
        secret = b""
    if len(secret) != NUM_BYTES or len(text) != 2 * NUM_BYTES:
        found = f"found {len(text)} bytes, expected {2 * NUM_BYTES} hexadecimal digits"
        raise UserError(f"the secret of the store is damaged: {found}. {_meaning(path)}")
    return secret


def _keep_secret(store: Path) -> bytes:
    """Create the secret of `store` and return it; if another process was faster, return its secret."""
    path = store / SECRET_NAME
    partial = path.with_name(f".{SECRET_NAME}.{secrets.token_hex(8)}.partial")
    Folder(store, Kind.STORE).make()
    try:
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(draw_secret().hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(partial)  # atomic; unlike a rename it fails if a secret exists
    except FileExistsError:
        pass
    finally:
        partial.unlink(missing_ok=True)
    kept = read_secret(store)
    assert kept is not None, path
    return kept


def _meaning(path: Path) -> str:
    return (
        f"Splits, membership and all random choices of the runs in this store depend on {path}. Restore it from a backup. "
        "If there is none, delete it: a new one is created, and the same commands compute all results on "
        "private images again."
    )
