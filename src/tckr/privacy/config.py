"""Settings of the formal guarantee. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from tckr.strict import STRICT

NEEDS_PACKAGES = "a formal guarantee needs the packages dp-accounting and opacus; install them with: pip install 'tckr[dp]'"


class PrivacyConfig(BaseModel):
    """The budget of differential privacy for everything that is released: images, labels and Student."""

    model_config = STRICT

    epsilon: float | None = Field(
        None,
        ge=0.01,
        le=100,
        description="Budget of the whole release, (epsilon, delta) differential privacy under adding or removing one unit; "
        "null: no formal guarantee.",
    )
    delta: float = Field(
        1e-5, gt=0, lt=0.1, description="Chance that the bound epsilon does not hold; well below 1 / number of units."
    )
    unit: Literal["record", "group"] = Field(
        "record", description="What is protected: one image, or all images of a group (prepare.group_column, group_pattern)."
    )
    noise_draws: int = Field(
        4,
        ge=1,
        le=256,
        description="Noise levels and noises per image and step, whose mean gradient is clipped: they cost time and no "
        "privacy (Dockhorn et al. 2023).",
    )

    @property
    def is_on(self) -> bool:
        """Return whether a guarantee is asked for."""
        return self.epsilon is not None
