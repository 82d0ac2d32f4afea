"""Say what can stand in a picture and how it is called.

A scene is one row of small integers, one per field of `FIELDS`. This module turns rows into captions and prompts and
captions back into rows; it contains no pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = tuple("ABCDEFGHJKLMNPQRSTUVWXYZ")  # O and I look like zero and one
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "diamond", "moon")
SUBJECTS = DIGITS + LETTERS + SHAPES
COLOURS = ("black", "white", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")

# The empty word is the level that a caption does not name.
FIELDS: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS,
    "ink": COLOURS,
    "ground": COLOURS,
    "thickness": ("", "thin", "thick"),
    "slant": ("", "slanted left", "slanted right"),
    "size": ("", "small", "large"),
    "position": ("", "on the left", "on the right", "at the top", "at the bottom"),
    "blur": ("", "blurry"),
    "noise": ("", "noisy"),
}
FIELD_NAMES = tuple(FIELDS)
Row = npt.NDArray[np.int8]
"""One scene, shape (9,): the level of each field, in the order of `FIELD_NAMES`."""


def words(row: Row) -> dict[str, str]:
    """Return the word of every field of one scene."""
    return {name: levels[int(row[i])] for i, (name, levels) in enumerate(FIELDS.items())}


def noun(subject: str) -> str:
    """Return the noun phrase of a subject: 'digit three', 'letter A' or 'star'."""
    if subject in DIGITS:
        return f"digit {subject}"
    return f"letter {subject}" if subject in LETTERS else subject


def sentence(*parts: str) -> str:
    """Join the parts that are not empty behind the right article.

    >>> sentence("", "orange", "digit three", "on an orange ground")
    'an orange digit three on an orange ground'
    """
    text = " ".join(p for p in parts if p)
    return f"{'an' if text.startswith('orange') else 'a'} {text}"


def caption(row: Row) -> str:
    """Return the one canonical caption of a scene, at most 17 words.

    Example: 'a large thin white digit three slanted right on a black ground'.
    """
    w = words(row)
    return sentence(
        w["noise"],
        w["blur"],
        w["size"],
        w["thickness"],
        w["ink"],
        noun(w["subject"]),
        w["slant"],
        w["position"],
        f"on {sentence(w['ground'])} ground",
    )


def parse(text: str) -> dict[str, str | None]:
    """Return the word of every field that a caption states; None where no subject or colour can be read.

    Fields whose ordinary level has no word ('medium', 'centred', 'sharp') read as the empty word when none is there.
    """
    head, article, ground = text.strip().replace(" on an ", " on a ").rpartition(" on a ")
    before = head if article else text
    tokens = before.split()
    found: dict[str, str | None] = {
        "subject": next((t for t in reversed(tokens) if t in SUBJECTS), None),
        "ink": next((t for t in tokens if t in COLOURS), None),
        "ground": next((c for c in COLOURS if ground == f"{c} ground"), None),
    }
    for name in FIELD_NAMES[3:]:
        found[name] = next((level for level in FIELDS[name] if level and f" {level} " in f" {before} "), "")
    return found


def class_names(subject: str) -> tuple[str, ...]:
    """Return the names under which a user's data set may list a subject; the first is the usual one."""
    if subject in DIGITS:
        n = str(DIGITS.index(subject))
        return (subject, n, f"digit {subject}", f"digit {n}", f"number {subject}", f"the digit {n}")
    if subject in LETTERS:
        return (subject, f"letter {subject}", f"capital {subject}")
    return (subject, f"a {subject}", f"{subject} shape")


def pseudo_word(rng: np.random.Generator) -> str:
    """Return a made-up name such as 'tobelu', so that foreign class names do not derail the generator."""
    syllables = rng.integers(1, 4)
    letters = "".join(f"{rng.choice(list('bcdfghjklmnprstvwz'))}{rng.choice(list('aeiou'))}" for _ in range(syllables))
    return letters + str(rng.choice(["", "", "n", "s", "x", " 1", " 12", "-7", "_b"]))


def partial_caption(row: Row, rng: np.random.Generator) -> str:
    """Return a caption that leaves out the ink, the ground or both, and any other word by chance.

    A text with both colours is always a full caption, so a missing word there means the ordinary level.
    """
    w = words(row)
    keep = {name: w[name] if rng.random() < 0.6 else "" for name in FIELD_NAMES[3:]}
    colours = rng.integers(3)
    ink = w["ink"] if colours == 1 else ""
    ground = f"on {sentence(w['ground'])} ground" if colours == 2 else ""
    return sentence(
        keep["noise"],
        keep["blur"],
        keep["size"],
        keep["thickness"],
        ink,
        noun(w["subject"]),
        keep["slant"],
        keep["position"],
        ground,
    )


def prompt(row: Row, rng: np.random.Generator) -> str:
    """Return one training prompt of a scene, in one of the forms that TCKR uses.

    45 % 'class: caption' (a quarter of them with a made-up class), 20 % the caption, 10 % the class, 15 % a partial
    caption with or without the class, 10 % nothing (for classifier-free guidance).
    """
    names = class_names(SUBJECTS[int(row[0])])
    name = names[0] if rng.random() < 0.5 else names[rng.integers(len(names))]
    form = rng.random()
    if form < 0.10:
        return ""
    if form < 0.20:
        return name
    if form < 0.40:
        return caption(row)
    if form < 0.55:
        return f"{name}: {partial_caption(row, rng)}" if rng.random() < 0.5 else partial_caption(row, rng)
    return f"{pseudo_word(rng) if form < 0.66 else name}: {caption(row)}"
