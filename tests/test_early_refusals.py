"""Settings that do not fit the data are refused as soon as the data are prepared, before a model is loaded or trained."""

from __future__ import annotations

import pytest
from transformers import SwinConfig

from tckr.config import load_settings
from tckr.errors import UserError
from tckr.running import run

UNFIT = {
    "per_class": (["generate.per_class={'0': 5, zero: 5}"], "it names 'zero', which is not a class"),
    "descriptions": (["adapt.prompt_form=n: d", "adapt.descriptions={zero: a round digit}"], r"unknown classes: \['zero'\]"),
    "groups": (["privacy.epsilon=8", "adapt.prompt_form=n", "distill.labels=hard", "privacy.unit=group"], "has no groups"),
}


@pytest.mark.parametrize(("overrides", "why"), UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_the_data_is_refused_directly_after_prepare(tmp_path, overrides, why):
    places = ["prepare.source=digits", f"execution.output={tmp_path}", "execution.workers=1", "audit.num_reference_runs=0"]
    for _ in range(2):  # the second time, prepare is complete already
        with pytest.raises(UserError, match=why):
            run(load_settings(overrides=[*places, *overrides]))
        stages = {path.name for path in (tmp_path / "store").iterdir() if path.is_dir()} - {"sealed"}
        assert stages == {"prepare"}


def test_a_network_that_mixes_the_images_of_a_batch_is_refused_before_the_adapter_is_trained(tmp_path):
    """Swin's layers see windows instead of images, so DP-SGD could not limit what one image changes."""
    SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4).save_pretrained(
        tmp_path / "swin"
    )
    settings = [
        "prepare.source=digits",
        "privacy.epsilon=8",
        "privacy.labels=teacher",
        "adapt.prompt_form=n",
        f"teach.model={tmp_path / 'swin'}",
        "teach.pretrained=false",
        "teach.image_size=32",
        "audit.num_reference_runs=0",
        "execution.workers=1",
        f"execution.output={tmp_path / 'runs'}",
    ]
    with pytest.raises(UserError, match=r"choose another teach\.model"):
        run(load_settings(overrides=settings))
    stages = {path.name for path in (tmp_path / "runs" / "store").iterdir() if path.is_dir()} - {"sealed"}
    assert stages == {"prepare"}
