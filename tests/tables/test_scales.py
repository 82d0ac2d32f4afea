"""What the values of a table are: probabilities and losses become logits, and values that look like them are named."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tckr.errors import UserError
from tckr.tables.scales import remarks, scaled

LOGITS = np.array([[-30.0, -2.0, 0.0, 1.5, 20.0]])


def test_probabilities_and_losses_of_the_right_label_become_its_logits() -> None:
    assert scaled(expit(LOGITS), "probability", "model") == pytest.approx(LOGITS, rel=1e-6)
    assert scaled(np.log1p(np.exp(-LOGITS)), "loss", "model") == pytest.approx(LOGITS, abs=1e-6)
    assert scaled(LOGITS, "logit", "model") is LOGITS
    assert np.isfinite(scaled(np.array([[0.0, 1.0]]), "probability", "model")).all()
    assert np.isfinite(scaled(np.array([[0.0, 800.0]]), "loss", "model")).all()


@pytest.mark.parametrize("kind", ["probability", "loss"])
def test_values_that_cannot_be_that_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match=f"values from -30 to 20; expected 0 to .* with audit.signal={kind}"):
        scaled(LOGITS, kind, "model")


def test_values_that_look_like_something_else_are_named() -> None:
    assert "audit.signal=probability" in next(remarks({"model": expit(LOGITS)}, "logit"))
    assert "audit.signal=loss" in next(remarks({"model": np.array([[0.1, 3.0]])}, "logit"))
    assert "transpose the table" in next(remarks({"model": LOGITS.T}, "logit"))
    assert not list(remarks({"model": LOGITS}, "logit"))
    assert not list(remarks({"model": expit(LOGITS)}, "probability"))
