"""The cards of a release under a formal guarantee state it, its inputs and its limits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from tckr import running
from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.guarantee import Refutation
from tckr.artifacts.soft_labels import read_soft_labels
from tckr.artifacts.synthetic import load_synthetic
from tckr.artifacts.training import MODEL_FOLDER
from tckr.artifacts.voted_labels import VotedLabels
from tckr.cli.status import read_plan, show_plan
from tckr.config import load_settings
from tckr.engine.observer import Silent
from tckr.errors import UserError
from tckr.html.numbers import duration, rounded_up
from tckr.membership.refutation import promise_text
from tckr.metrics.estimate import NotMeasurable
from tckr.models.classifiers import load_classifier, predict_logits
from tckr.releasing.cards import summary
from tckr.releasing.releasing import GateError, release
from tckr.releasing.run import finished_run, run_settings
from tckr.running import RunResult, run
from tckr.stages.adapt.config import PrivateAdaptConfig
from tckr.stages.generate.config import GenerateConfig
from tests.conftest import coarse_accountant
from tests.test_draws import TINY
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
CARDS = ("README.md", "student/README.md", "adapter/README.md")


@pytest.fixture(scope="module")
def guaranteed(source, tmp_path_factory) -> RunResult:
    places = [f"prepare.source={source}", f"execution.output={tmp_path_factory.mktemp('guaranteed')}"]
    labels = ["privacy.labels=prompt", "distill.labels=hard", "prepare.audit_holdout=0"]
    with coarse_accountant():
        return run(load_settings(preset="dp", overrides=[*places, *TINY, "privacy.epsilon=8", *labels]))


@pytest.fixture(scope="module")
def released(guaranteed, tmp_path_factory) -> Path:
    parts = ("images", "labels", "student", "adapter")
    target = tmp_path_factory.mktemp("released") / "release"
    return release(guaranteed.folder, to=target, license="mit", what=parts, accept_risk="a test", by="somebody").folder


@pytest.fixture(scope="module")
def voted(source, tmp_path_factory) -> RunResult:
    places = [f"prepare.source={source}", f"execution.output={tmp_path_factory.mktemp('voted')}"]
    votes = ["privacy.labels=votes", "privacy.votes=4", "privacy.num_teachers=14", "distill.labels=soft"]
    with coarse_accountant():
        return run(load_settings(preset="dp", overrides=[*places, *TINY, "privacy.epsilon=8", *votes]))


def test_voted_labels_leave_with_the_noise_that_paid_for_them_and_votes_do_not(voted, tmp_path):
    claimed, chosen = AdapterCard.read(voted.artifacts["adapt"]).guarantee, VotedLabels.read(voted.artifacts["votes"])
    assert claimed is not None
    assert claimed.votes is not None
    assert claimed.epsilon <= 8
    labels = read_soft_labels(voted.artifacts["label"], tmp_path)
    assert labels.first_choices()[:4].tolist() == chosen.labels.tolist()
    folder = release(
        voted.folder, to=tmp_path / "release", license="mit", what=("images", "labels"), accept_risk="a test", by="somebody"
    ).folder
    text = (folder / "README.md").read_text()
    assert "differential privacy for one image. It covers images with their labels, adapter and Student" in text
    assert "Votes: 14 Teachers, each trained on other images, on 4 images, noise of " in text
    assert f"noise of {claimed.votes.noise:.3g} on each number of votes" in text
    assert "For 4 images at most, noisy votes of\n14 classifiers chose it" in text
    assert json.loads((folder / "audit_summary.json").read_text())["guarantee"]["votes"] == claimed.votes.model_dump()
    assert not list(voted.folder.parent.rglob("votes-*"))
    assert json.loads((voted.folder / "report" / "report.json").read_text())["labelling"]["stage"] == "votes"


def test_soft_labels_of_a_teacher_that_was_trained_with_noise_leave_with_its_noise(source, tmp_path):
    places = [f"prepare.source={source}", f"execution.output={tmp_path / 'runs'}"]
    labels = ["privacy.teacher_epochs=2", "privacy.teacher_batch_size=9"]
    with coarse_accountant():
        result = run(load_settings(preset="dp", overrides=[*places, *TINY, "privacy.epsilon=8", *labels]))
    claimed = AdapterCard.read(result.artifacts["adapt"]).guarantee
    assert claimed is not None
    assert claimed.teacher is not None
    assert claimed.epsilon <= 8
    trained = load_classifier(result.artifacts["dp_teacher"] / MODEL_FOLDER)
    synthetic = load_synthetic(result.artifacts["generate"], tmp_path)
    logits = predict_logits(trained, synthetic.images, batch_size=8)
    soft = read_soft_labels(result.artifacts["label"], tmp_path)
    np.testing.assert_allclose(soft.stored[:, 0], softmax(logits, axis=1), atol=2e-3)
    folder = release(
        result.folder, to=tmp_path / "release", license="mit", what=("images", "labels", "student"), accept_risk="a test",
        by="somebody",
    ).folder  # fmt: skip
    text = (folder / "README.md").read_text()
    assert "probabilities that a classifier trained on the private images with noise (the Teacher) gives" in text
    assert f"Teacher that labels: {claimed.teacher.steps} steps, each with a share of " in text
    assert "only on synthetic images and soft labels" in (folder / "student" / "README.md").read_text()
    assert not list(folder.rglob("dp_teacher*"))
    report = json.loads((result.folder / "report" / "report.json").read_text())
    assert report["labelling"]["stage"] == "dp_teacher"
    assert report["settings"]["privacy"]["teacher_epochs"] == 2
    assert not {"votes", "num_teachers"} & report["settings"]["privacy"].keys()  # which have no effect here
    assert len(report["dp_teacher"]["history"]) == 2
    assert report["settings"]["dp_teacher"]["selection"] == "last"
    page = (result.folder / "report" / "report.html").read_text()
    assert page.count('<th scope="row">dp_teacher</th>') == 2  # its time, and its origin
    assert "DP Teacher: training loss" in page
    assert "No images are shown: a formal guarantee covers them, but a release also needs a valid audit." in page
    whole = sum(stage["seconds"] for stage in (*report["stages"], report["labelling"]))
    assert f'<th scope="row">target run</th><td class="right">{duration(whole)}</td>' in page


@pytest.mark.parametrize(
    ("earlier", "said"), [("generate", "kept, so no budget is spent again"), ("adapt", "budget again: add")]
)
def test_a_run_of_another_version_says_whether_computing_it_again_spends_the_budget_again(
    guaranteed, monkeypatch, earlier, said
):
    sections = {"generate": GenerateConfig, "adapt": PrivateAdaptConfig}
    finished_run(guaranteed.folder, ("images",))
    monkeypatch.setattr(sections[earlier], "version", sections[earlier].version + 1)
    with pytest.raises(UserError, match=f"TCKR itself changed since it was made.*; .*{said}"):
        finished_run(guaranteed.folder, ("images",))


def test_whoever_asks_what_is_missing_hears_that_it_spends_the_budget_again(guaranteed, monkeypatch, capsys, tmp_path):
    again = "computing it again samples new noise, so it spends the budget again"
    with pytest.raises(GateError, match=f"tckr audit .* prepare.audit_holdout=0.5 .*; the run changes, and {again}"):
        release(guaranteed.folder, to=tmp_path / "release", license="mit")
    report = json.loads((guaranteed.folder / "report" / "report.json").read_text())
    step = next(step for step in report["decision"]["next_steps"] if "prepare.audit_holdout=0.5" in step["command"])
    assert again in step["text"]
    assert "--plan" not in step["text"]  # it computes the changed run
    settings = run_settings(guaranteed.folder)
    show_plan(settings, "report", as_json=False)
    assert again not in capsys.readouterr().out
    for changed, told in ((GenerateConfig, False), (PrivateAdaptConfig, True)):
        monkeypatch.setattr(changed, "version", changed.version + 1)
        show_plan(settings, "report", as_json=False)
        assert (again in capsys.readouterr().out) == told
        assert read_plan(settings)["spends_again"] == told


@pytest.mark.parametrize(("until", "newer", "told"), [("report", 0, 0), ("prepare", 1, 0), ("adapt", 1, 1)])
def test_a_run_that_spends_its_budget_again_says_so_before_it_begins(guaranteed, monkeypatch, until, newer, told):
    heard = []

    class Hearing(Silent):
        def warned(self, message):
            heard.append(message)

    settings = run_settings(guaranteed.folder)
    monkeypatch.setattr(PrivateAdaptConfig, "version", PrivateAdaptConfig.version + newer)
    monkeypatch.setattr(running, "open_folder", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        run(settings, until, Hearing())
    assert sum("so it spends the budget again: add both epsilons, and both deltas" in one for one in heard) == told


def ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_report_says_that_no_caption_was_written(guaranteed):
    assert "No caption was written" in (guaranteed.folder / "report" / "report.html").read_text()


@pytest.mark.parametrize("card", CARDS)
def test_each_card_states_the_guarantee_with_the_inputs_of_the_accountant_and_what_it_does_not_cover(
    guaranteed, released, card
):
    claimed, text = AdapterCard.read(guaranteed.artifacts["adapt"]).guarantee, (released / card).read_text()
    assert claimed is not None
    assert f"({rounded_up(claimed.epsilon)}, 1e-05) differential privacy for one image" in text
    assert f"noise of {claimed.noise_multiplier:.3g} times that" in text
    limits = text.split("The guarantee does not cover:")[1]
    assert "accuracy and results of the audit. They have no noise." in limits
    assert "Their epsilons add up." in limits


def test_the_summary_has_each_input_as_a_number(guaranteed, released):
    claimed = AdapterCard.read(guaranteed.artifacts["adapt"]).guarantee
    assert claimed is not None
    found = json.loads((released / "audit_summary.json").read_text())["guarantee"]
    inputs = claimed.model_dump(exclude={"class_names"})
    assert {name: found[name] for name in inputs} == inputs


def test_no_document_states_a_number_of_private_images_that_the_budget_pays_to_blur(guaranteed, released):
    declared = AuditResult.read(guaranteed.artifacts["audit"]).declared
    numbers = {declared.num_members, declared.num_non_members, declared.num_test}
    found = json.loads((released / "audit_summary.json").read_text())
    assert found["audit"]["members"] is found["audit"]["non_members"] is found["student_accuracy"]["n"] is None
    measured = [surface["auc"] for surface in found["audit"]["surfaces"].values() if surface["auc"]]
    assert all(number["n"] is None for number in measured)
    for card in CARDS:
        assert not re.search(r"\d+ (members|others|private test images)", (released / card).read_text())
    stated = re.findall(r"(?<![\w.])\d+(?![\w.])", (released / "croissant.json").read_text().split('"recordSet"')[0])
    assert not numbers & set(map(int, stated)), (numbers, stated)


@pytest.mark.parametrize("refuted", [False, True])
def test_a_refuted_guarantee_is_not_promised(guaranteed, refuted):
    claimed, audit = (
        AdapterCard.read(guaranteed.artifacts["adapt"]).guarantee,
        AuditResult.read(guaranteed.artifacts["audit"]),
    )
    assert claimed is not None
    tried = Refutation(claimed=claimed, bound=NotMeasurable("a test"), refuted=refuted)
    texts = summary._guarantee(claimed, audit.model_copy(update={"guarantee": tried}))["texts"]
    assert (promise_text(claimed) in texts) == (not refuted)


def test_no_card_speaks_of_a_teacher_s_labels_where_no_teacher_labelled(released):
    cards = {card: (released / card).read_text().split("## Privacy")[0] for card in CARDS}
    assert not any("Teacher" in text for text in cards.values())
    assert "`soft_label` gives it the probability 1. No classifier labelled the images." in cards["README.md"]
    assert "only on synthetic images and their classes" in cards["README.md"]
    assert "only on synthetic images and their classes" in cards["student/README.md"]


def test_without_a_guarantee_no_card_states_one(finished, tmp_path):
    folder = release(
        finished.folder, to=tmp_path / "plain", license="mit", what=("images",), accept_risk="a test", by="somebody"
    ).folder
    assert "Formal guarantee" not in (folder / "README.md").read_text()
    found = json.loads((folder / "audit_summary.json").read_text())
    assert found["guarantee"] is None
    assert (
        f"{found['audit']['members']} members and {found['audit']['non_members']} others"
        in (folder / "README.md").read_text()
    )
