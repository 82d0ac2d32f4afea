"""Find masks beside their pictures: files with the same stem, files named `_mask`, and folders of masks in a class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tckr.data.layouts.names import is_mask_folder, stem_of, stem_of_mask, suffix_of
from tckr.data.layouts.survey import Folder
from tckr.data.stored import StoredList

MOST_PROBED = 12
"""Number of files of one kind that are opened to check whether they are masks."""

FEW_VALUES = 32
"""Largest number of values in a file that is named as a mask; two in a file that only shares its stem with a picture."""

MOST_PIXELS = 64_000_000
SAME_STEM = "same stem"


def find_masks(folder: Folder, root: Path) -> Iterator[str]:
    """Yield the paths of the masks below `folder`, one class or a flat folder of pictures.

    A kind of file is an extension together with the sign that a file may be a mask. A kind is masks if all files of a sample
    have few values.
    """
    if not any(_may_hold_masks(place, folder) for place in folder.walk()):
        return
    found = _candidates(folder)
    kinds = [kind for kind, files in found.items() if _all_masks(root, files, _most_values(kind[0]))]
    shared = [kind for kind in found if kind[0] == SAME_STEM]
    if shared and all(kind in kinds for kind in shared):  # the same line art in two formats is not a picture and its mask
        kinds = [kind for kind in kinds if kind not in shared]
    for kind in kinds:
        yield from found[kind]


def _may_hold_masks(place: Folder, folder: Folder) -> bool:
    """Return whether one of the folders `place` or a file has the name of masks, or two files share a stem.

    Most sources have none. Then only a number for each stem is in memory, never all stems.
    """
    import numpy as np

    if _in_mask_folder(place, folder) or any(stem_of_mask(stem_of(name)) for name in place.pictures):
        return True
    stems = np.fromiter((hash(stem_of(name)) for name in place.pictures), np.int64, len(place.pictures))
    return len(np.unique(stems)) < len(stems)


def _in_mask_folder(place: Folder, folder: Folder) -> bool:
    return any(is_mask_folder(part) for part in place.path.removeprefix(folder.path).split("/"))


def _most_values(sign: str) -> int:
    return 2 if sign == SAME_STEM else FEW_VALUES


def _candidates(folder: Folder) -> dict[tuple[str, str], StoredList[str]]:
    """Return (sign, extension) -> files that have a picture with the same stem beside them."""
    found: defaultdict[tuple[str, str], StoredList[str]] = defaultdict(StoredList)
    pictures: set[str] = set()
    below: list[tuple[str, str, str]] = []
    for place in folder.walk():
        in_mask_folder = _in_mask_folder(place, folder)
        stems = _stems(place)
        for name in place.pictures:
            stem, suffix = stem_of(name), suffix_of(name).lower()
            named = stem_of_mask(stem)
            if in_mask_folder:
                below.append((named or stem, suffix, place.file(name)))
                continue
            pictures.add(stem)
            if named in stems:
                found["name", suffix].append(place.file(name))
            elif len(stems[stem]) > 1:
                found[SAME_STEM, suffix].append(place.file(name))
    for stem, suffix, file in below:
        if stem in pictures:
            found["folder", suffix].append(file)
    return found


def _stems(folder: Folder) -> dict[str, set[str]]:
    stems: dict[str, set[str]] = {}
    for name in folder.pictures:
        stems.setdefault(stem_of(name), set()).add(suffix_of(name).lower())
    return stems


def _all_masks(root: Path, files: Sequence[str], most_values: int) -> bool:
    step = max(1, len(files) // MOST_PROBED)
    values = [_num_values(root / file) for file in files[: step * MOST_PROBED : step]]
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
