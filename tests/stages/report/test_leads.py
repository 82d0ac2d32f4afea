"""What the report says of captions, prompts and labels is what was done, under a formal guarantee too."""

from __future__ import annotations

import re

import pytest

from tckr.artifacts.guarantee import Guarantee, TeacherInputs, VotesInputs
from tckr.stages.report.leads import leads_of
from tests.stages.report.conftest import SMALL, make_report
from tests.stages.report.sample import Sample

OF_A_TEACHER = (
    "Describe every member image in words",
    "Prompts come from private captions",
    "Compute the Teacher's class probabilities",
    "The Teacher's most probable class",
    "synthetic images and soft labels",
    "probabilities of all classes",
    "Agreement with the Teacher's label",
)
"""Sentences that are wrong where no captioner was run and no Teacher labels images."""

OF_PROMPTS = (
    "No caption was written",
    "Prompts contain no captions",
    "Write the class of its prompt as the label of every synthetic image; no Teacher labels them.",
    "Train the Student on synthetic images and the classes of their prompts",
    "each with the class of its prompt",
    "Agreement with the class of the prompt",
    "Not under the formal guarantee: the Teacher trained without noise, audit and this report.",
)
OF_VOTES = (
    "for at most 100 synthetic images the one that noisy votes of 250 Teachers chose, for the others that of the prompt",
    "Train the Student on synthetic images and their classes by votes or of the prompts",
    "each with the class by votes or of its prompt",
    "Agreement with the class by votes or of the prompt",
)


NOISY = TeacherInputs(noise_multiplier=0.7, sampling_rate=0.2, steps=50, clip=1.0)
OF_A_NOISY_TEACHER = (
    "Compute the class probabilities of every synthetic image, by a Teacher that was trained with noise (DP-SGD).",
    "Train the Student on synthetic images and soft labels",
    "each with probabilities of all classes, from a Teacher trained with noise",
    "Agreement with the Teacher's label",
)


def guarantee(votes: VotesInputs | None = None, teacher: TeacherInputs | None = None) -> Guarantee:
    return Guarantee(
        epsilon=9.954, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.0,
        count_noise=2.5, noisy_count=600, noise_draws=1, class_names=["a", "b"], votes=votes, teacher=teacher,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "labels", "said", "not_said"),
    [
        (None, "soft", OF_A_TEACHER, (*OF_PROMPTS[1:6], *OF_VOTES)),
        (guarantee(None), "hard", OF_PROMPTS, (*OF_A_TEACHER, *OF_VOTES)),
        (guarantee(None), "soft", OF_PROMPTS, (*OF_A_TEACHER, *OF_VOTES)),
        (guarantee(VotesInputs(images=100, teachers=250, noise=14.0)), "soft", OF_VOTES, (*OF_A_TEACHER, *OF_PROMPTS[2:6])),
        (guarantee(teacher=NOISY), "soft", OF_A_NOISY_TEACHER, (*OF_A_TEACHER[:3], *OF_PROMPTS[2:6], *OF_VOTES)),
    ],
    ids=["a Teacher", "prompts, hard", "prompts, soft", "votes", "a noisy Teacher"],
)
def test_captions_prompts_and_labels_are_those_of_the_run(tmp_path, given, labels, said, not_said):
    settings = {"adapter": {"prompt_form": "n" if given else "n: c"}, "student": {"labels": labels}}
    sample = Sample(**SMALL, guarantee=given, settings=settings, depth="full")
    text = " ".join(re.sub(r"<[^>]+>", " ", make_report(tmp_path, sample).html.replace("&#39;", "'")).split())
    text = text.partition("Glossary")[0]
    assert [sentence for sentence in said if sentence not in text] == []
    assert [sentence for sentence in not_said if sentence in text] == []


@pytest.mark.parametrize("given", [{"file": "captions.csv"}, {"from_source": True}])
def test_given_captions_were_not_written_by_a_captioner(given):
    assert leads_of(None, {"caption": given, "adapt": {}, "distill": {}}).caption.startswith("Read the captions that came")
