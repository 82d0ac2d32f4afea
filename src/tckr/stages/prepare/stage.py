"""`prepare`: read the source once, reject or normalise, split, sample canaries and membership, write the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import CANARY_KINDS, MEMBERSHIP_ROWS, read_members
from tckr.data.groups import FEWEST_GROUPS, write_groups
from tckr.data.intensity import DeepValues, describe_black, describe_dark, describe_range
from tckr.data.layouts.description import Layout, write_layout
from tckr.data.normalise import max_file_bytes
from tckr.data.own_captions import write_own_captions
from tckr.data.source_rows import write_source_rows
from tckr.data.sources.kinds import source_kind
from tckr.data.sources.opening import open_source
from tckr.data.sources.record import TEST, Source
from tckr.engine.step import StepContext
from tckr.errors import UserError
from tckr.stages.prepare.canaries import draw_canaries
from tckr.stages.prepare.class_names import renamed
from tckr.stages.prepare.config import PrepareConfig
from tckr.stages.prepare.membership import require_members
from tckr.stages.prepare.repeats import describe_repeats
from tckr.stages.prepare.splitting import SPLITS, Splits, group_numbers, rows_of_source, split_records
from tckr.stages.prepare.staging import Staged, stage_records
from tckr.stages.prepare.usable_records import Screened, screen
from tckr.stages.prepare.writing import (
    REJECTED_NAME,
    write_canaries,
    write_lock,
    write_membership,
    write_rejections,
    write_splits,
)

EXAMPLES = 3


def run(config: PrepareConfig, context: StepContext) -> None:
    """Fill `context.out` with pool, validation, test, source rows, membership, groups, canaries, rejected.csv, card, layout
    and the key of the test split's lock.

    The engine then seals `test`.

    Raises:
        UserError: the source cannot be read, too few classes remain, or the pool is too small for the canaries or for a
            member of every class.
    """
    source = open_source(
        config.source,
        **config.opening(),
        max_file_bytes=max_file_bytes(config.max_pixels),
        max_unpacked=config.max_unpacked,
        cache=context.scratch / "datasets",
    )
    layout = source.layout
    context.log("layout", message="\n".join(layout.lines()))
    staging = context.scratch / "staged"
    staged = _stage(source, staging, config, context)
    staged, layout = _with_patients(staged, layout, context)
    screened = _screened(config, source, staged, context)
    _require_test(config, layout, screened, context.out / REJECTED_NAME)
    splits = split_records(
        screened.records,
        seed=context.seed,
        test_fraction=config.test_fraction,
        validation_fraction=config.validation_fraction,
    )
    pool, kinds = draw_canaries(
        splits.pool, num_canaries=config.num_canaries, num_classes=len(screened.class_names), seed=context.seed
    )
    splits = replace(splits, pool=pool)
    write_splits(context.out, splits, staging, screened.class_names)
    write_canaries(context.out, kinds)
    write_source_rows(context.out, rows_of_source(staged, source.class_names, splits))
    labels = np.array([record.label for record in pool], dtype=np.int64)
    require_members(labels, screened.class_names, config.audit_holdout)
    write_membership(
        context.out,
        pool,
        kinds,
        screened.class_names,
        audit_holdout=config.audit_holdout,
        num_rows=MEMBERSHIP_ROWS,
        seed=context.seed,
    )
    groups = group_numbers(splits.in_order())
    write_groups(context.out, groups)
    kept = enumerate([*splits.pool, *splits.validation])
    write_own_captions(context.out, {number: text for number, record in kept if (text := record.caption) is not None})
    members, lock = read_members(context.out, 0), write_lock(context.out, splits, context.seed)
    card = _card(config, source.name, screened, splits, kinds, members=members, groups=groups, test_sha256=lock)
    card.write(context.out)
    write_layout(context.out, _with_findings(layout, screened, splits, context))
    _log_sizes(card, context)


def _with_patients(staged: list[Staged], layout: Layout, context: StepContext) -> tuple[list[Staged], Layout]:
    """Return the records with the patient ids of DICOM files as groups, if the settings name none, and report it."""
    patients = Counter(record.group for record in staged if record.group)
    if layout.groups or not patients:
        return staged, layout
    if len(patients) == 1:
        message = (
            f"{patients.total():,} DICOM files have the same patient id, so it is not used: images are sampled individually"
        )
        context.log("warning", message=message)
        return [replace(record, group="") for record in staged], layout
    return staged, layout.model_copy(update={"groups": "the patient ids of DICOM files", "num_groups": len(patients)})


def _screened(config: PrepareConfig, source: Source, staged: Sequence[Staged], context: StepContext) -> Screened:
    """Return the usable records, and report what is rejected."""
    screened = screen(staged, renamed(source.class_names, config.class_names), config.min_images_per_class)
    write_rejections(context.out, screened.rejections)
    _require_enough(config, source, screened, context.out / REJECTED_NAME)
    if screened.rejections:
        listed = (context.final or context.out) / REJECTED_NAME
        refused = f"{len(screened.rejections)} files rejected ({_refused(screened)})"
        context.log("warning", message=f"{refused}; see {listed}")
    _warn_of_classes_left_out(config, screened, context)
    return screened


def _with_findings(layout: Layout, screened: Screened, splits: Splits, context: StepContext) -> Layout:
    """Return the description with what decoding showed; the doubtful is warned of."""
    values = DeepValues()
    for record in screened.records:
        if record.values:
            values.add(record.values)
    dark = describe_dark(values)
    black = sum(record.black for record in screened.records if not (dark and record.values))
    warnings = [dark, describe_black(black, len(screened.records)), describe_repeats(splits)]
    for text in filter(None, warnings):
        context.log("warning", message=text)
    found = filter(None, ["" if dark else describe_range(values), *warnings])
    return layout.model_copy(update={"notes": [*layout.notes, *found]})


def _log_sizes(card: DataCard, context: StepContext) -> None:
    sizes = {"pool": card.num_pool, "validation": card.num_validation, "test": card.num_test, "members": card.num_members}
    sizes["canaries"] = sum(card.canaries.values())
    sizes |= {f"groups_{name}": number for name, number in card.groups.items()}
    context.log("prepared", **sizes, classes=len(card.class_names), rejected=card.rejected, normalised=card.normalised)


def _stage(source: Source, folder: Path, config: PrepareConfig, context: StepContext) -> list[Staged]:
    threads = context.execution.threads_for(1)
    with context.track(len(source), "images") as advance:
        return stage_records(
            source,
            folder,
            image_size=config.image_size,
            max_pixels=config.max_pixels,
            treatment=config.treatment(),
            num_threads=threads,
            advance=advance,
        )


def _require_enough(config: PrepareConfig, source: Source, screened: Screened, rejected: Path) -> None:
    if len(screened.class_names) >= config.min_classes:
        return
    sizes = sorted(screened.class_sizes.items(), key=lambda item: -item[1])[:EXAMPLES]
    largest = ", ".join(f"{name!r} ({size})" for name, size in sizes) or "none"
    example = next((f" (such as {line.file}: {line.reason} {line.detail})" for line in screened.rejections), "")
    raise UserError(
        f"{config.source} has {len(screened.class_names)} usable classes; prepare needs {config.min_classes} classes with "
        f"at least {config.min_images_per_class} usable images each. Largest classes: {largest}. "
        f"Rejected: {_refused(screened)}{example}. {_advice(config, screened, rejected)}"
    )


def _advice(config: PrepareConfig, screened: Screened, rejected: Path) -> str:
    """Return what to do about too few usable classes."""
    reasons = Counter(rejection.reason for rejection in screened.rejections)
    if config.group_pattern and reasons["no_group"] and not any(screened.class_sizes.values()):
        return f"Correct prepare.group_pattern: no image has a group by {config.group_pattern!r}."
    found = len(screened.class_sizes)
    if 0 < found < config.min_classes:
        missing = "a second class is" if config.min_classes == 2 else f"{config.min_classes - found} more classes are"
        return f"The source has {'one class' if found == 1 else f'{found} classes'}, and {missing} missing."
    return f"Add images, lower prepare.min_images_per_class, or repair the files listed in {rejected}."


def _require_test(config: PrepareConfig, layout: Layout, screened: Screened, rejected: Path) -> None:
    """Raise if the source has a test split of which nothing can be used: another one would be sampled without request."""
    given = [part for part in layout.parts if part.use == TEST and part.images]
    if given and not any(record.origin == TEST for record in screened.records):
        raise UserError(
            f"none of the {sum(part.images for part in given):,} images of the test split {given[0].name!r} of "
            f"{config.source} can be used (rejected: {_refused(screened)}; all are listed in {rejected}). Repair them; or "
            "set prepare.test_split= (empty): then a test split is sampled from all usable images."
        )


def _refused(screened: Screened) -> str:
    reasons = Counter(rejection.reason for rejection in screened.rejections).most_common()
    return ", ".join(f"{count} x {reason}" for reason, count in reasons) or "nothing"


def _warn_of_classes_left_out(config: PrepareConfig, screened: Screened, context: StepContext) -> None:
    left_out = {name: size for name, size in screened.class_sizes.items() if name not in screened.class_names}
    if left_out:
        examples = ", ".join(f"{name!r} ({size})" for name, size in list(left_out.items())[:EXAMPLES])
        grouped = any(rejection.reason == "too_few_groups" for rejection in screened.rejections)
        message = (
            f"{len(left_out)} of {len(screened.class_sizes)} classes were left out, because they have fewer than "
            f"prepare.min_images_per_class={config.min_images_per_class} usable images"
            f"{f' or are in fewer than {FEWEST_GROUPS} groups' if grouped else ''}: {examples}"
        )
        context.log("warning", message=message + (" and others" if len(left_out) > EXAMPLES else ""))


def _card(
    config: PrepareConfig,
    name: str,
    screened: Screened,
    splits: Splits,
    kinds: np.ndarray,
    *,
    members: np.ndarray,
    groups: np.ndarray,
    test_sha256: str,
) -> DataCard:
    rejected = Counter(rejection.reason for rejection in screened.rejections)
    rules = Counter(rule for record in screened.records for rule in record.rules)
    rules["class_name"] = len(screened.renamed)
    sides = [record.shorter_side for record in screened.records]
    return DataCard(
        name=name,
        source=config.source,
        source_kind=source_kind(config.source),
        public=config.is_public,
        class_names=screened.class_names,
        renamed_classes=screened.renamed,
        image_size=config.image_size,
        counts=splits.counts(screened.class_names),
        num_pool=len(splits.pool),
        num_validation=len(splits.validation),
        num_test=len(splits.test),
        num_members=len(members),
        groups=_count_groups(splits, groups, members),
        rejected=dict(sorted(rejected.items())),
        normalised={rule: count for rule, count in sorted(rules.items()) if count},
        duplicates=rejected["duplicate"],
        test_sha256=test_sha256,
        audit_holdout=config.audit_holdout,
        canaries={kind: int((kinds == code).sum()) for kind, code in CANARY_KINDS.items()},
        grey=not any(record.colour for record in screened.records),
        sizes={"min": min(sides), "median": float(np.median(sides)), "max": max(sides)},
    )


def _count_groups(splits: Splits, groups: np.ndarray, members: np.ndarray) -> dict[str, int]:
    """Return the number of groups of each split and of the target's members; empty if no record has a group."""
    if not any(record.group for record in splits.in_order()):
        return {}
    first = {split: splits.first_record(split) for split in SPLITS}
    records = {split: groups[first[split] : first[split] + len(getattr(splits, split))] for split in SPLITS}
    return {name: len(np.unique(numbers)) for name, numbers in (records | {"members": groups[members]}).items()}
