"""Steps whose inputs are complete run side by side; no order, failure or death of a worker changes a result."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from tckr.engine.execution import ExecutionConfig
from tckr.engine.observer import Silent
from tckr.engine.runner import Runner
from tckr.engine.step import Role, Step
from tckr.engine.store import Store
from tckr.errors import UserError
from tests.engine.fakes import FakeConfig, step


def runner(folder: Path, workers: int = 2, **changes) -> Runner:
    execution = ExecutionConfig(output=folder, device="cpu", workers=workers)
    return Runner(store=Store(folder / "store"), execution=execution, log_file=folder / "log.jsonl", **changes)


def two_chains(left: FakeConfig | None = None, right: FakeConfig | None = None) -> list[Step]:
    """Return two chains of two stages, in the order of the chains: as long as both have peers, they run side by side."""
    steps = []
    for name, config in (("left", left), ("right", right)):
        first = step(f"early.{name}", stage="early", seed=len(steps))
        steps += [first, step(f"late.{name}", config, stage="late", seed=len(steps), source=first)]
    return steps


def events(folder: Path) -> dict[str, dict[str, int]]:
    """Return for each step the lines of the log in which it started and in which it was complete."""
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate((folder / "log.jsonl").read_text().splitlines()):
        entry = json.loads(line)
        found.setdefault(entry["step"], {})[entry["event"]] = number
    return found


def test_chains_run_side_by_side_with_no_barrier_between_their_stages(tmp_path):
    """The second step of one chain and the first of the other must be at work at the same moment, or both fail."""
    meeting = FakeConfig(mode="meet", journal=str(tmp_path / "journal.txt"))
    first, second, other, last = two_chains(left=meeting)
    other = replace(other, config=meeting)
    steps = [first, second, other, replace(last, inputs={"source": other})]
    runner(tmp_path).run(steps)
    assert all(Store(tmp_path / "store").has(one) for one in steps)


def random_layers() -> list[Step]:
    """Return four steps in each of three stages, each with some of the earlier ones as inputs."""
    generator, steps = random.Random(0), []
    for layer in range(3):
        earlier = list(steps)
        for number in range(4):
            sources = generator.sample(earlier, min(len(earlier), 3))
            inputs = {source.name: source for source in sources}
            steps.append(step(f"{layer}.{number}", FakeConfig(value=number), stage=f"layer{layer}", seed=number, **inputs))
    return steps


def contents(steps: Sequence[Step], folder: Path) -> dict[str, tuple[str, int]]:
    """Return for each step what it wrote and with how many threads."""
    store = Store(folder / "store")
    texts = {one.name: (store.folder(one) / "sum.txt").read_text() for one in steps}
    return {one.name: (texts[one.name], store.manifest(one)["computed_on"]["threads"]) for one in steps}


def test_no_step_begins_before_its_inputs_are_complete_in_whatever_order_steps_are_listed(tmp_path):
    steps = random_layers()
    shuffled = random.Random(1).sample(steps, len(steps))
    runner(tmp_path / "listed").run(steps)
    runner(tmp_path / "shuffled").run(shuffled)
    for folder in (tmp_path / "listed", tmp_path / "shuffled"):
        found = events(folder)
        for one in steps:
            assert all(found[source.name]["complete"] < found[one.name]["started"] for source in one.inputs.values())
    assert contents(steps, tmp_path / "listed") == contents(steps, tmp_path / "shuffled")


def test_a_step_has_the_same_threads_whatever_is_complete_already(tmp_path):
    steps = two_chains()
    runner(tmp_path).run(steps)
    before = contents(steps, tmp_path)
    shutil.rmtree(Store(tmp_path / "store").folder(steps[-1]))
    runner(tmp_path).run(steps)  # the last step alone
    assert contents(steps, tmp_path) == before
    assert {threads for _, threads in before.values()} == {ExecutionConfig().threads_for(2)}


def test_a_step_that_has_the_machine_for_itself_has_nothing_beside_it(tmp_path):
    source = step("source")
    leaves = [step(f"leaf.{seed}", stage="leaf", seed=seed, source=source) for seed in range(4)]
    alone = [step("one", source=source), step("two", source=source)]
    runner(tmp_path).run([source, *leaves[:2], *alone, *leaves[2:]])
    found = events(tmp_path)
    for lonely, other in [*combinations(alone, 2), *((lonely, leaf) for lonely in alone for leaf in leaves)]:
        apart = found[lonely.name]["complete"] < found[other.name]["started"]
        assert apart or found[other.name]["complete"] < found[lonely.name]["started"]


def test_a_failure_stops_what_depends_on_it_and_with_keep_going_nothing_else(tmp_path):
    steps = two_chains(left=FakeConfig(mode="refuse"))
    steps.append(step("end", source=steps[1]))
    failed = runner(tmp_path, keep_going=True).run(steps)
    assert failed == {"late.left": "planted refusal", "end": "planted refusal"}
    assert [Store(tmp_path / "store").has(one) for one in steps] == [True, False, True, True, False]


def test_a_step_that_refuses_a_complete_artifact_is_named_before_the_steps_between_are_computed(tmp_path):
    first = step("first")
    between = step("between", source=first)
    last = replace(step("last", source=between), checks={first.fingerprint: _refuse_one})
    steps = [first, between, last, step("end", source=last), step("beside", source=first)]
    with pytest.raises(UserError, match="refused: 1"):
        runner(tmp_path).run(steps)
    store = Store(tmp_path / "store")
    assert [store.has(one) for one in steps] == [True, False, False, False, False]
    assert runner(tmp_path, keep_going=True).run(steps) == {"last": "refused: 1", "end": "refused: 1"}
    assert [store.has(one) for one in steps] == [True, True, False, False, True]


def _refuse_one(folder):
    raise UserError(f"refused: {(folder / 'sum.txt').read_text()}")


def test_without_keep_going_a_failure_ends_the_run_and_the_steps_beside_it_are_completed(tmp_path):
    meeting = FakeConfig(mode="meet", journal=str(tmp_path / "journal.txt"))
    beside = step("leaf.1", meeting, stage="leaf", seed=1)
    refused = step("late", FakeConfig(mode="refuse"), stage="late", source=step("leaf.2", meeting, stage="leaf", seed=2))
    later = step("never", source=refused)
    with pytest.raises(UserError, match="planted refusal"):
        runner(tmp_path).run([beside, refused.inputs["source"], refused, later])
    assert [Store(tmp_path / "store").has(one) for one in (beside, refused.inputs["source"], later)] == [True, True, False]


def test_a_worker_that_dies_ends_the_run_with_a_message_and_the_next_one_goes_on(tmp_path):
    steps = two_chains(left=FakeConfig(mode="exit"))
    with pytest.raises(UserError, match="a worker process died"):
        runner(tmp_path).run(steps)
    store = Store(tmp_path / "store")
    assert store.has(steps[0])
    assert not store.has(steps[1])
    runner(tmp_path).run(steps)
    assert [(store.folder(one) / "sum.txt").read_text() for one in steps] == ["1", "2", "1", "2"]


class Recorder(Silent):
    """Record all messages."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.advanced: dict[str, int] = {}

    def planned(self, steps, shares) -> None:
        self.told.append(f"planned {len(steps)}")

    def started(self, step) -> None:
        self.told.append(f"started {step.name}")

    def finished(self, step, manifest, reused) -> None:
        self.told.append(f"{'reused' if reused else 'finished'} {step.name}")

    @contextmanager
    def track(self, step_name, total, unit, done=0):
        self.told.append(f"opened {step_name}: {total} {unit}")
        yield lambda amount: self.advanced.update({step_name: self.advanced.get(step_name, 0) + amount})
        self.told.append(f"closed {step_name}")

    def warned(self, message) -> None:
        self.told.append(message)

    def described(self, message) -> None:
        self.told.append(message)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_steps_tell_reaches_the_observer_before_they_are_finished_wherever_they_run(tmp_path, workers):
    leaves = [step(f"leaf.{seed}", FakeConfig(mode="tell"), stage="leaf", seed=seed) for seed in range(2)]
    recorder = Recorder()
    runner(tmp_path, workers, observer=recorder).run(leaves)
    for leaf in leaves:
        expected = ["started NAME", "opened NAME: 1000 looks", "closed NAME", "NAME: planted warning", "finished NAME"]
        assert [line for line in recorder.told if leaf.name in line] == [
            line.replace("NAME", leaf.name) for line in expected
        ]
    assert {"planted layout of seed 0", "planted layout of seed 1"} <= set(recorder.told)
    assert recorder.told[0] == "planned 2"
    assert recorder.advanced == {leaf.name: 1000 for leaf in leaves}
    again = Recorder()
    runner(tmp_path, workers, observer=again).run(leaves)
    assert sorted(again.told) == ["planned 0", "reused leaf.0", "reused leaf.1"]


@pytest.mark.parametrize("target_first", [True, False])
def test_the_target_alone_on_the_machine_may_come_before_all_that_the_audit_needs(tmp_path, target_first):
    teach = step("teach", stage="teach")
    adapt = step("adapt", stage="adapt", source=teach)
    others = [replace(step(f"teach.{seed}", stage="teach", seed=seed), role=Role.CONTROL) for seed in (1, 2, 3)]
    last = step("judge", stage="judge", source=others[0])  # waits for what is not the target's: no reason to wait for it
    runner(tmp_path, target_first=target_first).run([teach, adapt, *others, last])
    found = events(tmp_path)
    assert all("complete" in found[one.name] for one in (teach, adapt, *others, last))
    before = min(found[other.name]["started"] for other in others) < found["adapt"]["complete"]
    assert before is not target_first
