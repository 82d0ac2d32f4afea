"""Read folders as classes: at the top, below one wrapper, or in folders of splits; name problems of this reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tckr.data.layouts.description import LeftOut
from tckr.data.layouts.masks import find_masks
from tckr.data.layouts.names import (
    containers,
    is_mask_folder,
    is_numbered,
    look_alike,
    numbered,
    split_of,
    stem_of,
    use_of,
)
from tckr.data.layouts.readings import FolderReading, Part, Wishes
from tckr.data.layouts.survey import Folder
from tckr.data.sources.record import TEST, TRAIN, printable
from tckr.data.stored import StoredMap
from tckr.errors import shown

EXAMPLES = 4


def read_folders(top: Folder, root: Path, wishes: Wishes) -> FolderReading:
    """Return the reading by class folders that `wishes.layout` names, or that the folder names suggest."""
    whole = descend(top)
    splits = {folder: use for folder in whole.folders if (use := use_of(folder.name, wishes.test_split))}
    if not any(folder.num_pictures for folder in splits) and wishes.layout != "split_folders":
        splits = {}
    if wishes.layout == "class_folders" or not splits:
        return _classes_of(whole, root, {whole: Part("train", TRAIN)}, (), sure=wishes.layout == "class_folders")
    parts = {descend(folder): Part(folder.name, use) for folder, use in splits.items()}
    beside = [folder for folder in whole.folders if folder not in splits]
    problems = [] if wishes.layout == "split_folders" else _doubts(splits, beside)
    tests = [folder.name for folder, use in splits.items() if use == TEST]
    if len(tests) > 1:
        problems.append(
            f"{_shown(tests)} can all be the test split {wishes.test_split!r}. Move away, or rename, those that are not"
        )
    if not any(split_of(folder.name) == "train" for folder in splits):
        problems.append(f"the splits {_named(splits)} have no training split beside them")
    reading = _classes_of(whole, root, parts, problems, sure=wishes.layout == "split_folders")
    left_out = [_beside(folder) for folder in beside]
    return FolderReading(**{**vars(reading), "left_out": [*reading.left_out, *left_out]})


def descend(folder: Folder) -> Folder:
    """Return the folder inside a wrapper, which is a folder that contains only one folder of folders with pictures."""
    while not folder.pictures and len(folder.full) == 1 and len(folder.full[0].full) > 0 and _may_wrap(folder):
        folder = folder.full[0]
    return folder


def _may_wrap(folder: Folder) -> bool:
    inner = folder.full[0]
    return not inner.pictures and split_of(inner.name) is None and not folder.tables


def _doubts(splits: Mapping[Folder, str], beside: Sequence[Folder]) -> list[str]:
    """Return reasons why folders of splits may be something else: other folders with pictures beside them."""
    others = [folder for folder in beside if folder.num_pictures and not is_mask_folder(folder.name)]
    if not others:
        return []
    return [
        f"{_named(splits)} can be splits, and {_named(others)} beside them would not be read; or all of them can be "
        "classes. Set prepare.layout=split_folders or prepare.layout=class_folders, or move away what is not to be read; if "
        "one of them is the test split, name it: prepare.test_split=NAME"
    ]


def _classes_of(
    whole: Folder, root: Path, parts: Mapping[Folder, Part], problems: Sequence[str], *, sure: bool
) -> FolderReading:
    found, flat = list(problems), []
    counts: Counter[str] = Counter()
    by_use: dict[str, Counter[str]] = {TRAIN: Counter(), TEST: Counter()}
    for folder, part in parts.items():
        sizes = {inner.name: inner.num_pictures for inner in folder.full}
        counts.update(sizes)
        by_use[part.use].update(sizes)
        if folder.pictures and not folder.full:
            if part.use == TRAIN and split_of(part.name) != "train" and len(parts) > 1:
                flat.append(f"{part.name}: {len(folder.pictures):,} pictures without class folders are left out")
            else:
                found.append(_flat(folder, part, whole, len(parts)))
    classes = [inner for folder in parts for inner in folder.full]
    if not sure:
        found += _not_classes(counts) + _other_levels(classes)
    found += _strange_test(by_use)
    masks = StoredMap((mask, None) for inner in classes for mask in find_masks(inner, root))
    notes = [f"{folder.path}/ is read as the data folder" for folder in [whole] if folder.path]
    return FolderReading(
        parts={folder.path: part for folder, part in parts.items()},
        classes=dict(sorted(counts.items())),
        problems=found,
        masks=masks,
        captions=_texts(classes),
        notes=[*notes, *flat],
    )


def _flat(folder: Folder, part: Part, whole: Folder, num_parts: int) -> str:
    where = f"{folder.path}/" if folder.path else "the folder itself"
    found = f"{len(folder.pictures):,} pictures lie directly in {where}, without class folders"
    if part.use == TEST and num_parts > 1:
        return (
            f"the split {part.name!r} has no labels: {found}. Give it class folders or a table of labels; or set "
            "prepare.test_split= (empty): then its pictures are left out and a test split is sampled from the others"
        )
    return (
        f"{found}. Put them into folders class_name/, or add a table such as {whole.file('labels.csv')} with a column "
        "`file_name` and a column `label`, one row for each picture"
    )


def _not_classes(counts: Mapping[str, int]) -> list[str]:
    """Return reasons why the class names are not classes: they are containers, splits or patients."""
    names = list(counts)
    problems = []
    if found := containers(names):
        problems.append(
            f"folders named {_shown(found)} are not classes. Put pictures into class_name/*.png and move masks and "
            "annotations away, or add a table with columns `file_name` and `label`, or name the inner folder as the source; "
            f"{_SURE}"
        )
    splits = [name for name in names if split_of(name)]
    if splits and 2 * len(splits) >= len(names):
        problems.append(f"folders named {_shown(splits)} are splits, not classes; expected split/class_name/*.png; {_SURE}")
    people = numbered(names)
    if len(people) > 1 and 2 * len(people) >= len(names):
        problems.append(
            f"{len(people)} folders such as {_shown(people)} look like one patient, part or site each, not like "
            "classes. Put pictures into class_name/patient_001/*.png, or add a table with columns `file_name` and `label`; "
            f"{_SURE}"
        )
    return problems


_SURE = "if they are the classes, set prepare.layout=class_folders"


def _other_levels(classes: Sequence[Folder]) -> list[str]:
    """Return a problem if folders below all classes have the same names: they can be the classes, or splits."""
    deep = [folder for folder in classes if not folder.pictures and folder.full]
    names = Counter(inner.name for folder in deep for inner in folder.full)
    shared = [
        name
        for name, count in names.items()
        if count > 1 and not (is_numbered(name) or containers([name]) or name.isdecimal())
    ]
    if len(deep) < 2 or 2 * len(deep) < len(classes) or len(shared) < 2 or 2 * len(shared) < len(names):
        return []
    tops = _named(deep)
    if all(split_of(name) for name in shared):
        return [
            f"the classes {tops} contain folders of splits ({_shown(shared)}), which would be mixed. Put the split above: "
            "train/class_name/*.png; or set prepare.layout=class_folders to mix them"
        ]
    return [
        f"two readings are possible: classes {tops}, or classes {_shown(shared)} below each of them (as with one folder for "
        "each patient or site). Set prepare.layout=class_folders for the first; for the second, put the class folders above "
        "or add a table with columns `file_name` and `label`"
    ]


def _strange_test(by_use: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a problem if the test split names classes differently from the training split."""
    train, test = by_use[TRAIN], by_use[TEST]
    return strange_classes(train, test) if train and test else []


def strange_classes(train: Mapping[str, int], test: Mapping[str, int]) -> list[str]:
    """Return why the classes of the test split do not match those of the training split, if so."""
    alike = {look_alike(name): name for name in train}
    other = [(name, alike[look_alike(name)]) for name in test if name not in train and look_alike(name) in alike]
    if other:
        return [
            f"the test split has a class {shown(other[0][0])} and the training split {shown(other[0][1])}; names must be "
            "equal to be one class. Rename one of them"
        ]
    if not set(train) & set(test):
        return [
            f"the test split has the classes {_shown(list(test))} and the training split {_shown(list(train))}: none in "
            "common. Name the classes alike in both"
        ]
    return []


def _beside(folder: Folder) -> LeftOut:
    files = sum(len(inner.files) for inner in folder.walk())
    return LeftOut(what=f"{printable(folder.path)}/", count=files, why="the folder is not a split")


def _texts(classes: Sequence[Folder]) -> str:
    """Return where texts with the stems of pictures are beside them; empty if there are none."""
    pairs = 0
    for folder in classes:
        for inner in folder.walk():
            texts = {stem_of(name) for name in inner.files if name.endswith(".txt")}
            pairs += len(texts.intersection(map(stem_of, inner.pictures))) if texts else 0
    return f"{pairs:,} .txt files beside pictures of the same name; caption.from_source=true uses them" if pairs > 1 else ""


def _named(folders: Mapping[Folder, str] | Sequence[Folder]) -> str:
    return _shown([folder.name for folder in folders])


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES} others" if len(names) > EXAMPLES else ""
    return ", ".join(shown(printable(name)) for name in names[:EXAMPLES]) + more
