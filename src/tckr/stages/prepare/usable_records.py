"""Decide which staged records are used: class names, duplicates, small classes. Reads no image or file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tckr.data.groups import FEWEST_GROUPS
from tckr.data.rejections import Rejection
from tckr.data.sources.record import TEST
from tckr.stages.prepare.class_names import CleanNames, clean_names, printable
from tckr.stages.prepare.staging import Staged


@dataclass(frozen=True)
class Screened:
    """Used and rejected records.

    Attributes:
        records: usable records; `label` is an index into `class_names`.
        class_names: in the source's order, without classes that were left out.
        renamed: the source's class name -> the name used, where they differ.
        rejections: one per rejected record, file, folder or class, in source order.
        class_sizes: class name -> number of usable records before small classes were left out.
    """

    records: list[Staged]
    class_names: list[str]
    renamed: dict[str, str]
    rejections: list[Rejection]
    class_sizes: dict[str, int]


def screen(staged: Sequence[Staged], source_names: Sequence[str], min_images_per_class: int) -> Screened:
    """Apply, in this order: each record's own reason, class names, duplicates and conflicts, groups, class sizes."""
    source_names = [printable(name) for name in source_names]
    names = clean_names(source_names)
    refused: dict[int, tuple[str, str]] = {}
    for position, record in enumerate(staged):
        if record.reason:
            refused[position] = (record.reason, record.detail)
        elif record.label in names.refused:
            refused[position] = names.refused[record.label]
    refused |= _refuse_repeated(staged, refused, names)
    refused |= _refuse_tested_groups(staged, refused)
    kept = [position for position in range(len(staged)) if position not in refused]
    sizes = _class_sizes([staged[position] for position in kept], names)
    small = _small_classes([staged[position] for position in kept], names, sizes, min_images_per_class)
    refused |= {position: small[name] for position in kept if (name := names.names[staged[position].label]) in small}
    class_names = [name for name in sizes if name not in small]
    index = {name: label for label, name in enumerate(class_names)}
    records = [
        replace(record, label=index[names.names[record.label]])
        for position, record in enumerate(staged)
        if position not in refused
    ]
    rejections = [
        Rejection(file=staged[position].file, reason=reason, detail=detail)
        for position, (reason, detail) in sorted(refused.items())
    ]
    renamed = {
        source_names[label]: name for label, name in names.names.items() if name != source_names[label] and name in index
    }
    return Screened(records, class_names, renamed, rejections + _empty_classes(staged, source_names, sizes, names), sizes)


def _refuse_repeated(
    staged: Sequence[Staged], refused: dict[int, tuple[str, str]], names: CleanNames
) -> dict[int, tuple[str, str]]:
    """Return duplicates (all but one) and conflicts (all) among records that are not yet rejected.

    Of a record in the source's test split and one in its training split, the test record is kept, so that the locked split
    is that of the source; otherwise the first in source order is kept.
    """
    groups: dict[str, list[int]] = {}
    for position, record in enumerate(staged):
        if position not in refused:
            groups.setdefault(record.sha256, []).append(position)
    repeated: dict[int, tuple[str, str]] = {}
    for positions in groups.values():
        labels = {names.names[staged[position].label] for position in positions}
        keep = min(positions, key=lambda position: (staged[position].origin != TEST, position))
        for position in positions:
            if len(labels) > 1:
                other = next(p for p in positions if staged[p].label != staged[position].label)
                repeated[position] = (
                    "conflicting_labels",
                    f"same pixels as {staged[other].file}, labelled {names.names[staged[other].label]!r}",
                )
            elif position != keep:
                repeated[position] = ("duplicate", f"same pixels as {staged[keep].file}")
    return repeated


def _refuse_tested_groups(staged: Sequence[Staged], refused: dict[int, tuple[str, str]]) -> dict[int, tuple[str, str]]:
    """Return the training records of groups that are in the source's own test split, which stays complete."""
    usable = [position for position in range(len(staged)) if position not in refused and staged[position].group]
    tested = {staged[position].group: staged[position].file for position in usable if staged[position].origin == TEST}
    return {
        position: ("group_in_test", f"same group as {tested[staged[position].group]}")
        for position in usable
        if staged[position].origin != TEST and staged[position].group in tested
    }


def _small_classes(
    records: Sequence[Staged], names: CleanNames, sizes: dict[str, int], min_images_per_class: int
) -> dict[str, tuple[str, str]]:
    """Return class name -> (reason, detail) of the classes with too few records, or groups, to be split."""
    groups: dict[str, set[str]] = {name: set() for name in sizes}
    for record in records:
        if record.origin != TEST:
            groups[names.names[record.label]].add(record.group or record.sha256)
    small = {}
    for name, size in sizes.items():
        if size < min_images_per_class:
            small[name] = ("class_too_small", f"{name!r} has {size} images; at least {min_images_per_class} are needed")
        elif len(groups[name]) < FEWEST_GROUPS:
            small[name] = (
                "too_few_groups",
                f"{name!r} is in {len(groups[name])} groups; at least {FEWEST_GROUPS} are needed",
            )
    return small


def _class_sizes(records: Sequence[Staged], names: CleanNames) -> dict[str, int]:
    """Return class name -> number of records that can be split, in the source's order, without a source's test records."""
    labels = Counter(record.label for record in records if record.origin != TEST)
    sizes = dict.fromkeys(names.names.values(), 0)
    for label, count in labels.items():
        sizes[names.names[label]] += count
    return sizes


def _empty_classes(
    staged: Sequence[Staged], source_names: Sequence[str], sizes: dict[str, int], names: CleanNames
) -> list[Rejection]:
    """Return one rejection for every class without usable records that no other rejection mentions."""
    spoken = {record.label for record in staged if record.label in names.refused}
    lines = [
        Rejection(file=source_names[label], reason=reason, detail=detail)
        for label, (reason, detail) in names.refused.items()
        if label not in spoken
    ]
    first = {name: source_names[label] for label, name in reversed(names.names.items())}
    return lines + [Rejection(file=first[name], reason="empty_class") for name, size in sizes.items() if size == 0]
