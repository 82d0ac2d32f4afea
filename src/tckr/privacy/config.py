"""Settings of the formal guarantee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationInfo, model_validator

from tckr.strict import LARGEST_NORM, STRICT

NEEDS_PACKAGES = "a formal guarantee needs the packages dp-accounting and opacus; install them with: pip install 'tckr[dp]'"

UNITS = MappingProxyType({"record": "images", "group": "groups"})
"""`privacy.unit` -> the word for several units."""

MOST_TEACHERS = 10_000
"""Maximum number of Teachers that vote."""

OF_LABELS = MappingProxyType(
    {"votes": ("votes", "num_teachers"), "teacher": ("teacher_epochs", "teacher_batch_size", "teacher_clip")}
)
"""Value of `labels` -> settings that have no effect with any other value."""


BASE = MappingProxyType({"base": True})
"""Context of validation of settings that only the points of a sweep complete: some may still have no effect."""


class PrivacyConfig(BaseModel):
    """The budget of differential privacy for everything that is released: images, labels and Student."""

    model_config = STRICT

    epsilon: float | None = Field(
        None,
        ge=0.01,
        le=100,
        description="Budget of the release: (epsilon, delta) differential privacy under adding or removing one unit; "
        "null: no formal guarantee.",
    )
    delta: float = Field(
        1e-5, gt=0, lt=0.1, description="Added to the bound on the chance of a release; well below 1 / number of units."
    )
    unit: Literal["record", "group"] = Field(
        "record", description="What is protected: one image, or all images of a group (prepare.group_column, group_pattern)."
    )
    noise_draws: int = Field(
        4,
        ge=1,
        le=256,
        description="Noise levels and noise samples per image and step; the mean of their gradients is "
        "clipped. More cost time but no privacy (Dockhorn et al. 2023).",
    )
    central_images: bool = Field(
        False,
        description="Train the generator on a noisy mean image of each class before the private images (central images of "
        "DP-FETA, Li et al. 2025). They cost 4 % of the budget's squared mu. At delta 1e-5, a class needs some 330 units "
        "at epsilon 10, and 2,440 at epsilon 1 (with images of 32 px or more).",
    )
    labels: Literal["prompt", "votes", "teacher"] = Field(
        "prompt",
        description="Labels under a guarantee: the class of the prompt, which costs nothing; the probabilities of a "
        "Teacher that is trained with noise (DP-SGD), which costs half of the budget's squared mu; or noisy votes of "
        "Teachers on disjoint parts of the private set (PATE, Papernot et al. 2018), which cost a quarter. The last two "
        "need distill.labels=soft.",
    )
    teacher_epochs: float = Field(
        10.0,
        gt=0,
        le=1000,
        description="Mean number of times that the Teacher trained with noise learns from each unit.",
    )
    teacher_batch_size: int = Field(
        1024,
        ge=1,
        le=10**6,
        description="Expected number of units in a step of the Teacher trained with noise. In a larger batch, the noise is "
        "divided by more units, but there are fewer steps.",
    )
    teacher_clip: float = Field(
        1.0,
        gt=0,
        le=LARGEST_NORM,
        description="Maximum norm of a unit's gradient in the training of the Teacher with noise; the noise is "
        "in proportion.",
    )
    votes: int = Field(
        1000,
        ge=1,
        le=10**6,
        description="Images that are labelled by votes: the first ones of the set, at most all. The others keep the class "
        "of their prompt. The noise grows with the square root of this number.",
    )
    num_teachers: int = Field(
        250,
        ge=2,
        le=MOST_TEACHERS,
        description="Teachers that vote, each trained on its own part of the private set with the settings of teach.",
    )

    @model_validator(mode="after")
    def _all_have_an_effect(self, info: ValidationInfo) -> Self:
        """Raise an error for settings without an effect: who sets them expects a guarantee, or votes."""
        if info.context is BASE:
            return self
        if not self.is_on and (idle := self._set_without("epsilon", set(type(self).model_fields))):
            raise ValueError(
                f"{_listed(idle)} no effect, because without privacy.epsilon there is no formal guarantee; set "
                "privacy.epsilon (--preset dp: 10), or leave out the other settings of privacy"
            )
        for labels, names in OF_LABELS.items():
            if self.labels != labels and (idle := self._set_without("labels", set(names))):
                raise ValueError(
                    f"{_listed(idle)} no effect with privacy.labels={self.labels}; set privacy.labels={labels}, or leave "
                    f"{'it' if len(idle) == 1 else 'them'} out"
                )
        return self

    def _set_without(self, switch: str, names: set[str]) -> list[str]:
        """Return those of `names` that are set. If `switch` is set, defaults do not count, since a saved file has all."""
        given, fields = self.model_fields_set, type(self).model_fields
        counted = [name for name in fields if name in given & names - {switch}]
        changed = [name for name in counted if switch not in given or getattr(self, name) != fields[name].default]
        return [f"privacy.{name}={getattr(self, name)}" for name in changed]

    @property
    def is_on(self) -> bool:
        """Return whether a guarantee is requested."""
        return self.epsilon is not None

    @property
    def takes_votes(self) -> bool:
        """Return whether labels are private votes."""
        return self.is_on and self.labels == "votes"

    @property
    def has_teacher(self) -> bool:
        """Return whether a Teacher that is trained with noise labels the images."""
        return self.is_on and self.labels == "teacher"


def _listed(settings: Sequence[str]) -> str:
    """Return the settings with the verb, `has` or `have`."""
    return f"{', '.join(settings)} {'has' if len(settings) == 1 else 'have'}"


def without_idle(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in `known` that still have an effect after `given`, which may switch off guarantee or votes."""
    if "epsilon" in given and given["epsilon"] is None:
        return {name: value for name, value in known.items() if name == "epsilon"}
    idle = [name for labels, names in OF_LABELS.items() if given.get("labels", labels) != labels for name in names]
    return {name: value for name, value in known.items() if name not in idle}
