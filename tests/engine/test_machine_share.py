"""The share of the machine of a step follows from the graph, not from the order or from complete artifacts."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from pydantic import BaseModel

from tckr.config import RunConfig, load_settings
from tckr.engine.execution import ExecutionConfig
from tckr.engine.graph import sources_of
from tckr.engine.machine_share import needs_of
from tckr.engine.step import Role, Step
from tckr.pipeline import needed_for, pipeline
from tests.engine.fakes import step

FOUR = ExecutionConfig(device="cpu", workers=4)


class FrozenConfig(BaseModel):
    """The settings that the fingerprints below were computed with."""

    value: int = 1
    mode: str = "write"
    journal: str = ""


def shares(steps: list[Step], execution: ExecutionConfig = FOUR) -> dict[str, Fraction]:
    return {name: needs.share for name, needs in needs_of(steps, execution).items()}


def audited(**changes) -> list[Step]:
    return pipeline(RunConfig(**{"audit": {"num_reference_runs": 2}, **changes}), b"")


def test_a_step_shares_the_machine_with_the_steps_of_its_stage_that_do_not_wait_for_it():
    first, second = step("a.1", stage="a"), step("a.2", stage="a", run=1)
    after = step("a.3", stage="a", source=second)
    found = shares([first, second, after, step("b")])
    assert found == {"a.1": Fraction(1, 2), "a.2": Fraction(1, 2), "a.3": Fraction(1), "b": Fraction(1)}


def test_a_chain_through_another_stage_is_a_chain():
    first = step("a.1", stage="a")
    last = step("a.2", stage="a", source=step("b", source=first))
    assert shares([first, last.inputs["source"], last])["a.2"] == 1


def test_no_more_share_it_than_there_are_workers_and_each_has_its_part_of_the_threads():
    leaves = [step(f"leaf.{run}", stage="leaf", run=run) for run in range(9)]
    execution = ExecutionConfig(device="cpu", workers=3, threads=5)
    assert {(needs.share, needs.threads) for needs in needs_of(leaves, execution).values()} == {(Fraction(1, 3), 5)}
    assert set(shares(leaves, ExecutionConfig(device="cpu", workers=1)).values()) == {Fraction(1)}


def test_what_prefers_the_machine_for_itself_shares_it_only_with_runs_that_repeat_it():
    target, control = (
        replace(step(f"a.{role}", stage="a", seed=seed), role=role, prefers_alone=True)
        for seed, role in enumerate((Role.TARGET, Role.CONTROL))
    )
    assert set(shares([target, control]).values()) == {Fraction(1)}
    other = replace(control, name="a.1", seed=2, role=Role.REFERENCE)
    assert set(shares([target, control, other]).values()) == {Fraction(1, 2)}


@pytest.mark.parametrize("depth", ["teacher", "distill", "full"])
def test_the_order_of_the_list_changes_no_need(depth):
    steps = audited(audit={"num_reference_runs": 3, "depth": depth})
    shuffled = random.Random(0).sample(steps, len(steps))
    assert needs_of(shuffled, FOUR) == needs_of(steps, FOUR)


def test_the_teachers_of_an_audit_run_beside_the_captions():
    found, sources = shares(audited()), sources_of(audited())
    assert (found["caption"], found["teach"]) == (Fraction(1, 2), Fraction(1, 4))
    assert sources["teach"] == sources["teach.1"] == sources["caption"] == ["prepare"]
    assert {found[name] for name in ("prepare", "adapt", "generate", "audit", "report")} == {Fraction(1)}


def test_an_adapter_is_trained_with_all_threads_unless_other_runs_train_theirs():
    """`adapt.base` trains nothing, so neither takes it threads from the adapter, nor need the machine be free for it."""
    threads = ExecutionConfig(device="cpu", workers=2, threads=0)
    needs = needs_of(audited(), threads)
    assert needs["adapt"].threads == threads.threads_for(1)
    assert needs["adapt.base"].share == Fraction(1, 2)
    repeated = shares(audited(audit={"num_reference_runs": 2, "depth": "full"}))
    assert {repeated[name] for name in ("adapt", "adapt.1", "adapt.positive")} == {Fraction(1, 3)}


def test_a_target_run_alone_has_the_machine_at_every_step():
    steps = pipeline(RunConfig(audit={"num_reference_runs": 0, "images_alone": False}), b"")
    assert set(shares(steps).values()) == {Fraction(1)}
    assert set(shares(needed_for(audited(), "distill")).values()) == {Fraction(1)}


def test_a_large_captioner_or_generator_never_shares_the_memory_unless_it_is_repeated():
    large = {"caption": {"model": "some/captioner"}, "adapt": {"model": "some/generator"}}
    names = ("caption", "caption.all", "adapt", "adapt.base", "generate")
    assert {shares(audited(**large))[name] for name in names} == {Fraction(1)}
    repeated = shares(audited(**large, audit={"num_reference_runs": 2, "depth": "full"}))
    assert {repeated[name] for name in ("caption", "adapt", "generate", "adapt.1")} == {Fraction(1, 3)}


def test_whose_step_it_is_and_how_it_shares_a_machine_are_no_part_of_its_fingerprint():
    first = step("first", FrozenConfig())
    second = step("second", FrozenConfig(), source=first)
    assert first.fingerprint == "c0b9fa84463e980b71e0da1324cab74b53628bff051cc22dd5f6a4888b6ec9bc"  # before there were roles
    assert second.fingerprint == "22d2aee1fe3e6552a086bd28772b0cad5811c41c5b3e310651e7e8e134509a06"
    for role in Role:
        other = replace(second, role=role, prefers_alone=True, inputs={"source": replace(first, role=role)})
        assert other.fingerprint == second.fingerprint


CLASSIFIERS = {"teach", "distill", "teach.positive", "distill.positive"}


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("embedded", CLASSIFIERS | {"adapt", "adapt.positive", "adapt.null", "adapt.1", "adapt.2"}),
        ("dp", CLASSIFIERS | {"adapt.positive"}),  # one process clips and counts the gradients of all units
    ],
)
def test_several_processes_train_every_adapter_but_only_classifiers_of_the_target(preset: str, expected: set[str]) -> None:
    """`adapt.base` trains nothing."""
    settings = load_settings(preset=preset, overrides=["audit.depth=full", "audit.num_reference_runs=2"])
    steps = pipeline(settings.run_config(), b"")
    needs = needs_of(steps, ExecutionConfig(device="cpu", gpus=3))
    together = {step.name for step in steps if needs[step.name].together == 3}
    assert {name for name in together if "attacker" not in name and "alone" not in name} == expected
    assert {one.together for one in needs.values()} == {1, 3}
