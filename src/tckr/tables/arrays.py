"""Read scores and membership as arrays in one npz file. Never loads a pickle.

Shape suffixes: S surfaces, R runs (row 0 = target), N records.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tckr.errors import UserError
from tckr.membership.evidence import Evidence
from tckr.membership.scorers.quantile_regression import principal_components

REQUIRED = ("signals", "members")
OPTIONAL = ("surfaces", "labels", "groups", "features", "null", "positive")
ONLY_SURFACE = "model"
"""Name of the surface where the table names none."""


def read_arrays(file: Path) -> tuple[Evidence, str]:
    """Return the evidence of `signals` [R, N] or [S, R, N], `members` [R, N] and what else is there; the depth is not known.

    Raises:
        UserError: not an npz file of plain arrays, or arrays that do not fit one another.
    """
    arrays = _load(file)
    _require_names(arrays)
    signals_SRN = _stack(_numbers(arrays, "signals"), 3, "signals", "[runs, records] or [surfaces, runs, records]")
    members_RN = as_members(arrays["members"], "members")
    _require_shape("members", members_RN, signals_SRN.shape[1:])
    names = _surface_names(arrays, len(signals_SRN))
    controls = {name: _control(arrays, name, signals_SRN) for name in ("null", "positive") if name in arrays}
    labels_N, class_names = _labels(arrays, signals_SRN.shape[2])
    evidence = Evidence(
        class_names=class_names,
        labels=labels_N,
        members=members_RN,
        groups=_groups(arrays, signals_SRN.shape[2]),
        surfaces={name: (name,) for name in names},
        signals=dict(zip(names, signals_SRN, strict=True)),
        features=_features(arrays, signals_SRN.shape[2]),
        controls={control: dict(zip(names, values_SN, strict=True)) for control, values_SN in controls.items()},
    )
    return evidence, ""


def _groups(arrays: Mapping[str, np.ndarray], count: int) -> np.ndarray | None:
    if "groups" not in arrays:
        return None
    _require_shape("groups", arrays["groups"], (count,))
    as_labels(arrays["groups"], "groups")
    return arrays["groups"]


def as_members(values: np.ndarray, name: str) -> np.ndarray:
    """Return `values` as bool: they must be that already, or integers 0 and 1.

    Raises:
        UserError: anything else.
    """
    if values.dtype.kind in "biu" and np.isin(values, (0, 1)).all():
        return values.astype(np.bool_)
    found = ", ".join(map(str, np.unique(values)[:5].tolist())) if values.dtype.kind in "iu" else f"type {values.dtype}"
    raise UserError(f"{name} holds {found}; expected true and false, or the integers 1 (member) and 0")


def as_labels(values_N: np.ndarray, name: str = "labels") -> tuple[np.ndarray, list[str]]:
    """Return labels as int64 [N] and the class names that they index, in sorted order.

    Raises:
        UserError: they are neither integers nor text.
    """
    if values_N.dtype.kind not in "iuU":
        raise UserError(f"{name} are of type {values_N.dtype}; expected integers or text, one per record")
    names, labels_N = np.unique(values_N, return_inverse=True)
    return labels_N.astype(np.int64), [str(name) for name in names]


def _load(file: Path) -> dict[str, np.ndarray]:
    try:
        with (
            file.open("rb") as stream,
            zipfile.ZipFile(stream),
        ):  # numpy would take an array of its own, or a pickle, for one
            stream.seek(0)
            loaded = np.load(stream, allow_pickle=False)
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot be read as an npz file of plain arrays ({reason}); write it with numpy.savez(file, signals=..., "
            "members=...), text as numpy strings and not as objects"
        ) from None


def _require_names(arrays: Mapping[str, np.ndarray]) -> None:
    missing = [name for name in REQUIRED if name not in arrays]
    unknown = [name for name in arrays if name not in REQUIRED + OPTIONAL]
    if missing or unknown:
        raise UserError(
            f"found the arrays {', '.join(arrays) or 'none'}; expected {' and '.join(REQUIRED)}, and nothing else but "
            f"{', '.join(OPTIONAL)}; rename or remove {', '.join(unknown)}"
            if unknown
            else f"found the arrays {', '.join(arrays) or 'none'}; add {' and '.join(missing)}"
        )


def _numbers(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    values = arrays[name]
    if values.dtype.kind not in "fiu":
        raise UserError(f"{name} is of type {values.dtype}; expected real numbers")
    return values.astype(np.float64)


def _stack(values: np.ndarray, dimensions: int, name: str, expected: str) -> np.ndarray:
    """Return `values` with the leading axis of surfaces, added where there is one surface only."""
    if values.ndim not in (dimensions - 1, dimensions) or 0 in values.shape:
        raise UserError(f"{name} has shape {list(values.shape)}; expected {expected}")
    return values if values.ndim == dimensions else values[None]


def _require_shape(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise UserError(f"{name} has shape {list(values.shape)}; expected {list(shape)}, as signals has")


def _surface_names(arrays: Mapping[str, np.ndarray], count: int) -> list[str]:
    if "surfaces" not in arrays and count == 1:
        return [ONLY_SURFACE]
    found = arrays.get("surfaces", np.empty(0, dtype=np.str_))
    names = [str(name) for name in np.atleast_1d(found)]
    if found.dtype.kind != "U" or found.ndim > 1 or len(set(names)) != count or len(names) != count:
        raise UserError(
            f"surfaces holds {names}; expected {count} different names as numpy strings, one per matrix of signals"
        )
    return names


def _control(arrays: Mapping[str, np.ndarray], name: str, signals_SRN: np.ndarray) -> np.ndarray:
    values = _stack(_numbers(arrays, name), 2, name, "[records] or [surfaces, records]")
    _require_shape(name, values, (len(signals_SRN), signals_SRN.shape[2]))
    return values


def _features(arrays: Mapping[str, np.ndarray], count: int) -> np.ndarray | None:
    """Return what is known of each record without the models, float64 [N, D]; None where the file does not say."""
    if "features" not in arrays:
        return None
    values = _numbers(arrays, "features")
    if values.ndim != 2 or len(values) != count or not values.shape[1]:
        raise UserError(f"features has shape {list(values.shape)}; expected [{count}, numbers of each record]")
    if not np.isfinite(values).all():
        raise UserError("features holds values that are not finite; expected numbers; fill or drop them")
    return principal_components(values)


def _labels(arrays: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, list[str]]:
    if "labels" not in arrays:
        return np.zeros(count, dtype=np.int64), []
    _require_shape("labels", arrays["labels"], (count,))
    return as_labels(arrays["labels"])
