"""Find masks beside their pictures: same name, another extension, `_mask`, or a folder of masks in the class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tckr.data.layouts.names import is_mask_folder, stem_of_mask
from tckr.data.layouts.survey import Folder

MOST_PROBED = 12
"""Number of files of one kind that are opened to see whether they are masks."""

FEW_VALUES = 32
"""Largest number of values in a file that is named as a mask; two in a file that only shares its stem with a picture."""

MOST_PIXELS = 64_000_000
SAME_STEM = "same stem"


def find_masks(folder: Folder, root: Path) -> set[str]:
    """Return the paths of the masks below `folder`, one class or a flat folder of pictures.

    A kind of file, by its extension and the sign that it may be a mask, counts as masks where all of a sample hold few
    values.
    """
    found = _candidates(folder)
    kinds = [kind for kind, files in found.items() if _all_masks([root / file for file in files], _most_values(kind[0]))]
    shared = [kind for kind in found if kind[0] == SAME_STEM]
    if shared and all(kind in kinds for kind in shared):  # the same line art in two formats is not a picture and its mask
        kinds = [kind for kind in kinds if kind not in shared]
    return {file for kind in kinds for file in found[kind]}


def _most_values(sign: str) -> int:
    return 2 if sign == SAME_STEM else FEW_VALUES


def _candidates(folder: Folder) -> dict[tuple[str, str], list[str]]:
    """Return (sign, extension) -> files that have a picture of their name beside them."""
    found: dict[tuple[str, str], list[str]] = {}
    pictures: set[str] = set()
    below: list[tuple[str, str, str]] = []
    for place in folder.walk():
        in_mask_folder = any(is_mask_folder(part) for part in place.path.removeprefix(folder.path).split("/"))
        stems = _stems(place)
        for name in place.pictures:
            path = PurePosixPath(name)
            named = stem_of_mask(path.stem)
            if in_mask_folder:
                below.append((named or path.stem, path.suffix.lower(), place.file(name)))
                continue
            pictures.add(path.stem)
            if named in stems:
                found.setdefault(("name", path.suffix.lower()), []).append(place.file(name))
            elif len(stems[path.stem]) > 1:
                found.setdefault((SAME_STEM, path.suffix.lower()), []).append(place.file(name))
    for stem, suffix, file in below:
        if stem in pictures:
            found.setdefault(("folder", suffix), []).append(file)
    return found


def _stems(folder: Folder) -> dict[str, set[str]]:
    stems: dict[str, set[str]] = {}
    for name in folder.pictures:
        path = PurePosixPath(name)
        stems.setdefault(path.stem, set()).add(path.suffix.lower())
    return stems


def _all_masks(paths: Sequence[Path], most_values: int) -> bool:
    step = max(1, len(paths) // MOST_PROBED)
    values = [_num_values(path) for path in paths[::step][:MOST_PROBED]]
    known = [count for count in values if count is not None]
    return bool(known) and max(known) <= most_values


def _num_values(path: Path) -> int | None:
    """Return the number of different colours in a picture, roughly if over FEW_VALUES; None if it is unreadable."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS or getattr(image, "is_animated", False):
                return None
            if image.mode in {"1", "L", "P", "RGB"}:
                colours = image.getcolors(FEW_VALUES)
                return FEW_VALUES + 1 if colours is None else len(colours)
            pixels = np.asarray(image)
            return len(np.unique(pixels.reshape(image.width * image.height, -1), axis=0))
    except Exception:  # decoders raise anything; a broken file is rejected later
        return None
