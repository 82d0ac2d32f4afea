"""Fingerprints: the identity of what a step computes. Equal fingerprints mean equal artifacts.

`Step.fingerprint` (`tckr.engine.step`) decides which values enter.

Only values with a stable written form are accepted. A float is written by `repr`, which reads back exactly.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel


def fingerprint(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of the canonical form of `value`.

    Raises:
        TypeError: a value has no stable form (a set, an object, a function, NaN).
    """
    return hashlib.sha256(json.dumps(canonical(value), sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def canonical(value: Any) -> Any:
    """Return `value` as nested lists, dictionaries with text keys, and scalars, which have exactly one form in JSON."""
    if isinstance(value, BaseModel):
        return {name: canonical(getattr(value, name)) for name in sorted(type(value).model_fields)}
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Enum):
        return canonical(value.value)
    if isinstance(value, float):
        return _canonical_float(value)
    if isinstance(value, str | PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return _canonical_mapping(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [canonical(item) for item in value]
    raise TypeError(f"a fingerprint needs values with a stable form; found {type(value).__name__}: {value!r}")


def _canonical_float(value: float) -> str:
    if math.isnan(value):
        raise TypeError("a fingerprint needs values with a stable form; found NaN")
    return f"float:{value!r}"


def _canonical_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in value):
        raise TypeError(f"a fingerprint needs string keys; found {sorted(map(repr, value))}")
    return {key: canonical(item) for key, item in value.items()}
