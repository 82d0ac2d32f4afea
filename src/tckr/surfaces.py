"""The table of everything that a run could release, and what is known of each part before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Something that could be released, and how it is attacked.

    Attributes:
        name: identifier in settings, files and tables.
        title: name in sentences and pages.
        signals: signal -> its name in words; the first is the declared one, whose number counts.
        question: what the attacker looks at for the declared signal.
        repeated_from: the lowest audit depth at which reference runs make this anew.
        is_classifier: whether it answers the locked test split.
        sees_images: whether it learned from the synthetic images, which all runs share below depth `full`.
        has_canaries: whether canaries are looked for on it.
        is_plural: whether `title` is a plural noun.
    """

    name: str
    title: str
    signals: Mapping[str, str]
    question: str
    repeated_from: str
    is_classifier: bool = False
    sees_images: bool = False
    has_canaries: bool = False
    is_plural: bool = False

    @property
    def declared_signal(self) -> str:
        """Return the signal whose number counts."""
        return next(iter(self.signals))


_ROWS = (
    Surface(
        name="captions",
        title="captions",
        signals={"captions": "prompts found again"},
        question="How often a record's own prompt is among the released prompts.",
        repeated_from="full",
        is_plural=True,
    ),
    Surface(
        name="adapter",
        title="adapter",
        signals={"adapter": "denoising loss"},
        question="How much better the adapter denoises a record than the model it started from.",
        repeated_from="full",
        has_canaries=True,
    ),
    Surface(
        name="images",
        title="images",
        signals={
            "images": "nearest in features",
            "images_pixels": "nearest in pixels",
            "images_relative": "nearer than images that no generator saw",
        },
        question="How near the nearest synthetic image is to a record.",
        repeated_from="full",
        is_plural=True,
    ),
    Surface(
        name="soft_labels",
        title="soft labels",
        signals={"soft_labels": "attacker's own student"},
        question="What a model trained by the attacker on the released images and soft labels says of a record.",
        repeated_from="distill",
        sees_images=True,
        is_plural=True,
    ),
    Surface(
        name="teacher",
        title="Teacher",
        signals={"teacher": "direct queries"},
        question="How sure the Teacher is of a record's label.",
        repeated_from="teacher",
        is_classifier=True,
        has_canaries=True,
    ),
    Surface(
        name="student",
        title="Student",
        signals={"student": "direct queries", "student_indirect": "indirect queries"},
        question="How sure the Student is of a record's label.",
        repeated_from="distill",
        is_classifier=True,
        sees_images=True,
        has_canaries=True,
    ),
)

SURFACES: Mapping[str, Surface] = MappingProxyType({row.name: row for row in _ROWS})
"""Name -> surface, in the order in which a run makes them. Tables of other models' scores may name further ones."""

SIGNALS: Mapping[str, tuple[str, ...]] = MappingProxyType({row.name: tuple(row.signals) for row in _ROWS})
"""Name of a surface -> its signals, the declared one first."""

CLASSIFIERS = tuple(row.name for row in _ROWS if row.is_classifier)
"""Surfaces that answer the locked test split."""


def surface_title(name: str) -> str:
    """Return the name of a surface in sentences: `soft labels`, `Student`; a surface of a given table keeps its own."""
    return SURFACES[name].title if name in SURFACES else name.replace("_", " ")


def signal_title(signal: str) -> str:
    """Return in words what a signal is."""
    titles = {signal: title for row in _ROWS for signal, title in row.signals.items()}
    return titles.get(signal, signal.replace("_", " "))


def sees_images(name: str) -> bool:
    """Return whether the surface learned from the synthetic images."""
    return name in SURFACES and SURFACES[name].sees_images
