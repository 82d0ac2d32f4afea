"""What a step sealed lies outside its artifact and is closed, except to steps that declare it; changed, it stops them."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tckr.engine import runner as runner_module
from tckr.engine import seal, store
from tckr.engine.step import Step, StepContext
from tckr.engine.store import Store
from tckr.errors import UserError
from tests.engine.fakes import FakeConfig, step
from tests.engine.test_runner import journal, kill_in, runner


def chain(folder: Path, mode: str = "write", value: int = 1) -> tuple[Step, Step, Step]:
    """Return a step that seals a folder, one that has it as input, and one that opens it."""
    source = step("source", FakeConfig(journal=str(folder / "journal.txt")))
    source = replace(source, function="tests.engine.fakes:hide", seals=("hidden",))
    looking = step("look", FakeConfig(mode=mode, value=value), source=source)
    return source, step("blind", source=source), replace(looking, function="tests.engine.fakes:look", opens=("source",))


def secrets(folder: Path) -> list[Path]:
    """Return what is sealed, whether or not its artifact is complete."""
    return list((folder / "store" / "sealed" / "source").rglob("secret.txt"))


def secret(folder: Path) -> Path:
    (path,) = secrets(folder)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_sealed_is_in_no_artifact_and_unreadable_before_and_after_the_step_that_opens_it(tmp_path, monkeypatch):
    seen: dict[str, tuple[StepContext, int]] = {}
    original = runner_module.load_function

    def spying(path: str):
        def call(config: FakeConfig, context: StepContext) -> None:
            seen[path.split(":")[1]] = context, (mode(secret(tmp_path)) if secrets(tmp_path) else -1)
            original(path)(config, context)

        return call

    monkeypatch.setattr(runner_module, "load_function", spying)
    steps = chain(tmp_path)
    runner(tmp_path).run(steps)
    assert {name: bits for name, (_, bits) in seen.items()} == {"hide": -1, "run": 0, "look": 0o400}
    assert [set(context.opened) for context, _ in seen.values()] == [set(), set(), {"source"}]
    artifacts = [Store(tmp_path / "store").folder(one) for one in steps]
    assert not any(path.name == "hidden" for folder in artifacts for path in folder.rglob("*"))
    assert (artifacts[2] / "seen.txt").read_text() == "secret"
    assert mode(secret(tmp_path)) == 0
    assert mode(secret(tmp_path).parent) & 0o700 == 0o700  # its owner may delete a store


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_the_operating_system_refuses_to_read_what_is_sealed(tmp_path):
    runner(tmp_path).run(chain(tmp_path)[:1])
    with pytest.raises(PermissionError):
        secret(tmp_path).read_text()


def test_the_manifest_says_what_was_sealed_with_its_digest_and_every_opening_is_noted(tmp_path):
    for value in (1, 2):
        runner(tmp_path).run(chain(tmp_path, value=value))
    found = Store(tmp_path / "store")
    source = chain(tmp_path)[0]
    assert found.manifest(source)["files"] == {"hidden/secret.txt": 6, "sum.txt": 1}
    secret(tmp_path).chmod(0o400)
    assert found.manifest(source)["sealed"] == {"hidden": seal.folder_digest(secret(tmp_path).parent)}
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(event["step"], event["times"]) for event in events if event["event"] == "opened hidden"] == [
        ("look", 1),
        ("look", 2),
    ]
    assert found.num_openings(source) == 2
    (openings,) = (tmp_path / "store" / "sealed").rglob("*.openings.jsonl")
    with openings.open("ab") as file:
        file.write(b"\xff damaged\n")
    assert found.num_openings(source) == 3


@pytest.mark.parametrize("damage", ["changed", "renamed", "removed", "more"])
def test_a_seal_that_was_tampered_with_breaks_and_is_made_anew_on_demand(tmp_path, damage):
    source, _, looking = chain(tmp_path)
    runner(tmp_path).run([source])
    path = secret(tmp_path)
    path.chmod(0o600)
    if damage == "changed":
        path.write_text("Secret")
    elif damage == "renamed":
        path.rename(path.with_name("other.txt"))
    elif damage == "more":
        (path.parent / "more.txt").touch()
    else:
        shutil.rmtree(path.parent)
    artifact = Store(tmp_path / "store").folder(source)
    with pytest.raises(UserError, match=rf"was sealed with [0-9a-f]{{12}}, .* Delete {artifact} and"):
        runner(tmp_path).run([source, looking])
    shutil.rmtree(artifact)
    runner(tmp_path).run([source, looking])
    assert (Store(tmp_path / "store").folder(looking) / "seen.txt").read_text() == "secret"
    assert mode(path) == 0


class KilledError(Exception):
    """Stand in for SIGKILL."""


@pytest.mark.parametrize("at", ["before closing", "before the manifest", "before the commit"])
def test_killed_while_sealing_the_next_attempt_completes(tmp_path, monkeypatch, at):
    def die(*_: object) -> None:
        raise KilledError

    source, _, looking = chain(tmp_path)
    with monkeypatch.context() as patch:
        if at == "before closing":
            patch.setattr(seal, "_set_mode", die)
        elif at == "before the manifest":
            patch.setattr(store, "_write_manifest", die)
        else:
            original = Path.rename
            patch.setattr(Path, "rename", lambda path, to: original(path, to) if path.name != "out" else die())
        with pytest.raises(KilledError):
            runner(tmp_path).run([source])
    assert secrets(tmp_path)
    assert not Store(tmp_path / "store").has(source)
    runner(tmp_path).run([source, looking])
    assert journal(tmp_path) == 2  # written anew: what lay in the sealed place was not trusted
    assert mode(secret(tmp_path)) == 0
    assert (Store(tmp_path / "store").folder(looking) / "seen.txt").read_text() == "secret"


def test_a_run_killed_while_it_looked_is_closed_before_anything_else_runs(tmp_path):
    steps = chain(tmp_path, mode="die")
    kill_in(steps[2], tmp_path, steps)
    assert mode(secret(tmp_path)) == 0o400
    runner(tmp_path).run(steps[:2])
    assert mode(secret(tmp_path)) == 0


def test_of_two_that_have_it_open_the_last_one_closes_it(tmp_path):
    source, _, looking = chain(tmp_path)
    runner(tmp_path).run([source])
    found = Store(tmp_path / "store")
    with found.opened(looking):
        with found.opened(looking):
            assert mode(secret(tmp_path)) == 0o400
        found.drop_remains(source)  # another run begins meanwhile
        assert mode(secret(tmp_path)) == 0o400
    assert mode(secret(tmp_path)) == 0


def test_only_inputs_with_something_sealed_can_be_opened(tmp_path):
    with pytest.raises(AssertionError):
        replace(step("look", source=step("source")), opens=("source",))


def test_sealing_and_opening_leave_the_fingerprint_alone(tmp_path):
    source, _, looking = chain(tmp_path)
    assert replace(source, seals=()).fingerprint == source.fingerprint
    assert replace(looking, opens=()).fingerprint == looking.fingerprint
