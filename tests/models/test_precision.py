"""Which floating type is taken where."""

from __future__ import annotations

import warnings

import pytest
import torch

from tckr.models.precision import forward_precision, is_bfloat16


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16"])
def test_auto_is_bfloat16_on_processors_made_for_it(instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True, "avx512_f": True})
    assert is_bfloat16("auto", "cpu")
    assert not is_bfloat16("float32", "cpu")


def test_auto_is_float32_on_other_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "avx512_bf16": False})
    assert not is_bfloat16("auto", "cpu")
    assert is_bfloat16("bfloat16", "cpu")
    assert is_bfloat16("auto", "cuda:1")
    assert not is_bfloat16("auto", "mps")


def test_auto_trains_in_bfloat16_on_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert not is_bfloat16("auto", "cpu", training=True)
    assert is_bfloat16("bfloat16", "cpu", training=True)
    assert is_bfloat16("auto", "cuda", training=True)


def test_products_are_rounded_only_in_bfloat16() -> None:
    ones = torch.ones(2, 2)
    for bfloat16, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        with forward_precision(bfloat16=bfloat16, device="cpu"):
            assert (ones @ ones).dtype == dtype


def test_warnings_that_are_shown_once_are_shown_once() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(3):
            with forward_precision(bfloat16=True, device="cpu"):
                warnings.warn("of a library", UserWarning, stacklevel=1)
    assert len(shown) == 1
