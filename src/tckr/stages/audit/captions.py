"""Prompts that an attacker would give a record, and how often they are among the released ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from tckr.data.images import ImageSet
from tckr.data.shards import read_columns
from tckr.models.diffusion.prompts import PromptForm, build_prompt


class Adapter(BaseModel):
    """What `adapter.json` says of an adapter: the base model, whether it was adapted at all, and the form of its prompts."""

    model: str
    revision: str | None
    steps: int | None  # None: trained elsewhere
    prompt_form: PromptForm
    descriptions: dict[str, str]


def read_adapter(folder: Path) -> Adapter:
    """Read `adapter.json` of an adapter artifact."""
    return Adapter.model_validate_json((folder / "adapter.json").read_text(encoding="utf-8"))


def prompts_of(captions: Path, adapter: Adapter, records: ImageSet, class_names: Sequence[str]) -> list[str]:
    """Return the prompt of every record (N), from its caption by the public captioner and its label."""
    table = read_columns(captions, ["record", "caption"])
    assert json.loads((captions / "classes.json").read_text(encoding="utf-8")) == list(class_names)
    text_of = dict(zip(table["record"].tolist(), table["caption"].tolist(), strict=True))
    return [
        build_prompt(adapter.prompt_form, class_names[label], text_of[record], adapter.descriptions)
        for record, label in zip(records.ids.tolist(), records.labels.tolist(), strict=True)
    ]


def count_among(own: Sequence[str], released: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return int64 [N], how many of the released prompts equal each of `own`."""
    counts = Counter(released)
    return np.array([counts[prompt] for prompt in own], dtype=np.int64)
