"""Interpret the names of folders, files and columns: splits, masks, containers, patients. Uses only text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tckr.data.sources.record import TEST, TRAIN

SPLIT_WORDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The words of `datasets.data_files.SPLIT_KEYWORDS`; a test checks that they are equal."""

MASK_WORDS = {"mask", "masks", "segmentation", "segmentations", "seg", "groundtruth", "gt", "segmentationclass"}
CONTAINER_WORDS = MASK_WORDS | {
    *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "jpegimages", "pngimages", "frames"),
    *("annotation", "annotations", "label", "labels", "bbox", "bboxes", "metadata", "data", "dataset", "thumbnails"),
    *("unlabeled", "unlabelled", "unsup", "unsupervised", "predictions", "original", "originals"),
}
"""Names of folders that belong to the pictures of all classes, and are not classes."""

_PLURALS = {"images", "imgs", "pictures", "photos", "masks", "annotations", "labels"}
"""Words that are in no class name: `HAM10000_images_part_1`."""

PICTURE_SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".dib"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc", ".avif", ".avifs"),
    *(".dcm", ".dicom"),
}
TABLE_SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"}
PLAIN_FILES = {
    *("readme", "license", "licence", "copying", "notice", "authors", "makefile", "version", "changelog", "classes"),
    *("dicomdir",),
}
"""Names of files without extension that are not pictures."""

_SYSTEM_FOLDERS = {
    *(
        "__macosx",
        "@eadir",
        "@recycle",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__pycache__",
    ),
}
_FORMS = {"submission", "submissions", "prediction", "predictions", "preds"}

_PEOPLE = (
    "patient|patients|pat|subject|subjects|subj|sub|person|persons|participant|participants|case|cases|donor|individual"
)
_THINGS = "study|studies|exam|scan|slide|specimen|animal|visit|pid|writer|speaker|lot|fold|site|center|centre|hospital"
_NUMBERED = re.compile(rf"(?:{_PEOPLE}|{_THINGS})[-_. ]*(?:id)?[-_. ]*\d+[a-z]?", re.IGNORECASE)
_CODE = re.compile(r"([A-Za-z]{1,4})[-_ ]?(?:0\d+|\d{3,})")
_SYNSET = re.compile(r"n\d{8}")
_GROUP = re.compile(rf"(?:{_PEOPLE}|{_THINGS}|group)(?:[-_. ]*(?:id|no|number|name))?", re.IGNORECASE)
_MASK_NAME = re.compile(r"(?P<stem>.+?)[-_. ](?:mask|seg|segmentation|gt|groundtruth)s?(?:[-_. ]?\d+)?", re.IGNORECASE)


def suffix_of(name: str) -> str:
    """Return the extension of a file's name or path with its dot, empty if there is none; faster than pathlib."""
    stem, _, ending = name.rpartition(".")
    return "" if not ending or "/" in ending or stem[-1:] in {"", "/"} else f".{ending}"


def stem_of(name: str) -> str:
    """Return a file's name or path without its extension."""
    return name[: len(name) - len(suffix_of(name))]


def split_of(name: str) -> str | None:
    """Return `train`, `validation` or `test` if the words of `name` name exactly one split, else None."""
    words = set(re.split(r"[-._ 0-9]+", name.lower()))
    found = [split for split, keywords in SPLIT_WORDS.items() if words & set(keywords)]
    return found[0] if len(found) == 1 else None


def use_of(name: str, test_split: str) -> str | None:
    """Return how a split of this name is used, `train` or `test`; None if it is not the name of a split.

    `test_split` names the test split itself, or is another word for the same split: `test` also finds `Testing`. All other
    splits join the training data.
    """
    if test_split and name.lower() == test_split.lower():
        return TEST
    split = split_of(name)
    if split is None:
        return None
    return TEST if split == "test" and split_of(test_split) == "test" else TRAIN


def plain(name: str) -> str:
    """Return `name` in lower case without separators and digits: `Images_001` becomes `images`."""
    return re.sub(r"[-_. 0-9]+", "", name.lower())


def containers(names: Iterable[str]) -> list[str]:
    """Return the names that are usual for folders of images, masks or annotations, not for classes."""
    return [
        name for name in names if plain(name) in CONTAINER_WORDS or _PLURALS & set(re.split(r"[-._ 0-9]+", name.lower()))
    ]


def is_system_folder(name: str) -> bool:
    """Return whether a folder is hidden or created by archives, servers or systems; its pictures are not data."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def is_form(name: str) -> bool:
    """Return whether a table has the name of a form for answers, whose labels are invented: `sample_submission.csv`."""
    return bool(_FORMS & set(re.split(r"[-._ 0-9]+", name.lower())))


def is_mask_folder(name: str) -> bool:
    """Return whether a folder of this name contains masks."""
    return plain(name) in MASK_WORDS


def stem_of_mask(stem: str) -> str | None:
    """Return the stem of the picture that a mask file belongs to (`a_mask`, `a_mask_1`); None if it is not a mask."""
    found = _MASK_NAME.fullmatch(stem)
    return found["stem"] if found else None


def is_numbered(name: str) -> bool:
    """Return whether a folder has a name like one patient, part, site or fold: `patient_001`, `case 7`."""
    return bool(_NUMBERED.fullmatch(name.strip()))


def numbered(names: Iterable[str]) -> list[str]:
    """Return names that look like one patient, part or site each; also codes with one prefix, such as P001, P002."""
    listed = list(names)
    codes = [found for name in listed if (found := _CODE.fullmatch(name.strip())) and not _SYNSET.fullmatch(name)]
    alike = len({code[1] for code in codes}) == 1 and len(codes) > 2
    return [name for name in listed if is_numbered(name) or (alike and _CODE.fullmatch(name.strip()))]


def is_group_column(name: str) -> bool:
    """Return whether a column has a name like the number of a patient or another group."""
    return bool(_GROUP.fullmatch(name.strip()))


def look_alike(name: str) -> str:
    """Return `name` without case, spaces, dashes and underscores, to find names that differ only in these."""
    return re.sub(r"[-_ ]+", "", name.casefold())
