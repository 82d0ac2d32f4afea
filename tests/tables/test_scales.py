"""What the values of a table are: probabilities and losses become logits, and values that look like them are named."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tckr.errors import UserError
from tckr.tables.scales import remarks, scaled
from tests.membership.worlds import world

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
    one, five = np.ones((1, 5), dtype=bool), np.ones((5, 1), dtype=bool)
    assert "audit.signal=probability" in next(remarks({"model": expit(LOGITS)}, one, "logit"))
    assert "audit.signal=loss" in next(remarks({"model": np.array([[0.1, 3.0]])}, one[:, :2], "logit"))
    assert "transpose the table" in next(remarks({"model": LOGITS.T}, five, "logit"))
    assert not list(remarks({"model": LOGITS}, one, "logit"))
    assert not list(remarks({"model": expit(LOGITS)}, one, "probability"))


def test_a_signal_that_is_lower_for_members_of_the_reference_runs_is_named_whatever_the_target_says() -> None:
    values, members = world(0, records=300)
    assert not list(remarks({"model": values}, members, "logit"))
    assert not list(remarks({"model": world(0, records=300, shift=0.0)[0]}, members, "logit"))
    for row_0 in (members[0], ~members[0]):
        turned = np.vstack([row_0, members[1:]])
        assert [text for text in remarks({"model": -values}, turned, "logit") if "wrong sign" in text]
