"""The tiny checkpoints as fixtures, and checks of few images."""

import pytest

from tckr.stages.adapt import kept
from tests.tiny_models import tiny_generator, tiny_stochastic_generator, tiny_v_generator  # noqa: F401

FEW_DRAWS = 24
"""Images of a check in these tests, instead of 256."""


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "NUM_DRAWS", FEW_DRAWS)
