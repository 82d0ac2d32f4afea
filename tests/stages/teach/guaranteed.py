"""An `adapt` artifact whose guarantee pays for labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.guarantee import Guarantee
from tests.training.colours import COLOURS


def guarantee_of(unit: str = "record", **labels: Any) -> Guarantee:
    """Return a guarantee; `labels` are its `votes` or its `teacher`."""
    return Guarantee(
        epsilon=1, delta=1e-5, unit=unit, noise_multiplier=1, sampling_rate=0.1, steps=1, clip=1, count_noise=1,
        noise_draws=1, noisy_count=24, class_names=COLOURS, **labels,
    )  # fmt: skip


def write_adapter(folder: Path, guarantee: Guarantee) -> Path:
    """Write the card of an adapter with this guarantee."""
    folder.mkdir(parents=True)
    AdapterCard(
        model="m", revision=None, method="lora", rank=1, steps=1, prompt_form="n", descriptions={}, image_size=32,
        guarantee=guarantee,
    ).write(folder)  # fmt: skip
    return folder
