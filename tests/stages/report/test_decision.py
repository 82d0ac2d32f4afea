"""The first screen says what was done, whether it may be released, how sure that is, and no more than was found."""

from __future__ import annotations

import re

import pytest

from tckr.artifacts.audit import FindingReason, Package, SurfaceResult, Verdict, VerdictReason
from tckr.artifacts.guarantee import Guarantee, Refutation, VotesInputs
from tckr.config import load_settings, settings_text
from tckr.membership.packages import PACKAGES, packages
from tckr.metrics.estimate import Estimate
from tckr.metrics.results import OneRunBound
from tckr.stages.report.decision import CLEAN, HOLDS, WHAT, accuracy_sentence, decision_of
from tckr.stages.report.plain_words import leak_in_words, picks
from tckr.stages.report.shared_audit import shareable_audit
from tests.cli.test_commands import call
from tests.stages.report.sample import Sample


def decision(**kind):
    sample = Sample(**{"class_names": ["a", "b"], "canaries": False} | kind)
    return decision_of(sample.audit(), sample._card(), 640)


def judged(audit, state):
    """Return the audit with this state of soft labels and Student."""
    reason = FindingReason(kind="nothing_found" if state == CLEAN else "auc_above", found=auc(0.52), p_value=0.3)
    changed = {name: SurfaceResult(cas=auc(0.9), state=state, reasons=[reason]) for name in ("soft_labels", "student")}
    surfaces = {**audit.surfaces, **changed}
    return audit.model_copy(update={"surfaces": surfaces, "packages": packages(surfaces)})


def rows(found):
    return {row.name: row for row in found.packages}


def auc(value: float, half: float = 0.03) -> Estimate:
    return Estimate(value, value - half, value + half, 100, "")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (auc(0.57), "57 times of 100 [54, 60]"),
        (auc(0.43), "57 times of 100 [54, 60]"),
        (Estimate(0.523, 0.502, 0.544, 9, ""), "52.3 times of 100 [50.2, 54.4]"),
        (auc(0.5), "50 times of 100 [47, 53]"),
    ],
)
def test_an_auc_is_how_often_the_attacker_picks_the_right_one_and_a_leak_never_rounds_to_a_coin(number, words):
    assert picks(number) == words


def test_every_package_says_what_it_is_and_each_part_of_a_release_is_a_package():
    assert set(HOLDS) == set(PACKAGES)
    assert set(WHAT) <= set(PACKAGES)


def test_a_row_has_the_state_of_its_package_the_size_of_its_leak_and_the_command_for_what_is_not_measured():
    found = rows(decision())
    student, images = found["Student"], found["synthetic images"]
    assert (student.state, student.answer, student.command) == ("leaks", "No", "")
    assert student.leak == "The attacker picks yours 57 times of 100 [54, 60]."
    assert (
        found["images, soft labels and Student"].leak == "The attacker picks yours 57 times of 100 [54, 60], by the Student."
    )
    assert (images.state, images.answer) == ("not measured", "Not yet")
    assert images.leak == "Only a weak attack was tried; that it found nothing is no evidence of safety."
    assert images.command == "tckr audit RUN_FOLDER audit.depth=full"


def test_the_largest_leak_is_a_complete_sentence():
    assert decision().scale == (
        "Largest leak, the Teacher: of two images, one of yours and one not, the attacker picks yours 71 times of 100 "
        "[68, 74]; 50 is guessing."
    )


def test_where_nothing_leaks_the_audit_allows_all_and_names_the_command_that_releases():
    found = decision(depth="full", leak=0.0)
    assert {row.answer for row in found.packages} == {"No objection found"}
    assert found.answer == "No leak was found in any package. This is not a proof; the decision is yours."
    assert rows(found)["Student"].leak == (
        "The attacker picks yours 50 times of 100 [47, 53]: not better than guessing; a leak of 54 would be found in "
        "80 of 100 audits."
    )
    assert [step.command for step in found.next_steps] == [
        "tckr release RUN_FOLDER --to FOLDER --license LICENSE --what images labels student report"
    ]
    assert any("no formal guarantee" in line for line in found.not_covered)


def test_without_an_audit_every_package_waits_for_the_command_that_measures_it():
    found = decision(measured=False)
    assert {row.state for row in found.packages} == {"not measured"}
    assert found.answer.startswith("Not yet. No attack was tried")
    assert found.scale == ""
    command = "tckr audit RUN_FOLDER audit.num_reference_runs=8"
    assert rows(found)["Teacher"].command.startswith(command)
    assert [step.command for step in found.next_steps] == [f"{command} audit.depth=full"]


def test_a_failed_audit_speaks_for_no_package_and_says_what_the_failed_check_means():
    found = decision(valid=False)
    assert {(row.state, row.answer, row.command) for row in found.packages} == {("not measured", "Not yet", "")}
    assert found.answer == "Not yet. The audit failed its own checks, so its result is not valid."
    assert found.sure[0].startswith("4 of 5 checks of the audit itself passed.")
    assert "The check null failed" in found.next_steps[1].text
    assert "The Student is right on" in found.accuracy


def test_an_attack_that_would_miss_a_memorizing_teacher_is_called_not_conclusive():
    audit = Sample(class_names=["a", "b"]).audit()
    missed = VerdictReason(kind="memorizer_missed", surfaces=["student", "soft_labels"])
    blind = audit.model_copy(update={"verdict": Verdict(state="valid", reasons=[missed])})
    found = decision_of(judged(blind, CLEAN), Sample()._card(), 640)
    assert found.sure[1].startswith("Not conclusive for Student and soft labels: ")
    assert rows(found)["Student"].leak.endswith("Not conclusive: see below.")
    assert "Not conclusive" not in rows(found)["Teacher"].leak
    found = decision_of(judged(blind, "leaks"), Sample()._card(), 640)
    assert not any("Not conclusive" in text for text in found.sure)  # something was found
    assert not any("Not conclusive" in text for text in decision_of(audit, Sample()._card(), 640).sure)


def test_a_leak_that_no_pair_shows_is_described_by_what_shows_it():
    kinds = {
        "canaries": FindingReason(kind="canaries", canaries="natural", epsilon=1.0, p_value=0.001),
        "near_copies": FindingReason(
            kind="near_copies", found=Estimate(0.02, 0.011, 0.029, 640, ""), p_value=0.001, level=0.005
        ),
    }
    audit = Sample(class_names=["a", "b"]).audit()
    surfaces = {
        name: SurfaceResult(cas=auc(0.9), state="leaks", reasons=[kinds[kind]])
        for name, kind in (("student", "canaries"), ("images", "near_copies"))
    }
    judged = {package.name: package for package in packages(surfaces)}
    audit = audit.model_copy(update={"surfaces": surfaces})
    assert leak_in_words(audit, judged["Student"]) == "Images that were planted to detect leaks were found."
    assert leak_in_words(audit, judged["synthetic images"]) == (
        "2.0 of 100 images [1.1, 2.9] are near-copies of yours, more than chance explains."
    )


def test_a_package_that_leaks_only_together_says_so():
    audit = Sample(class_names=["a", "b"]).audit()
    silent = {name: SurfaceResult(cas=auc(0.9), state="no measurable leakage") for name in ("images", "soft_labels")}
    package = Package(
        name="images and soft labels",
        exposes=list(silent),
        state="leaks",
        deciding=[],
        reasons=[FindingReason(kind="auc_of_package", found=auc(0.57), p_value=0.001)],
    )
    found = leak_in_words(audit.model_copy(update={"surfaces": silent}), package)
    assert found == "An attacker who has all of it picks yours 57 times of 100 [54, 60]."


def test_a_guarantee_is_stated_where_there_is_one_and_only_there():
    sample = Sample(class_names=["a", "b"])
    guarantee = Guarantee(
        epsilon=9.954, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.0,
        count_noise=2.5, noisy_count=600, noise_draws=1, class_names=["a", "b"],
    )  # fmt: skip
    found = decision_of(sample.audit(), sample._card(), 640, guarantee)
    assert found.sure[0].startswith("Formal guarantee: (9.96, 1e-05) differential privacy for one image")
    assert not any("no formal guarantee" in line for line in found.not_covered)
    assert "costs in accuracy" in found.next_steps[-1].text
    assert not any("costs in accuracy" in step.text for step in decision().next_steps)
    assert not any("Formal guarantee" in line for line in decision().sure)
    assert any("no formal guarantee" in line for line in decision().not_covered)
    assert "Only canaries were attacked" in decision(measured=False, canaries=True).answer
    untested = Sample(class_names=["a", "b"], measured=False).audit()
    answers = [decision_of(untested, sample._card(), 640, given).answer for given in (guarantee, None)]
    assert ["only the formal guarantee limits" in answer for answer in answers] == [True, False]


def test_advice_to_change_a_run_says_that_it_spends_the_budget_of_a_guarantee_again():
    sample = Sample(class_names=["a", "b"], canaries=False)
    guarantee = Guarantee(
        epsilon=9.954, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.0,
        count_noise=2.5, noisy_count=600, noise_draws=1, class_names=["a", "b"],
    )  # fmt: skip
    audit = sample.audit()
    failed = [control.model_copy(update={"passed": False}) for control in audit.controls]
    invalid = audit.model_copy(update={"verdict": Verdict(state="invalid", reasons=[]), "controls": failed})
    for given in (None, guarantee):
        mended, repaired = (
            [step.text for step in decision_of(each, sample._card(), 640, given).next_steps] for each in (audit, invalid)
        )
        spent = [text for text in (*mended, *repaired) if "so it spends the budget again" in text]
        assert [text[:30] for text in spent] == (
            ["Do not release what leaks. Or ", "The check positive failed: the"] if given else []
        )


@pytest.mark.parametrize(
    ("num_non_members", "named"),
    [
        (5, "tckr audit RUN_FOLDER audit.num_reference_runs=8 audit.depth=full"),
        (0, "tckr audit RUN_FOLDER prepare.audit_holdout=0.5 audit.num_reference_runs=8 audit.depth=full"),
    ],
)
def test_an_audit_that_measured_nothing_names_only_what_is_not_set_and_what_spends_a_budget_again(num_non_members, named):
    sample = Sample(class_names=["a", "b"], measured=False)
    audit = sample.audit()
    declared = audit.declared.model_copy(update={"num_reference_runs": 0, "num_non_members": num_non_members})
    audit = audit.model_copy(update={"declared": declared})
    guarantee = Guarantee(
        epsilon=9.954, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.0,
        count_noise=2.5, noisy_count=600, noise_draws=1, class_names=["a", "b"],
    )  # fmt: skip
    for given in (None, guarantee):
        step = decision_of(audit, sample._card(), 640, given).next_steps[0]
        other = given is not None and num_non_members == 0  # the run is computed again, and --plan would do so too
        assert step.command == named
        rows = decision_of(audit, sample._card(), 640, given).packages
        assert ([row.command for row in rows if row.command] == []) == other  # there is no room for what it costs
        assert ("so it spends the budget again" in step.text) == other
        assert ("Add --plan" in step.text) != other


@pytest.mark.parametrize(("labels", "without"), [("prompt", "hard"), ("votes", "soft")])
def test_the_command_that_repeats_a_run_without_its_guarantee_is_accepted(monkeypatch, capsys, tmp_path, labels, without):
    """Without a guarantee, soft labels are those of a Teacher: prompts stay the labels, and of votes the report says so."""
    taken = ["privacy.labels=votes", "privacy.votes=100"] if labels == "votes" else []
    given = ["prepare.source=digits", f"execution.output={tmp_path}", "execution.name=kept", "distill.labels=soft", *taken]
    settings = load_settings(preset="dp", overrides=given)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "config.yaml").write_text(settings_text(settings))
    guarantee = Guarantee(
        epsilon=9.954, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.0,
        count_noise=2.5, noisy_count=600, noise_draws=1, class_names=["a", "b"],
        votes=VotesInputs(images=100, teachers=250, noise=14.0) if taken else None,
    )  # fmt: skip
    sample = Sample(class_names=["a", "b"])
    step = decision_of(sample.audit(), sample._card(), 640, guarantee).next_steps[-1]
    assert ("labels are those of one Teacher" in step.text) == bool(taken)
    _, *arguments = step.command.replace("RUN_FOLDER", str(tmp_path / "kept")).split()
    assert call(monkeypatch, capsys, *arguments, "--dry-run")[0] == 0
    repeated = load_settings(tmp_path / "kept" / "config.yaml", overrides=[text for text in arguments if "=" in text])
    assert (repeated.privacy.is_on, repeated.distill.labels) == (False, without)


@pytest.mark.parametrize("refuted", [True, False])
def test_what_canaries_refute_stands_beside_what_is_claimed_with_every_input_of_the_accountant(refuted):
    sample = Sample(class_names=["a", "b"])
    guarantee = Guarantee(
        epsilon=0.954, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.5,
        count_noise=2.5, noisy_count=600, noise_draws=1, class_names=["a", "b"],
    )  # fmt: skip
    value = 1.26 if refuted else 0.0
    bound = OneRunBound(value=value, confidence=0.99, delta=1e-5, num_canaries=200, guesses=100, correct=80, method="")
    found = Refutation(
        claimed=guarantee, bound=bound, refuted=refuted, surface="student", canaries="natural", confidence=0.95
    )
    shared = shareable_audit(sample.audit().model_copy(update={"guarantee": found}))
    screen = decision_of(shared, sample._card(), 640, guarantee)
    sentences = " ".join(screen.sure)
    assert "5 steps, each with a share of 0.1 of the images, gradients clipped to 1.5, noise of 0.7 times that" in sentences
    assert "Number of images: noise of 2.5" in sentences
    if refuted:
        assert "epsilon is at least 1.2 (Student, natural canaries, 95 % confidence)" in sentences
        assert screen.answer.startswith("No. The formal guarantee is refuted")
        assert [step.text.split(".")[0] for step in screen.next_steps] == ["Release nothing of this run"]
    else:
        assert "Guarantee (epsilon 0.954, delta 1e-05) not refuted: the guesses show nothing" in sentences
    assert "correct=80" not in repr(shared.guarantee)


@pytest.mark.parametrize(
    ("low", "high", "ending"),
    [
        (-0.031, 0.003, "no measurable difference, \u22121.4 points [\u22123.1, +0.3], at worst 3.1 points less."),
        (-0.031, -0.004, "\u22121.4 points [\u22123.1, \u22120.4], at worst 3.1 points less."),
    ],
)
def test_accuracy_is_one_sentence_that_ends_with_the_worst_case(low, high, ending):
    audit = Sample(class_names=["a", "b"]).audit()
    differences = audit.differences.model_copy(update={"cas": Estimate(-0.014, low, high, 360, "")})
    sentence = accuracy_sentence(audit.model_copy(update={"differences": differences}))
    assert sentence.startswith("The Student is right on 97.8 % [96.9, 98.7] of 360 real test images that are new to it")
    assert sentence.endswith(ending)


def test_sixteen_test_images_are_too_few_to_tell():
    sentence = decision(num_test=16).accuracy
    assert "of 16 real test images" in sentence
    assert "too few test images to tell" in sentence
    assert "no measurable difference" not in sentence


def test_groups_and_a_shared_generator_are_named_among_what_is_not_covered():
    several = "People or parts with several images"
    assert any(several in line for line in decision().not_covered)
    by_group = Sample(class_names=["a", "b"]).audit()
    by_group = by_group.model_copy(update={"declared": by_group.declared.model_copy(update={"unit": "group"})})
    card = Sample(class_names=["a", "b"], groups={"train": 20})._card()
    assert not any(several in line for line in decision_of(by_group, card, 120).not_covered), "groups are judged"
    shared = "which all runs share"
    assert [any(shared in line for line in decision(depth=depth).not_covered) for depth in ("distill", "full")] == [
        True,
        False,
    ]


def test_the_first_screen_is_before_every_chapter_and_its_rows_have_the_colour_of_their_state(report, clean_report):
    for made in (report, clean_report):
        page = made.html
        order = ["May I release it?", "How sure is this?", "What is not covered?", "What is it worth?", "What next?"]
        places = [page.index(text) for text in (made.data["decision"]["done"], *order, "Teacher against Student")]
        assert places == sorted(places)
        shown = dict(re.findall(r'<tr class="(\w+)" data-answer="([^"]+)"', page))
        classes = {"leaks": "leaks", "not measured": "unknown", CLEAN: "nothing"}
        expected = {row["name"]: classes[row["state"]] for row in made.data["decision"]["packages"]}
        found = {name: colour for colour, name in re.findall(r'<tr class="(\w+)" data-answer="([^"]+)"', page)}
        assert found == expected
        assert shown
    assert "verdict" not in re.findall(r'class="([^"]*)"', report.html), "no box has the colour of the audit's soundness"
