"""The lock on the test split: a digest of its labels and pixels, taken at `prepare` and checked before it is read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tckr.data.card import read_card
from tckr.data.images import iterate_images
from tckr.errors import UserError

LOCK_BATCH = 256


def record_line(record: int, label: int, pixel_sha256: str) -> bytes:
    """Return what one record adds to a split's digest."""
    return f"{record} {label} {pixel_sha256}\n".encode()


def split_digest(folder: Path) -> str:
    """Return the SHA-256 over (record, label, SHA-256 of the RGB pixels) of every record of a split, in stored order."""
    digest = hashlib.sha256()
    for batch in iterate_images(folder, LOCK_BATCH):
        for image, label, record in zip(batch["image"], batch["label"], batch["record"], strict=True):
            digest.update(record_line(int(record), int(label), hashlib.sha256(image.tobytes()).hexdigest()))
    return digest.hexdigest()


def check_test_split(test: Path, folder: Path) -> None:
    """Refuse a test split that is not the one which the card of the `prepare` artifact `folder` locked.

    Raises:
        UserError: labels, pixels, order or number of the test records changed since `prepare`.
    """
    found, expected = split_digest(test), read_card(folder).test_sha256
    if found != expected:
        raise UserError(
            f"the test split in {test} has digest {found[:12]}; prepare locked {expected[:12]}. "
            f"It was changed afterwards: delete {folder} and run prepare again."
        )
