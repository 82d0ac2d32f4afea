"""`adapter.json`: which generator to load, how it was adapted, and the form of its prompts."""

from __future__ import annotations

from typing import ClassVar, Literal

from tckr.artifacts.document import Document
from tckr.artifacts.guarantee import Guarantee
from tckr.models.diffusion.prompts import PromptForm


class AdapterCard(Document):
    """What `adapt` says of its adapter; the weights lie beside it.

    Attributes:
        model: name or folder of the generator that was adapted.
        revision: of a generator on the hub.
        method: what was trained: a LoRA, or all weights of the denoiser.
        rank: of the LoRA; None for all weights, and for an adapter that was trained elsewhere.
        steps: of the training; 0 = not adapted, so there are no weights; None for an adapter that was trained elsewhere.
        prompt_form: as for `build_prompt`.
        descriptions: as for `build_prompt`.
        image_size: side of the images in px.
        grey: whether no private image has colour, so that images drawn for it get none.
        guarantee: that the training kept; None without a formal guarantee.
    """

    file_name: ClassVar[str] = "adapter.json"

    model: str
    revision: str | None
    method: Literal["lora", "full"]
    rank: int | None
    steps: int | None
    prompt_form: PromptForm
    descriptions: dict[str, str]
    image_size: int
    grey: bool = False
    guarantee: Guarantee | None = None

    @property
    def has_weights(self) -> bool:
        """Return whether there is an adapter to load."""
        return self.steps != 0
