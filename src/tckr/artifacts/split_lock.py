"""The lock of the test split: a keyed digest of its labels and pixels, stored by `prepare` and checked before reading.

The digest is in the report. The key stays in the artifact of `prepare`; without it nobody can test guesses of the images.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from pathlib import Path

from tckr.artifacts.data_card import DataCard
from tckr.data.images import iterate_images
from tckr.data.seeds import derive_key
from tckr.disk import write_whole
from tckr.errors import UserError

LOCK_BATCH = 256
LOCK_KEY_NAME = "test_lock.key"


def write_lock_key(folder: Path, root_seed: int) -> bytes:
    """Write the key of the lock, derived from the root seed of `prepare`, into its artifact; return it."""
    key = derive_key(root_seed, "test split lock")
    write_whole(folder / LOCK_KEY_NAME, lambda partial: partial.write_text(key.hex(), encoding="ascii"))
    return key


def lock_digest(records: Iterable[tuple[int, int, str]], key: bytes) -> str:
    """Return the HMAC-SHA256 over (record, label, SHA-256 of the RGB pixels in hex) of `records`."""
    digest = hmac.new(key, digestmod="sha256")
    for record, label, pixel_sha256 in records:
        digest.update(f"{record} {label} {pixel_sha256}\n".encode())
    return digest.hexdigest()


def split_digest(folder: Path, key: bytes) -> str:
    """Return the digest of a stored split."""
    return lock_digest(_records(folder), key)


def _records(folder: Path) -> Iterator[tuple[int, int, str]]:
    for batch in iterate_images(folder, LOCK_BATCH):
        for image, label, record in zip(batch["image"], batch["label"], batch["record"], strict=True):
            yield int(record), int(label), hashlib.sha256(image.tobytes()).hexdigest()


def check_test_split(test: Path, folder: Path) -> None:
    """Check that a test split is the one locked in the card of the `prepare` artifact `folder`.

    Raises:
        UserError: labels, pixels, order or number of the test records changed since `prepare`.
    """
    key = bytes.fromhex((folder / LOCK_KEY_NAME).read_text(encoding="ascii"))
    found, expected = split_digest(test, key), DataCard.read(folder).test_sha256
    if found != expected:
        raise UserError(
            f"the test split in {test} has digest {found[:12]}, but prepare locked {expected[:12]}. "
            f"It was changed afterwards: delete {folder} and run prepare again."
        )
