"""The table of surfaces agrees with the pipeline and with the questions of the audit."""

from __future__ import annotations

from tckr.membership.packages import PACKAGES
from tckr.membership.queries.questions import QUESTIONS
from tckr.surfaces import CLASSIFIERS, SIGNALS, SURFACES, sees_images, signal_title, surface_title

MADE_ANEW = {
    "teacher": {"teacher"},
    "distill": {"teacher", "student", "attacker", "synthetic"},
    "full": {"teacher", "student", "attacker", "synthetic", "adapter"},
}
"""Depth -> inputs of the step that queries a reference run (`pipeline._query`), without those that all runs share."""


def test_every_signal_attacks_one_surface_and_has_a_title() -> None:
    signals = [signal for names in SIGNALS.values() for signal in names]
    assert len(set(signals)) == len(signals)
    assert all(signal_title(signal) for signal in signals)


def test_a_surface_is_queried_from_the_depth_that_repeats_it() -> None:
    question = {"soft_labels": "attacker"}
    shared = {"captions", "features", "data"}
    for name, surface in SURFACES.items():
        needs = set(QUESTIONS[question.get(name, name)].needs) - shared
        enough = [depth for depth, made in MADE_ANEW.items() if needs <= made]
        if name != "captions":  # whose prompts lie in the synthetic set, which a reference run below `full` shares
            assert enough[0] == surface.repeated_from, name


def test_packages_expose_known_surfaces() -> None:
    assert {surface for exposes in PACKAGES.values() for surface in exposes} == set(SURFACES)


def test_titles_and_facts() -> None:
    assert [surface_title(name) for name in ("soft_labels", "teacher", "my_model")] == ["soft labels", "Teacher", "my model"]
    assert CLASSIFIERS == ("teacher", "student")
    assert [name for name in SURFACES if sees_images(name)] == ["soft_labels", "student"]
    assert not sees_images("my_model")
