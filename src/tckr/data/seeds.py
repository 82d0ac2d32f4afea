"""Seeds derived from the identity of an object, so independent of when or where it is computed."""

from __future__ import annotations

import hashlib
import hmac
import json
import operator
from collections.abc import Sequence


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) that is a fixed function of `parts`.

    The parts are written as JSON before hashing, so that `("a", "bc")` and `("ab", "c")`, or `1` and `"1"`, differ.

    Raises:
        TypeError: a part is not an integer or a string.
    """
    return int.from_bytes(hashlib.sha256(_written(parts)).digest()[:8], "big") >> 1


def keyed_root(secret: bytes, label: str, seed: int) -> int:
    """Return a root seed in [0, 2**256): HMAC-SHA256 of label and seed, which cannot be guessed without `secret`."""
    message = json.dumps([label, operator.index(seed)], ensure_ascii=True).encode()
    return int.from_bytes(hmac.digest(secret, message, "sha256"), "big")


def derive_key(*parts: int | str) -> bytes:
    """Return a key of 256 bits that is a fixed function of `parts` and as secret as they are."""
    return hashlib.sha256(_written(parts)).digest()


def image_seed(root_seed: int, class_name: str, index: int, attempt: int = 0) -> int:
    """Return the seed of synthetic image `index` of a class, independent of batch, process and order.

    Attempts 1, 2, ... are for an image that is generated again.
    """
    again = (attempt,) if attempt else ()
    return derive_seed(root_seed, "image", class_name, index, *again)


def _written(parts: Sequence[int | str]) -> bytes:
    plain = [part if isinstance(part, str) else operator.index(part) for part in parts]
    return json.dumps(plain, ensure_ascii=True).encode()
