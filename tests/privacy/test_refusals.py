"""Under a budget nothing is released that does not pay; without one nothing changes."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from tckr.config import RunConfig, changed, load_settings, settings_text
from tckr.engine.step import Sensitivity, Step
from tckr.errors import UserError
from tckr.pipeline import pipeline
from tckr.plain_yaml import read_yaml, write_yaml
from tckr.privacy.config import MOST_TEACHERS, OF_LABELS, PrivacyConfig
from tckr.privacy.refusals import LEAST_BATCH, REFUSALS, USELESS_VOTES
from tckr.stages.teach.votes import FEWEST_IMAGES
from tckr.training.batches import smallest_batch

SPENDING = {
    "prepare.intensity": "range",
    "adapt.prompt_form": "n: c",
    "adapt.lora": "other.safetensors",
    "adapt.selection": "best",
    "adapt.fraction": "0.5",
    "generate.per_class": "data",
    "generate.redraw_disowned": "2",
    "generate.redraw_copies": "2",
    "generate.redraw": "[1]",
    "distill.labels": "online",
}
USELESS = {
    "distill.labels": "hard",
    "distill.hard_weight": "1.0",
    "distill.min_teacher_probability": "0.5",
    "teach.batch_size": "2",
}
VOTES = ("privacy.labels=votes", "distill.labels=soft")
RELEASED = ("generate", "label", "distill")


def private(*changes: str) -> RunConfig:
    return load_settings(
        preset="dp", overrides=["prepare.source=digits", "audit.num_reference_runs=0", *changes]
    ).run_config()


def test_every_refusal_is_tried() -> None:
    assert SPENDING.keys() == {refusal[0] for refusal in REFUSALS}
    assert USELESS.keys() == {refusal[0] for refusal in USELESS_VOTES}


@pytest.mark.parametrize("setting", SPENDING)
def test_what_spends_outside_the_budget_is_refused(setting: str) -> None:
    with pytest.raises(UserError, match=f"does not pay for: {setting}: .*; set "):
        private(f"{setting}={SPENDING[setting]}")
    load_settings(overrides=["prepare.source=digits", f"{setting}={SPENDING[setting]}"])  # fine without a budget


def test_a_budget_for_a_training_of_no_steps_is_refused() -> None:
    with pytest.raises(UserError, match=r"adapt\.steps=0 trains nothing"):
        private("adapt.steps=0")


@pytest.mark.parametrize("setting", USELESS)
def test_settings_that_make_votes_useless_are_refused(setting: str) -> None:
    changed, votes = f"{setting}={USELESS[setting]}", {"privacy.labels": "votes", "distill.labels": "soft"}
    with pytest.raises(UserError, match=f"would be useless: {setting}: .*; set {setting}=.*, or privacy.labels=prompt"):
        private(*(f"{name}={value}" for name, value in (votes | {setting: USELESS[setting]}).items()))
    private("privacy.labels=prompt", changed)  # fine without votes


@pytest.mark.parametrize(("setting", "value"), [("distill.labels", "hard"), ("distill.hard_weight", "1")])
def test_a_teacher_whose_labels_nobody_uses_is_refused(setting: str, value: str) -> None:
    teacher = {"privacy.labels": "teacher", "distill.labels": "soft"}
    with pytest.raises(UserError, match=f"privacy.labels=teacher pays for .* useless: {setting}: .*set {setting}="):
        private(*(f"{name}={value}" for name, value in (teacher | {setting: value}).items()))
    assert private(*(f"{name}={value}" for name, value in teacher.items())).privacy.has_teacher


def test_no_teacher_gets_a_batch_of_one_image() -> None:
    smallest = [smallest_batch(count, size) for size in (LEAST_BATCH, 4, 7) for count in range(FEWEST_IMAGES, 100)]
    assert min(smallest) == 2
    assert smallest_batch(3, LEAST_BATCH - 1) == 1


def test_votes_that_drown_in_noise_are_refused_with_ways_that_the_settings_allow() -> None:
    with pytest.raises(UserError, match=r"noise of 44\.7, too much for .*num_teachers=100: .* set privacy\.votes=312"):
        private(*VOTES, "privacy.num_teachers=100")
    with pytest.raises(
        UserError, match=r"some labels would be wrong; set privacy\.votes=\d+ or fewer, or privacy\.labels=p"
    ):
        private(*VOTES, "privacy.epsilon=1", "privacy.votes=1000000")  # would need more Teachers than the setting allows
    with pytest.raises(UserError, match=r"or fewer, privacy\.num_teachers=\d+ or more, or privacy\.labels=prompt"):
        private(*VOTES, "privacy.epsilon=1")
    assert MOST_TEACHERS < 40_000
    assert private(*VOTES, "privacy.num_teachers=100", "privacy.votes=312").privacy.takes_votes
    assert private(*VOTES, "privacy.num_teachers=179").privacy.takes_votes


IDLE = {"delta": "1e-5", "unit": "group", "noise_draws": "2", "central_images": "true", "labels": "votes",
        "votes": "1000", "num_teachers": "9", "teacher_epochs": "10", "teacher_batch_size": "64",
        "teacher_clip": "2"}  # fmt: skip
"""A value of every setting that needs `privacy.epsilon`; two of them are the defaults."""


def test_every_setting_without_an_effect_is_tried() -> None:
    assert IDLE.keys() | {"epsilon"} == PrivacyConfig.model_fields.keys()


@pytest.mark.parametrize("name", IDLE)
def test_a_setting_of_a_guarantee_that_was_not_asked_for_is_refused(name: str) -> None:
    told = rf"privacy\.{name}=\S+ has no effect, because without privacy\.epsilon there is no .*; set privacy\.epsilon"
    with pytest.raises(UserError, match=told):
        load_settings(overrides=["prepare.source=digits", f"privacy.{name}={IDLE[name]}"])


def test_a_setting_of_labels_that_are_not_made_is_refused() -> None:
    for (labels, names), other in itertools.product(OF_LABELS.items(), ("prompt", *OF_LABELS)):
        for name in names if other != labels else ():
            told = rf"privacy\.{name}=500(\.0)? has no effect with privacy.labels={other}; set privacy.labels={labels}"
            with pytest.raises(UserError, match=told):
                private(f"privacy.{name}=500", f"privacy.labels={other}")


def test_several_settings_without_an_effect_are_listed_in_one_message() -> None:
    with pytest.raises(UserError, match=r"privacy\.delta=1e-06, privacy\.noise_draws=2 have no effect, because"):
        load_settings(overrides=["prepare.source=digits", "privacy.noise_draws=2", "privacy.delta=1e-6"])
    with pytest.raises(UserError, match=r"privacy\.votes=5, privacy\.num_teachers=9 have no effect .* leave them out"):
        private("privacy.votes=5", "privacy.num_teachers=9")
    with pytest.raises(UserError, match=r"privacy\.votes=5 has no effect .* leave it out"):
        private("privacy.votes=5")


def test_one_setting_switches_off_the_guarantee_or_the_votes(tmp_path: Path) -> None:
    saved = load_settings(
        preset="dp", overrides=["prepare.source=digits", *VOTES, "privacy.votes=100", "privacy.delta=1e-6"]
    )
    (tmp_path / "config.yaml").write_text(settings_text(saved))
    off = load_settings(tmp_path / "config.yaml", overrides=["privacy.epsilon=null"])
    assert off.privacy == PrivacyConfig()
    assert changed(saved, {"privacy.epsilon": None}) == off
    (tmp_path / "config.yaml").write_text(settings_text(off))
    assert load_settings(tmp_path / "config.yaml") == off
    prompts = changed(saved, {"privacy.labels": "prompt"}).privacy
    assert prompts == PrivacyConfig(epsilon=10, delta=1e-6, noise_draws=1)
    taught = changed(saved, {"privacy.labels": "teacher", "privacy.teacher_epochs": 3}).privacy
    assert taught == PrivacyConfig(epsilon=10, delta=1e-6, noise_draws=1, labels="teacher", teacher_epochs=3)


def saved(folder: Path, *changes: str, **privacy: object) -> Path:
    """Write a configuration as it was saved before settings without an effect were errors; return the file."""
    settings = load_settings(preset="dp", overrides=["prepare.source=digits", *changes])
    tree = read_yaml(settings_text(settings))
    (folder / "config.yaml").write_text(write_yaml(tree | {"privacy": tree["privacy"] | privacy}))
    return folder / "config.yaml"


def test_a_saved_run_opens_without_its_settings_that_have_no_effect(tmp_path: Path) -> None:
    file = saved(tmp_path, "privacy.labels=prompt", epsilon=None, noise_draws=1, delta=1e-6)
    assert load_settings(file).privacy == PrivacyConfig()
    assert load_settings(file, overrides=["privacy.epsilon=1"]).privacy == PrivacyConfig(
        epsilon=1, noise_draws=1, delta=1e-6
    )
    with pytest.raises(UserError, match=r"^setting privacy: privacy\.noise_draws=2 has no effect"):
        load_settings(file, overrides=["privacy.noise_draws=2"])


def test_a_saved_run_without_votes_opens_without_their_settings(tmp_path: Path) -> None:
    file = saved(tmp_path, "privacy.labels=prompt", "privacy.delta=1e-6", votes=200, num_teachers=100)
    assert load_settings(file).privacy == PrivacyConfig(epsilon=10, delta=1e-6, noise_draws=1)
    voting = load_settings(file, overrides=list(VOTES)).privacy
    assert (voting.votes, voting.num_teachers) == (200, 100)
    with pytest.raises(UserError, match=r"^setting privacy: privacy\.votes=9 has no effect"):
        load_settings(file, overrides=["privacy.votes=9"])


def test_a_file_that_the_user_wrote_is_told_of_settings_that_have_no_effect(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("prepare: {source: digits}\nprivacy: {epsilon: null, noise_draws: 1}\n")
    with pytest.raises(UserError, match=r"privacy\.noise_draws=1 has no effect"):
        load_settings(tmp_path / "mine.yaml")


def test_descriptions_that_the_user_wrote_hold_nothing_private() -> None:
    assert private("adapt.prompt_form=n: d", "adapt.descriptions={'0': a ring}").adapt.prompt_form == "n: d"


def test_released_steps_see_private_data_through_the_adapter_alone() -> None:
    steps = {step.name: step for step in pipeline(private("privacy.labels=prompt"), b"secret")}
    assert all("prepare" not in reached(steps[name], "adapt") for name in RELEASED)
    plain = load_settings(overrides=["prepare.source=digits", "audit.num_reference_runs=0"]).run_config()
    plain_steps = {step.name: step for step in pipeline(plain, b"secret")}
    assert all("prepare" in reached(plain_steps[name], "adapt") for name in RELEASED)


def test_no_captioner_runs_or_is_looked_for() -> None:
    settings = ["prepare.source=digits", "caption.model=nowhere/captioner", "audit.num_reference_runs=2"]
    config = load_settings(preset="dp", overrides=settings).run_config()
    steps = [step for step in pipeline(config, b"secret") if step.stage == "caption"]
    assert len(steps) == 2  # of the members, and of all records for the audit
    assert all(step.function.endswith(":run_of_class_names") for step in steps)
    assert not [needed for step in steps for needed in step.config.checkpoints()]
    plain = load_settings(overrides=settings).run_config()
    ordinary = [step for step in pipeline(plain, b"secret") if step.stage == "caption"]
    assert all(step.config == plain.caption and step.function.endswith(":run") for step in ordinary)
    assert not {step.fingerprint for step in steps} & {step.fingerprint for step in ordinary}


def test_voted_labels_see_private_data_through_the_noisy_votes_alone() -> None:
    steps = {step.name: step for step in pipeline(private(*VOTES), b"secret")}
    assert set(steps["label"].inputs) == {"synthetic", "voted"}
    assert set(steps["votes"].inputs) == {"data", "adapter", "synthetic"}
    assert steps["votes"].sensitivity is Sensitivity.PRIVATE
    hidden = replace(steps["label"], inputs={"synthetic": steps["generate"]})
    assert "prepare" not in reached(hidden, "adapt")
    assert "teach" not in steps["votes"].inputs, "the votes are not those of the ordinary Teacher"
    assert "votes" not in {step.name for step in pipeline(private(), b"secret")}


def test_soft_labels_see_private_data_through_the_teacher_that_is_trained_with_noise_alone() -> None:
    steps = {step.name: step for step in pipeline(private(), b"secret")}
    assert steps["label"].inputs["teacher"].fingerprint == steps["dp_teacher"].fingerprint
    assert set(steps["dp_teacher"].inputs) == {"data", "adapter", "synthetic"}
    assert steps["dp_teacher"].function.endswith(":run_of_dp_teacher")
    assert steps["dp_teacher"].sensitivity is Sensitivity.PRIVATE
    assert "prepare" not in reached(steps["distill"], "adapt", "dp_teacher")
    assert "dp_teacher" not in {step.name for step in pipeline(private("privacy.labels=prompt"), b"secret")}


def test_the_audit_sees_the_guarantee_that_it_tries_to_refute() -> None:
    assert "adapter" in {step.name: step for step in pipeline(private(), b"secret")}["audit"].inputs
    plain = load_settings(overrides=["prepare.source=digits", "audit.num_reference_runs=0"]).run_config()
    assert "adapter" not in {step.name: step for step in pipeline(plain, b"secret")}["audit"].inputs


def test_a_teacher_that_labels_would_be_detected() -> None:
    """A bug planted on purpose: labels of a Teacher that learned private images without noise."""
    steps = {step.name: step for step in pipeline(private(), b"secret")}
    asked = replace(steps["label"], inputs={**steps["label"].inputs, "teacher": steps["teach"]})
    assert "prepare" in reached(asked, "adapt", "dp_teacher")
    assert "prepare" not in reached(steps["label"], "adapt", "dp_teacher")


def reached(step: Step, *without: str) -> set[str]:
    """Return the stages that `step` depends on by paths that avoid the steps `without`."""
    sources = [source for source in step.inputs.values() if source.name not in without]
    return {source.stage for source in sources}.union(*(reached(source, *without) for source in sources))


def test_noise_is_secret_though_the_set_is_public() -> None:
    for name in ("adapt", "dp_teacher"):
        seeds = {step.seed for secret in (b"one", b"two") for step in pipeline(private(), secret) if step.name == name}
        assert len(seeds) == 2


def test_the_control_that_memorizes_keeps_no_budget() -> None:
    assert private().privacy.is_on
    assert not private().memorizing().privacy.is_on
