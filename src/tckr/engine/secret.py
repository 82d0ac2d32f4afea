"""The secret of a store: 256 random bits, from which every draw of its runs on private sets follows.

It lies at store/secret (mode 0600, hexadecimal digits), is drawn once and never overwritten. Whoever has it and the images
can compute who was a member.
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

    Where there is none, the plan is made with a secret that is forgotten: nothing of such a plan can be whole. If it holds
    and something `begins`, a secret is kept in the store and the plan is made again with that one.

    Raises:
        UserError: the secret is damaged, the disk is full or refuses to write, or what `plan` raises; then a store without
            a secret is left as it is.
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
    """Return the secret of `store`, None where there is none.

    Raises:
        UserError: it cannot be read, or is not whole.
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
    """Draw the secret of `store` and return it; if another process was faster, return that one's."""
    path = store / SECRET_NAME
    partial = path.with_name(f".{SECRET_NAME}.{secrets.token_hex(8)}.partial")
    Folder(store, Kind.STORE).make()
    try:
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(draw_secret().hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(partial)  # whole or absent, and unlike a rename it fails where there is one already
    except FileExistsError:
        pass
    finally:
        partial.unlink(missing_ok=True)
    kept = read_secret(store)
    assert kept is not None, path
    return kept


def _meaning(path: Path) -> str:
    return (
        f"Splits, membership and all draws of the runs in this store follow from {path}. Put it back from a backup. "
        "If there is none, delete it: a new one is drawn, and the same commands compute everything on private images anew."
    )
