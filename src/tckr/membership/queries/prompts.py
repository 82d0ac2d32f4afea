"""Prompts that an attacker would use for a record, and how often they are among the released ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.captions import CaptionTable
from tckr.data.images import ImageSet
from tckr.models.diffusion.prompts import build_prompt


def prompts_of(captions: Path, adapter: AdapterCard, records: ImageSet, class_names: Sequence[str]) -> list[str]:
    """Return the prompt of every record (N), from its caption by the public captioner and its label."""
    table = CaptionTable.read(captions)
    assert table.class_names == list(class_names)
    text_of = dict(zip(table.records.tolist(), table.texts, strict=True))
    return [
        build_prompt(adapter.prompt_form, class_names[label], text_of[record], adapter.descriptions)
        for record, label in zip(records.ids.tolist(), records.labels.tolist(), strict=True)
    ]


def count_among(own: Sequence[str], released: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return int64 [N], the number of released prompts that equal each of `own`."""
    counts = Counter(released)
    return np.array([counts[prompt] for prompt in own], dtype=np.int64)
