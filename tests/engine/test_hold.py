"""A hold on a folder: alone or together, named in the message, and gone with its process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tckr.engine.folders import Folder, Kind
from tckr.errors import UserError
from tests.engine.processes import start_process


def hold_for_ever(path: Path) -> None:
    with Folder(path, Kind.RUN).held():
        (path / "held").touch()
        time.sleep(60)


def test_the_second_process_learns_which_one_works_there_and_since_when_and_a_killed_one_holds_nothing(tmp_path):
    folder = Folder(tmp_path / "run", Kind.RUN)
    first = start_process(hold_for_ever, folder.path)
    while not (folder.path / "held").exists():
        time.sleep(0.01)
    told = rf"process {first.pid} on .+ \(since 20\d\d-\d\d-\d\dT.*\) uses .*run\..* wait until it is done"
    with pytest.raises(UserError, match=told), folder.held():
        pass
    first.kill()
    first.join()
    with folder.held():
        pass


def test_those_that_join_keep_out_who_wants_it_alone_and_the_other_way_round(tmp_path):
    folder = Folder(tmp_path / "sweep", Kind.SWEEP)
    folder.make()
    with folder.joined(), folder.joined(), pytest.raises(UserError, match=f"process {os.getpid()}"), folder.held():
        pass
    with folder.held(), pytest.raises(UserError, match=f"process {os.getpid()}"), folder.joined():
        pass
