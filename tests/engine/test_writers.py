"""Several writers of one artifact, on file systems with and without locks: one complete artifact, and no work is lost."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tckr.engine import drafts, liveness
from tckr.engine.liveness import marks_at, present
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.process import worker_context
from tests.engine import two_writers
from tests.engine.fakes import FakeConfig, step
from tests.engine.processes import start_process
from tests.engine.test_runner import journal, runner


@pytest.mark.parametrize("locks", ["refuse", "lie"])
@pytest.mark.parametrize("blind", [False, True], ids=["seeing", "blind"])
def test_two_runs_of_one_step_at_once_leave_one_complete_artifact(tmp_path, locks, blind):
    slow = FakeConfig(journal=str(tmp_path / "journal.txt"), mode="meet" if blind else "write")  # both are at work at once
    source = replace(step("source", slow), function="tests.engine.fakes:hide" if not blind else "tests.engine.fakes:run")
    source = source if blind else replace(source, seals=("hidden",))
    context = worker_context()
    meet, outcomes = context.Barrier(2), context.Queue()
    both = [start_process(two_writers.make, tmp_path, [source], (locks, blind), meet, outcomes) for _ in range(2)]
    assert [outcomes.get(timeout=300) for _ in both] == ["", ""]
    for process in both:
        process.join()
    store = Store(tmp_path / "store")
    assert store.damage(source) == ""
    assert (store.folder(source) / "sum.txt").read_text() == "1"
    assert sorted(path.name for path in store.folder(source).parent.iterdir()) == [store.folder(source).name]
    assert journal(tmp_path) == (4 if blind else 1)  # blind, both computed it; seeing one another, one did


def fill(store: Store, one, text: str):
    """Begin to fill an artifact, and stop before the commit; return what goes on."""
    manager = store.filling(one, {})
    draft = manager.__enter__()
    (draft.out / "sum.txt").write_text(text)
    return manager, draft


def test_a_draft_that_is_begun_while_the_marks_are_read_is_not_left_behind(tmp_path, monkeypatch):
    final, read = tmp_path / "one", drafts._writers
    with ExitStack() as stack:

        def read_and_begin(final):
            found = read(final)
            (drafts.work_folder(final) / two_writers._begin_blindly(stack, final).id).mkdir()
            return found

        drafts.make_private(drafts.work_folder(final))
        monkeypatch.setattr(drafts, "_writers", read_and_begin)
        assert drafts._left_behind(final) == []


def test_what_another_writer_completes_between_two_looks_is_not_made_again(tmp_path, monkeypatch):
    store, one, begin = Store(tmp_path / "store"), step("one"), drafts._begin

    def begin_late(stack, final):
        monkeypatch.setattr(drafts, "_begin", begin)
        with store.filling(one, {}) as draft:
            (draft.out / "sum.txt").write_text("first")
        return begin(stack, final)

    monkeypatch.setattr(drafts, "_begin", begin_late)
    with store.filling(one, {}) as draft:
        assert draft is None
    assert [path.name for path in store.folder(one).parent.iterdir()] == [store.folder(one).name]


def ignore_marks(monkeypatch) -> None:
    monkeypatch.setattr(drafts, "_begin", two_writers._begin_blindly)


def test_the_first_to_commit_wins_and_the_other_adopts_what_it_finds(tmp_path, monkeypatch):
    ignore_marks(monkeypatch)
    store, one = Store(tmp_path / "store"), step("one")
    (first, _), (second, _) = fill(store, one, "first"), fill(store, one, "second")
    second.__exit__(None, None, None)
    first.__exit__(None, None, None)
    assert (store.folder(one) / "sum.txt").read_text() == "second"
    assert store.damage(one) == ""
    assert [path.name for path in store.folder(one).parent.iterdir()] == [store.folder(one).name]


def test_writers_that_sealed_different_bytes_leave_what_the_winner_sealed(tmp_path, monkeypatch):
    ignore_marks(monkeypatch)
    store, one = Store(tmp_path / "store"), replace(step("one"), seals=("hidden",))
    both = [fill(store, one, text) for text in ("first", "second")]
    for (_, draft), text in zip(both, ("first", "second"), strict=True):
        (draft.out / "hidden").mkdir()
        (draft.out / "hidden" / "secret.txt").write_text(text)
    for manager, _ in both:
        manager.__exit__(None, None, None)
    with store.opened(replace(step("look", source=one), opens=("source",))) as folders:
        assert (folders["source"] / "hidden" / "secret.txt").read_text() == "first"
    assert len(list((tmp_path / "store" / "sealed").rglob("secret.txt"))) == 1


def test_a_writer_that_was_taken_for_dead_loses_its_draft_and_adopts_what_the_other_made_of_it(tmp_path, monkeypatch):
    store, one = Store(tmp_path / "store"), step("one")
    paused, draft = fill(store, one, "of both")
    draft.mark.path.unlink()  # as who takes it for dead does
    other, taken = fill(store, one, "of both")
    assert not draft.folder.exists()
    (draft.out / "late").parent.mkdir(parents=True)  # it wakes up, and writes where its draft was
    (draft.out / "late").touch()
    other.__exit__(None, None, None)
    paused.__exit__(None, None, None)
    assert not (store.folder(one) / "late").exists()
    assert store.damage(one) == ""
    assert not list((tmp_path / "store").rglob("*.work"))
    assert taken.mark != draft.mark


def test_a_writer_whose_draft_was_taken_and_given_up_again_says_what_to_do(tmp_path):
    store, one = Store(tmp_path / "store"), step("one")
    paused, draft = fill(store, one, "1")
    shutil.rmtree(draft.folder.parent)
    with pytest.raises(UserError, match=r"was taken over by another process.*Run the same command again"):
        paused.__exit__(None, None, None)


def test_the_fullest_draft_of_dead_writers_is_taken_over_and_all_are_gone_in_the_end(tmp_path):
    steps = [step("one", FakeConfig(journal=str(tmp_path / "journal.txt")))]
    store = Store(tmp_path / "store")
    store.make()
    work = drafts.work_folder(store.folder(steps[0]))
    for number, files in enumerate(([], ["part0.txt"], [])):
        (work / str(number) / "out").mkdir(parents=True)
        for name in files:
            (work / str(number) / "out" / name).write_text("1")
    runner(tmp_path).run(steps)
    assert journal(tmp_path) == 1  # one of two shards
    assert not work.exists()


def test_a_mark_of_another_machine_lives_while_it_is_touched(tmp_path, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(liveness, "_system", lambda: "another machine")
        elsewhere.setattr(liveness, "BEAT_SECONDS", 0.01)
        with present(tmp_path / "place", "writer") as mark:
            long_ago = time.time() - 2 * liveness.LEASE_SECONDS
            os.utime(mark.path, (long_ago, long_ago))
            deadline = time.monotonic() + 30
            while mark.path.stat().st_mtime < long_ago + 1:  # until the next touch
                assert time.monotonic() < deadline
                time.sleep(0.01)
            elsewhere.undo()
            assert marks_at(tmp_path / "place", "writer") == [mark]
            assert "on " in mark.holder()


def test_a_mark_of_another_machine_that_nobody_touches_is_dead_after_its_lease(tmp_path, monkeypatch):
    monkeypatch.setattr(liveness, "BEAT_SECONDS", 600.0)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(liveness, "_system", lambda: "another machine")
        with present(tmp_path / "place", "writer") as mark:
            elsewhere.undo()
            monkeypatch.setattr(liveness, "BEAT_SECONDS", 600.0)
            assert marks_at(tmp_path / "place", "writer") == [mark]
            long_ago = time.time() - liveness.LEASE_SECONDS - 1
            os.utime(mark.path, (long_ago, long_ago))
            assert marks_at(tmp_path / "place", "writer") == []
            assert not mark.is_there()
