"""Steps of equal fingerprint are one step; inputs come first; smaller sets wait for the largest and copy from it."""

from __future__ import annotations

import pickle
from fractions import Fraction

import pytest

from tckr.config import load_settings
from tckr.engine.execution import ExecutionConfig
from tckr.engine.graph import sources_of
from tckr.engine.machine_share import needs_of
from tckr.errors import UserError
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
