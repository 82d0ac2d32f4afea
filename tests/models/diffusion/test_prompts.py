"""Prompt forms in the paper's notation."""

from __future__ import annotations

import pytest

from tckr.errors import UserError
from tckr.models.diffusion.prompts import build_prompt, check_descriptions


@pytest.mark.parametrize(
    ("form", "expected"),
    [("n: c", "cat: on a mat"), ("n", "cat"), ("c", "on a mat"), ("n: d", "cat: a small carnivore")],
)
def test_prompt_forms(form: str, expected: str) -> None:
    assert build_prompt(form, "cat", "on a mat", {"cat": "a small carnivore"}) == expected  # type: ignore[arg-type]


def test_missing_and_unknown_descriptions_are_named() -> None:
    with pytest.raises(UserError, match=r"missing: \['cat'\].*\['cow'\]"):
        check_descriptions("n: d", ["cat", "dog"], {"dog": "x", "cow": "y"})
    check_descriptions("n: c", ["cat"], {})
    check_descriptions("n: d", ["cat"], {"cat": "x"})


@pytest.mark.parametrize("form", ["n: d", "n: c", "n"])
def test_a_description_of_an_unknown_class_is_refused_whatever_the_prompts(form):
    check_descriptions(form, ["a", "b"], {"a": "x", "b": "y"})
    with pytest.raises(UserError, match=r"unknown classes: \['c'\]; the classes are 'a', 'b'"):
        check_descriptions(form, ["a", "b"], {"a": "x", "b": "y", "c": "z"})
