"""Seeds that follow from what a thing is, never from when or where it is computed."""

from __future__ import annotations

import hashlib
import json
import operator


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) that is a fixed function of `parts`.

    The parts are written as JSON before hashing, so that `("a", "bc")` and `("ab", "c")`, or `1` and `"1"`, differ.

    Raises:
        TypeError: a part is neither an integer nor a string.
    """
    plain = [part if isinstance(part, str) else operator.index(part) for part in parts]
    digest = hashlib.sha256(json.dumps(plain, ensure_ascii=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def image_seed(root_seed: int, class_name: str, index: int, attempt: int = 0) -> int:
    """Return the seed of synthetic image `index` of a class: the same in every batch, process and order.

    Attempts 1, 2, ... are for an image that is drawn again.
    """
    again = (attempt,) if attempt else ()
    return derive_seed(root_seed, "image", class_name, index, *again)
