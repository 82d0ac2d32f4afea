"""A fingerprint identifies what is computed, and refuses values without a stable form."""

from __future__ import annotations

import math
from dataclasses import replace
from enum import Enum
from pathlib import Path

import pytest

from tckr.engine.fingerprint import fingerprint
from tests.engine.fakes import FakeConfig, step


class Colour(Enum):
    RED = "red"


def test_equal_values_have_equal_fingerprints_whatever_the_key_order():
    assert fingerprint({"a": 1, "b": [1.5, None]}) == fingerprint({"b": (1.5, None), "a": 1})


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, "1"), (1.0, 1), ([1, 2], [2, 1]), ({"a": None}, {}), ("a", ["a"])]
)
def test_different_values_have_different_fingerprints(one, other):
    assert fingerprint(one) != fingerprint(other)


def test_a_fingerprint_is_the_same_in_every_process_and_release():
    assert fingerprint({"path": Path("x/y"), "colour": Colour.RED}) == fingerprint({"path": "x/y", "colour": "red"})
    assert fingerprint([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


@pytest.mark.parametrize("value", [{1, 2}, object(), print, math.nan, {1: 2}, b"raw"])
def test_values_without_a_stable_form_are_refused(value):
    with pytest.raises(TypeError):
        fingerprint({"value": value})


def test_config_seed_run_and_inputs_enter_the_fingerprint_of_a_step():
    source = step("a")
    base = step("b", source=source).fingerprint
    assert step("b", FakeConfig(value=2), source=source).fingerprint != base
    assert step("b", source=step("a", FakeConfig(value=2))).fingerprint != base
    assert step("b", source=source, run=1).fingerprint != base
    assert step("b", source=source, seed=1).fingerprint != base
    assert replace(step("b", source=source), reads={"model": "changed"}).fingerprint != base
    assert step("another name", stage="b", source=source).fingerprint == base
