"""What the names of folders, files and columns say: splits, masks, containers, patients. Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tckr.data.sources.record import TEST, TRAIN

SPLIT_WORDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The words of `datasets.data_files.SPLIT_KEYWORDS`; a test holds them equal."""

MASK_WORDS = {"mask", "masks", "segmentation", "segmentations", "seg", "groundtruth", "gt", "segmentationclass"}
CONTAINER_WORDS = MASK_WORDS | {
    *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "jpegimages", "pngimages", "frames"),
    *("annotation", "annotations", "label", "labels", "bbox", "bboxes", "metadata", "data", "dataset", "thumbnails"),
    *("unlabeled", "unlabelled", "unsup", "unsupervised", "predictions", "original", "originals"),
}
"""Folders of these names hold what belongs to the pictures of all classes, and are no class."""

_PLURALS = {"images", "imgs", "pictures", "photos", "masks", "annotations", "labels"}
"""Words that no class has in its name: `HAM10000_images_part_1`."""

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
"""Files without extension that are no pictures."""

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


def split_of(name: str) -> str | None:
    """Return `train`, `validation` or `test` where a word of `name` names that split alone, else None."""
    words = set(re.split(r"[-._ 0-9]+", name.lower()))
    found = [split for split, keywords in SPLIT_WORDS.items() if words & set(keywords)]
    return found[0] if len(found) == 1 else None


def use_of(name: str, test_split: str) -> str | None:
    """Return `train` or `test`, what a split of this name is used as; None for a name of no split.

    `test_split` names the test split itself or by another word of the same split: `test` finds `Testing` too. All other
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
    """Return the names that folders of images, masks or annotations have, rather than classes."""
    return [
        name for name in names if plain(name) in CONTAINER_WORDS or _PLURALS & set(re.split(r"[-._ 0-9]+", name.lower()))
    ]


def is_system_folder(name: str) -> bool:
    """Return whether a folder is hidden, or one that archives, servers and systems leave: its pictures are nobody's."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def is_form(name: str) -> bool:
    """Return whether a table is named as a form for answers, whose labels are made up: `sample_submission.csv`."""
    return bool(_FORMS & set(re.split(r"[-._ 0-9]+", name.lower())))


def is_mask_folder(name: str) -> bool:
    """Return whether a folder of this name holds masks."""
    return plain(name) in MASK_WORDS


def stem_of_mask(stem: str) -> str | None:
    """Return the stem of the picture that a file named as a mask belongs to (`a_mask`, `a_mask_1`), else None."""
    found = _MASK_NAME.fullmatch(stem)
    return found["stem"] if found else None


def is_numbered(name: str) -> bool:
    """Return whether a folder is named like one patient, part, site or fold: `patient_001`, `case 7`."""
    return bool(_NUMBERED.fullmatch(name.strip()))


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names that look like one patient, part or site each; also codes of one prefix, such as P001, P002."""
    listed = list(names)
    codes = [found for name in listed if (found := _CODE.fullmatch(name.strip())) and not _SYNSET.fullmatch(name)]
    alike = len({code[1] for code in codes}) == 1 and len(codes) > 2
    return [name for name in listed if is_numbered(name) or (alike and _CODE.fullmatch(name.strip()))]


def is_group_column(name: str) -> bool:
    """Return whether a column is named like the number of a patient or another group."""
    return bool(_GROUP.fullmatch(name.strip()))


def look_alike(name: str) -> str:
    """Return `name` without case, spaces, dashes and underscores, to find names that differ in nothing else."""
    return re.sub(r"[-_ ]+", "", name.casefold())
