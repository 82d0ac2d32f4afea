"""Steps at work at once have a bar each; a step of the target has a line, what the audit makes has one for each stage."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from tckr.cli.console import ConsoleObserver
from tckr.cli.sweep_console import SweepConsole
from tckr.engine.step import Role
from tckr.progress.pace import Left, Pace
from tests.engine.fakes import step

MANIFEST = {"seconds": 1.5, "peak_memory_mb": 7}


def steps():
    """Return two steps of the target and two of reference runs."""
    others = [replace(step(f"teach.{run}", stage="teach", run=run), role=Role.REFERENCE) for run in (1, 2)]
    return [step("adapt"), step("teach"), *others]


def test_steps_of_several_stages_at_once_read_as_a_line_each_and_one_for_each_stage_of_the_audit():
    file = io.StringIO()
    observer = ConsoleObserver(Console(file=file, width=100, highlight=False))
    adapt, teach, *others = steps()
    observer.planned(steps(), {})
    for one in (adapt, others[0]):
        observer.started(one)
    observer.finished(others[0], MANIFEST, False)
    for one in (others[1], teach):
        observer.started(one)
    for one in (teach, others[1], adapt):
        observer.finished(one, MANIFEST, False)
    words = [line.split()[:4] for line in file.getvalue().splitlines()]
    assert words == [
        ["...", "adapt"],
        ["...", "teach", "x", "2"],
        ["...", "teach"],
        ["ok", "teach", "1.5", "s"],
        ["ok", "teach", "x", "2"],
        ["ok", "adapt", "1.5", "s"],
    ]


def test_only_complete_steps_of_the_target_are_printed():
    file = io.StringIO()
    observer = ConsoleObserver(Console(file=file, width=100))
    observer.planned([], {})
    for one in steps():
        observer.finished(one, MANIFEST, True)
    assert [line.split() for line in file.getvalue().splitlines()] == [
        ["ok", "adapt", "already", "complete"],
        ["ok", "teach", "already", "complete"],
    ]


@pytest.mark.parametrize("make", [ConsoleObserver, lambda console: SweepConsole(console, 1)])
def test_two_steps_at_work_show_two_bars_and_leave_none_behind(make):
    file = io.StringIO()
    observer = make(Console(file=file, width=100, force_terminal=True))
    with observer.track("adapt", 300, "steps"):
        with observer.track("teach", 20, "epochs") as advance:
            advance(5)
            assert drawn(file, ["adapt", "0/300 steps", "teach", "5/20 epochs"])
        assert drawn(file, ["adapt", "0/300 steps"], never="teach")
    assert "adapt" not in file.getvalue().splitlines()[-1]


def drawn(file: io.StringIO, texts: list[str], never: str = "nothing") -> bool:
    """Return whether all `texts` are on the screen together within ten seconds; bars are often refreshed."""
    start, deadline = len(file.getvalue()), time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(0.05)
        frames = file.getvalue()[start:].split("\x1b[2K" + "\x1b[32m")  # each begins where a spinner does
        together = "".join(frames[-3:])
        if all(text in together for text in texts) and never not in frames[-1]:
            return True
    return False


def test_a_sweep_has_one_line_for_each_stage():
    file = io.StringIO()
    observer = SweepConsole(Console(file=file, width=100), 1)
    observer.planned(steps(), {})
    for one in steps():
        observer.started(one)
        observer.finished(one, MANIFEST, False)
    assert [line.split()[:4] for line in file.getvalue().splitlines()] == [
        ["...", "adapt"],
        ["ok", "adapt", "0.0", "s"],
        ["...", "teach", "x", "3"],
        ["ok", "teach", "x", "3"],
    ]


def test_without_a_terminal_a_line_a_minute_says_how_far_the_run_is(monkeypatch):
    monkeypatch.setattr("tckr.cli.whole.SECONDS_BETWEEN", 0.05)
    file = io.StringIO()
    with ConsoleObserver(Console(file=file, width=100)) as observer:
        adapt, teach, *others = steps()
        observer.planned(steps(), {})
        for one in (adapt, teach):
            observer.started(one)
        observer.finished(teach, MANIFEST, False)
        with observer.track("adapt", 300, "steps") as advance:
            advance(20)
            assert told(file, "1 of 4 steps, ")
            assert told(file, "; now adapt 20/300 steps")
        for one in (adapt, *others):
            observer.finished(one, MANIFEST, False)
    length = len(file.getvalue())
    time.sleep(0.2)
    assert len(file.getvalue()) == length


def told(file: io.StringIO, text: str) -> bool:
    """Return whether `text` is printed within ten seconds."""
    deadline = time.monotonic() + 10
    while text not in file.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    return text in file.getvalue()


@pytest.mark.parametrize("make", [ConsoleObserver, lambda console: SweepConsole(console, 1)])
def test_on_a_terminal_the_entire_run_has_a_bar_that_disappears_at_the_end_even_of_a_failed_run(make):
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=True)
    with contextlib.suppress(ValueError), make(console) as observer:
        observer.planned(steps(), {})
        assert drawn(file, ["all", "0/4 steps", "time left not known yet"])
        raise ValueError("the run fails")
    assert "all" not in file.getvalue().splitlines()[-1]
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h")  # the cursor is back


def test_what_is_left_follows_from_the_steps_that_are_finished():
    adapt, teach, first, second = steps()
    pace = Pace(steps(), {"teach.1": 0.5, "teach.2": 0.5})
    assert str(pace.left({})) == "time left not known yet"
    pace.finished(teach, 60.0)
    assert pace.left({}) == Left(120.0, 1)  # both Teachers like the target's; no adapter is finished
    pace.finished(first, 100.0)
    assert pace.left({}) == Left(50.0, 1)  # half of the machine for 100 s, as that of the other run
    assert str(pace.left({})) == "at least 50 s left"
    assert pace.left({"adapt": 7.0}) == Left(57.0, 0)
    assert str(pace.left({"adapt": 7.0})) == "about 57 s left"
    pace.finished(second, 1.0)
    pace.finished(adapt, 1.0)
    assert (pace.done, pace.total, str(pace.left({}))) == (4, 4, "nearly done")


def test_what_else_is_said_of_a_step_stands_below_its_line():
    file = io.StringIO()
    observer = ConsoleObserver(Console(file=file, width=100), notes=lambda step, reused: [f"[lies] at {step.name}"])
    observer.planned(steps()[:1], {})
    observer.started(steps()[0])
    observer.finished(steps()[0], MANIFEST, False)
    assert file.getvalue().splitlines()[-1] == "      [lies] at adapt"
