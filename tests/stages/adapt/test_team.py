"""Every image of a step is one process's; a team that cannot be is explained."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import torch

from tckr.errors import UserError
from tckr.stages.adapt.team import Team, assembled, team_size


@pytest.mark.parametrize(("size", "count"), [(1, 5), (2, 5), (4, 4), (3, 32)])
def test_shares_make_up_the_step(size: int, count: int) -> None:
    shares = [list(range(count))[Team(rank, size).share(count)] for rank in range(size)]
    assert list(chain(*shares)) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_no_process_is_without_an_image() -> None:
    assert team_size(8, 4, "cpu") == 4


def test_missing_gpus_are_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert team_size(2, 32, "cuda") == 2
    with pytest.raises(UserError, match=r"execution\.gpus to at most 2"):
        team_size(3, 32, "cuda")
    with pytest.raises(UserError, match=r"execution\.device=auto"):
        team_size(2, 32, "cuda:1")


def test_a_dead_process_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one of 2 processes"):
        train_with_another(tmp_path / "team")


def train_with_another(meeting: Path) -> None:
    with assembled(2, die, meeting, "cpu") as team:
        team.add_up(torch.zeros(()), torch.ones(3))


def die(team: Team) -> None:
    """End as a process without memory does."""
    raise SystemExit(9)
