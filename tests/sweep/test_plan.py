"""Steps of equal fingerprint are one step; inputs come first; smaller sets wait for the largest and copy from it."""

from __future__ import annotations

import pickle
from fractions import Fraction

import pytest

from tckr.config import changed, load_settings, settings_text
from tckr.engine.execution import ExecutionConfig
from tckr.engine.graph import sources_of
from tckr.engine.machine_share import needs_of
from tckr.errors import UserError
from tckr.privacy.config import PrivacyConfig
from tckr.sweep.grid import lay_out
from tckr.sweep.plan import merge, plan_variant, sharing

GRID = {"generate.cardinality": [0.1, 1, 5], "seed": [0, 1], "audit.num_reference_runs": [2]}


def planned(grid=GRID, *overrides: str):
    base = load_settings(overrides=list(overrides))
    return [plan_variant(variant, base, b"") for variant in lay_out([grid])]


@pytest.fixture(scope="module")
def variants():
    return planned()


def test_every_fingerprint_is_computed_once_under_a_name_of_its_own_after_its_inputs(variants):
    steps = merge(variants)
    wanted = {step.fingerprint for one in variants for step in one.steps}
    assert {step.fingerprint for step in steps} == wanted
    assert len({step.name for step in steps}) == len(steps) == len(wanted)
    place = {step.name: index for index, step in enumerate(steps)}
    for step in steps:
        assert all(place[source.name] < place[step.name] for source in step.inputs.values()), step.name


def test_one_adapter_and_one_teacher_serve_all_cardinalities(variants):
    count = {stage: sum(step.stage == stage for step in merge(variants)) for stage in ("adapt", "generate")}
    assert count == {"adapt": 2 * 2, "generate": 6}  # one for each seed, and its unadapted base for the audit
    users = sharing(variants)
    assert {users[one.step("adapt").fingerprint] for one in variants} == {3}
    assert {users[one.step("generate").fingerprint] for one in variants} == {1}


def test_the_largest_sets_are_generated_side_by_side_and_the_smaller_ones_wait_to_copy_from_them(variants):
    steps = [step for step in merge(variants) if step.stage == "generate"]
    largest = {step.seed: step for step in steps if step.config.cardinality == 5}
    sources, needs = sources_of(steps), needs_of(steps, ExecutionConfig(device="cpu", workers=4))
    assert len(largest) == 2
    for step in steps:
        assert {donor.seed for donor in step.donors} == {step.seed}
        if step is largest[step.seed]:
            assert sources[step.name] == []
            assert needs[step.name].share == Fraction(1, 2)
        else:
            assert sources[step.name] == [largest[step.seed].name]
            assert needs[step.name].share == Fraction(1, 4)


def test_sets_that_differ_in_more_than_cardinality_are_no_donors():
    grid = {"generate.cardinality": [1, 5], "generate.guidance_scale": [2, 3], "audit.num_reference_runs": [0]}
    for step in merge(planned(grid)):
        assert all(donor.config.guidance_scale == step.config.guidance_scale for donor in step.donors)
        assert len(step.donors) == (1 if step.stage == "generate" else 0)


def test_a_step_with_donors_travels_to_a_worker_process(variants):
    for step in merge(variants):
        assert pickle.loads(pickle.dumps(step)).fingerprint == step.fingerprint


def test_variant_by_variant_the_first_ends_before_the_second_begins_its_own(variants):
    steps = merge(variants)
    ends = [index for index, step in enumerate(steps) if step.stage == "validate"]
    assert ends[0] < len(steps) / 3


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("generate.cardinalty", [1], r"Did you mean generate\.cardinality\?"),
        ("generate.cardinality", [0, 1], "greater than 0"),
        ("generate", [1, 2], "is a section"),
        ("prepare.source", ["no/such/folder"], "is not an existing file or folder"),
    ],
)
def test_a_setting_that_does_not_hold_is_refused_before_anything_is_computed(name, values, expected):
    with pytest.raises(UserError, match=expected):
        planned({name: values})


ON, OFF = {"privacy.epsilon": [1.0, 10.0]}, {"privacy.epsilon": [1.0, None]}
LABELS = {"privacy.labels": ["prompt", "votes"]}
PRIVATE = 'adapt: {prompt_form: "n", selection: last}\ndistill: {labels: hard}\n'
VOTING = "distill: {labels: soft}\n"


def points(folder, text, *grids, preset="dp"):
    """Return `privacy` of every point of a sweep over a file, also after the sweep was saved and read again."""
    file = folder / "mine.yaml"
    file.write_text(f"preset: {preset}\nprepare: {{source: digits}}\n{text}")
    base = load_settings(file, sweep=True)
    found = [changed(base, variant.changes).privacy for variant in lay_out(grids)]
    file.write_text(settings_text(base, list(grids)))
    again = load_settings(file, sweep=True)
    assert [changed(again, variant.changes).privacy for variant in lay_out(grids)] == found
    return found


def test_a_point_may_switch_on_what_gives_settings_of_the_base_an_effect(tmp_path):
    found = points(tmp_path, "privacy: {noise_draws: 2, delta: 1.0e-6}\n" + PRIVATE, ON, preset="embedded")
    assert found == [PrivacyConfig(epsilon=epsilon, noise_draws=2, delta=1e-6) for epsilon in (1, 10)]
    sections = {"privacy": [{"epsilon": 1.0}]}
    assert points(tmp_path, "privacy: {noise_draws: 2, delta: 1.0e-6}\n" + PRIVATE, sections, preset="embedded") == found[:1]
    prompts, votes = points(tmp_path, "privacy: {votes: 100, num_teachers: 200}\n" + VOTING, LABELS)
    assert prompts == PrivacyConfig(epsilon=10, noise_draws=1)
    assert votes == prompts.model_copy(update={"labels": "votes", "votes": 100, "num_teachers": 200})


def test_a_point_that_switches_off_drops_what_then_has_no_effect(tmp_path):
    grid = OFF | {"privacy.noise_draws": [1, 2]}
    assert [(one.epsilon, one.noise_draws) for one in points(tmp_path, "", grid)] == [(1, 1), (1, 2), (None, 4), (None, 4)]
    grid = LABELS | {"privacy.votes": [100, 200]}
    assert [one.votes for one in points(tmp_path, VOTING, grid)] == [1000, 1000, 100, 200]


@pytest.mark.parametrize(
    ("text", "grids", "told"),
    [
        ("privacy: {noise_draws: 4}\n", [{"seed": [0, 1]}], "noise_draws=4 has"),  # the default
        ("privacy: {noise_draws: 2}\n" + PRIVATE, [ON, {"seed": [0, 1]}], "noise_draws=2 has"),
        ("privacy: {epsilon: null}\n", [{"privacy.noise_draws": [1, 2]}], "noise_draws=1 has"),
        ("privacy: {epsilon: 10.0}\n" + PRIVATE, [{"privacy.votes": [100, 200]}], "votes=100 has"),
        ("", [LABELS], "labels=prompt has"),
    ],
)
def test_a_point_with_a_setting_without_an_effect_is_refused(tmp_path, text, grids, told):
    with pytest.raises(UserError, match=rf"privacy\.{told} no effect"):
        points(tmp_path, text, *grids, preset="embedded")


def test_a_saved_sweep_opens_without_settings_that_have_no_effect(tmp_path):
    base, grid = load_settings(preset="dp", overrides=["prepare.source=digits"]), {"seed": [0, 1]}
    off = base.privacy.model_copy(update={"epsilon": None})  # as saved before settings without an effect were errors
    (tmp_path / "sweep.yaml").write_text(settings_text(base.model_copy(update={"privacy": off}), [grid]))
    again = load_settings(tmp_path / "sweep.yaml", sweep=True)
    assert [changed(again, variant.changes).privacy for variant in lay_out([grid])] == [PrivacyConfig()] * 2
