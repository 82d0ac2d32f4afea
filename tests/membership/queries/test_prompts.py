"""An attacker's prompts are those that the run itself would have given, and are counted word by word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tckr.artifacts.adapter_card import AdapterCard
from tckr.data.images import ImageSet
from tckr.membership.queries.prompts import count_among, prompts_of
from tests.membership.artifacts import write_all_captions
from tests.tiny_artifacts import CLASS_NAMES

TEXTS = ["a cat", "two dogs", "a cat", "no animal"]
RECORDS = ImageSet(np.zeros((3, 2, 2, 3), np.uint8), labels=np.array([2, 0, 1]), ids=np.array([3, 0, 2]))
DESCRIPTIONS = {"alpha": "first", "beta": "second", "gamma": "third"}


def adapter(form: str) -> AdapterCard:
    fields = {"model": "m", "revision": None, "method": "lora", "rank": 4, "steps": 1, "image_size": 16}
    return AdapterCard.model_validate({**fields, "prompt_form": form, "descriptions": DESCRIPTIONS})


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("n: c", ["gamma: no animal", "alpha: a cat", "beta: a cat"]),
        ("n", ["gamma", "alpha", "beta"]),
        ("c", ["no animal", "a cat", "a cat"]),
        ("n: d", ["gamma: third", "alpha: first", "beta: second"]),
    ],
)
def test_a_record_is_prompted_by_its_own_caption_and_label(tmp_path: Path, form: str, expected: list[str]) -> None:
    captions = write_all_captions(tmp_path, TEXTS)
    assert prompts_of(captions, adapter(form), RECORDS, CLASS_NAMES) == expected


def test_captions_of_other_classes_are_refused(tmp_path: Path) -> None:
    captions = write_all_captions(tmp_path, TEXTS)
    with pytest.raises(AssertionError):
        prompts_of(captions, adapter("n: c"), RECORDS, CLASS_NAMES[::-1])


def test_a_record_without_a_caption_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        prompts_of(write_all_captions(tmp_path, TEXTS[:3]), adapter("n: c"), RECORDS, CLASS_NAMES)


def test_only_equal_prompts_count_and_each_as_often_as_it_was_released() -> None:
    released = ["a: x", "a: x", "b: x", "a: X", "a: x ", "a: x"]
    assert count_among(["b: x", "a: x", "a: y", "a: x"], released).tolist() == [1, 3, 0, 3]
    assert count_among(["a: x", "x"], np.array(released, dtype=object)).tolist() == [3, 0]
    assert count_among(["a"], []).tolist() == [0]
