"""Results of `tckr inspect` as sections of a page, for the terminal and, with images, as HTML."""

from __future__ import annotations

import base64
import io
import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from PIL import Image

from tckr.data.intensity import describe_black, describe_dark, describe_range
from tckr.data.layouts.description import Layout
from tckr.data.rejections import REASONS, RULES
from tckr.data.sources.record import TEST
from tckr.html.pages import Section
from tckr.inspection.looking import Seen

MOST_ROWS = 50


def sections(
    layout: Layout, seen: Seen, pairs: np.ndarray, class_names: Sequence[str], *, min_images: int, min_classes: int
) -> list[Section]:
    """Return all results; the contact sheet is the last section. A run needs `min_classes` classes of `min_images`."""
    return [
        Section(title="How the data is read", sentences=layout.lines()),
        Section(title="Classes", table=_classes(layout), notes=_small(layout, min_images, min_classes)),
        Section(title="Pictures", sentences=_pictures(seen), table=_counts(seen)),
        Section(title="Duplicates and groups", sentences=[*_repeats(seen, pairs), *_groups(layout, seen)]),
        Section(title="Contact sheet", charts=_sheet(seen, class_names)),
    ]


def _classes(layout: Layout) -> list[list[str]]:
    parts = [part.name for part in sorted(layout.parts, key=lambda part: part.use == TEST)]
    rows = [[name, *(f"{counts.get(part, 0):,}" for part in parts)] for name, counts in layout.classes.items()]
    return [["class", *parts], *rows[:MOST_ROWS], *([["...", *[""] * len(parts)]] if len(rows) > MOST_ROWS else [])]


def _small(layout: Layout, min_images: int, min_classes: int) -> list[str]:
    uses = {part.name: part.use for part in layout.parts}
    sizes = {name: sum(n for part, n in found.items() if uses[part] != TEST) for name, found in layout.classes.items()}
    small = [f"{name} ({size})" for name, size in sizes.items() if size < min_images]
    found = "1 class has" if len(small) == 1 else f"{len(small)} classes have"
    notes = [f"{found} fewer than {min_images} images to train on and would be left out: {_some(small)}."]
    left = len(sizes) - len(small)
    classes = "1 class" if left == 1 else f"{left} classes"
    too_few = [f"{classes} would be left: a run needs at least {min_classes} with {min_images} images each."]
    return [*(notes if small else []), *(too_few if left < min_classes else [])]


def _pictures(seen: Seen) -> list[str]:
    if not seen.files:
        return ["No image can be read."]
    sides: Counter[int] = Counter()
    for size, count in seen.sizes.items():
        sides[min(size)] += count
    shorter = f"{min(sides)} to {max(sides)} px, median {_median(sides)}" if len(sides) > 1 else f"{min(sides)} px"
    different = f"{len(seen.sizes):,} different sizes" if len(seen.sizes) > 1 else "All have the same size"
    number = "1 image" if len(seen.files) == 1 else f"{len(seen.files):,} images"
    lines = [f"{number} can be read; the shorter side has {shorter}. {different}."]
    deep = describe_dark(seen.deep) or describe_range(seen.deep)
    black = describe_black(seen.black, len(seen.files))
    return lines + [f"{text}." for text in (deep, black) if text]


def _median(counts: Counter[int]) -> int:
    """Return the median, rounded down, of values with their counts."""
    ordered = (value for value in sorted(counts) for _ in range(counts[value]))
    middle = list(itertools.islice(ordered, (counts.total() - 1) // 2, counts.total() // 2 + 1))
    return sum(middle) // len(middle)


def _counts(seen: Seen) -> list[list[str]]:
    rows = [[f"refused: {reason}", f"{number:,}", REASONS[reason]] for reason, number in seen.refused.most_common()]
    rows += [[rule, f"{number:,}", RULES[rule]] for rule, number in seen.rules.most_common() if rule != "enlarged"]
    return [["what", "pictures", "meaning"], *rows] if rows else []


def _repeats(seen: Seen, pairs: np.ndarray) -> list[str]:
    if not len(pairs):
        return ["No two images look alike (difference hash)."]
    first, second = pairs.T
    across = int((seen.tests[first] != seen.tests[second]).sum())
    other = int((seen.labels[first] != seen.labels[second]).sum())
    examples = "; ".join(f"{seen.files[one]} and {seen.files[two]}" for one, two in pairs[:3])
    return [
        f"{len(np.unique(pairs)):,} images look like another one ({len(pairs):,} pairs): {across:,} pairs "
        f"are divided between training and test split, {other:,} have different labels. Examples: {examples}.",
        "Similar images on both sides of a split raise accuracy and hide leakage.",
    ]


def _groups(layout: Layout, seen: Seen) -> list[str]:
    if layout.groups:
        return [f"{layout.num_groups:,} groups from {layout.groups}: splits and membership are sampled by group."]
    if len(seen.patients) > 1:
        return [f"DICOM files name {len(seen.patients):,} patients: splits and membership are sampled by patient."]
    lines = []
    if layout.group_column:
        lines.append(
            f"The column {layout.group_column!r} looks like a group (patient, part or site). To sample by group, set "
            f"prepare.group_column={layout.group_column}."
        )
    named, ordered = np.count_nonzero(seen.people), np.sort(seen.people)
    people = np.count_nonzero(ordered[1:] != ordered[:-1]) + int(ordered[:1].any())  # 0 is nobody
    if people > 1 and named > 1.5 * people:
        lines.append(
            f"File names contain {people:,} different numbers of patients or parts in {named:,} images. Splits "
            "and membership are sampled by image, not by group; to change that, set prepare.group_pattern, for instance "
            "'prepare.group_pattern=patient_([0-9]+)'."
        )
    return lines or ["No column or file name looks like the number of a patient or part."]


def _sheet(seen: Seen, class_names: Sequence[str]) -> dict[str, Markup]:
    return {f"{label}": _row(class_names[label], pictures) for label, pictures in sorted(seen.thumbnails.items())}


def _row(name: str, pictures: Sequence[np.ndarray]) -> Markup:
    images = Markup("").join(
        Markup('<img alt="" width="64" height="64" src="data:image/png;base64,{}">').format(_encoded(pixels))
        for pixels in pictures
    )
    return Markup("<figcaption>{}</figcaption><div>{}</div>").format(name.encode("utf-8", "replace").decode(), images)


def _encoded(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:5]) + (" ..." if len(texts) > 5 else "")
