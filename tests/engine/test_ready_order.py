"""What a step waits for, and which of the steps that are ready begins first."""

from __future__ import annotations

from dataclasses import replace

from tckr.config import RunConfig
from tckr.engine.execution import ExecutionConfig
from tckr.engine.graph import sources_of
from tckr.engine.machine_share import needs_of
from tckr.engine.ready_order import turns_of
from tckr.pipeline import pipeline
from tests.engine.fakes import step


def test_a_step_waits_for_its_inputs_and_for_donors_that_are_listed_before_it():
    one, other = step("one", stage="a"), step("other", stage="a", run=1)
    steps = [replace(one, donors=[other]), replace(other, donors=[one]), step("end", a=one)]
    assert sources_of(steps) == {"one": [], "other": ["one"], "end": ["one"]}


def test_what_shares_the_machine_begins_with_the_target_then_with_the_longest_chains_and_the_rest_by_the_list():
    steps = pipeline(RunConfig(audit={"num_reference_runs": 2, "depth": "full"}), b"")
    turns = turns_of(steps, needs_of(steps, ExecutionConfig(device="cpu", workers=4)))
    names = ("label", "caption.1", "caption.2", "adapt.1", "teach.1", "generate.2", "label.1", "distill.1", "signals.1")
    assert sorted(names, key=turns.__getitem__) == list(names)
    one = turns_of(steps, needs_of(steps, ExecutionConfig(device="cpu", workers=1)))
    assert sorted(one, key=one.__getitem__) == [step.name for step in steps]
