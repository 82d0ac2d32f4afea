"""Tables of records in groups: read, judged by group, and refused where a run was trained on a part of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tckr.errors import UserError
from tckr.membership.config import MembershipConfig
from tckr.membership.scores import write_scores
from tckr.tables.audit import judge_table, read_table
from tests.membership.test_groups import GROUPS, NUM_GROUPS, patients

CONFIG = MembershipConfig(scorer="lira_offline_fixed_variance")


def arrays(tmp_path: Path, groups: np.ndarray, **changes: np.ndarray) -> Path:
    world = patients(0)
    np.savez(
        tmp_path / "mine.npz", **{"signals": world.signals["model"], "members": world.members, "groups": groups} | changes
    )
    return tmp_path / "mine.npz"


@pytest.mark.parametrize("groups", [GROUPS, np.array([f"patient {number}" for number in GROUPS])], ids=["numbers", "text"])
def test_a_table_with_groups_is_judged_by_group(tmp_path: Path, groups: np.ndarray) -> None:
    evidence, depth = read_table(arrays(tmp_path, groups))
    found = judge_table(CONFIG, evidence, depth)
    assert (found.declared.unit, found.declared.num_records) == ("group", len(GROUPS))
    assert found.declared.num_members + found.declared.num_non_members == NUM_GROUPS
    assert found.surfaces["model"].of_records is not None


def test_scores_that_were_written_are_read_with_their_groups(tmp_path: Path) -> None:
    evidence, depth = read_table(arrays(tmp_path, np.array([f"patient {number:02}" for number in GROUPS])))
    write_scores(tmp_path / "scores.parquet", CONFIG, evidence, depth=depth)
    again, depth = read_table(tmp_path / "scores.parquet")
    first, second = (judge_table(CONFIG, each, depth) for each in (evidence, again))
    assert first.surfaces["model"].auc == second.surfaces["model"].auc
    assert again.groups is not None
    assert again.groups.tolist() == evidence.groups.tolist()  # type: ignore[union-attr]


def test_records_without_groups_are_written_and_read_as_before(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", CONFIG, replace(patients(0), groups=None))
    assert read_table(tmp_path / "scores.parquet")[0].groups is None


def test_a_run_that_was_trained_on_a_part_of_a_group_is_refused(tmp_path: Path) -> None:
    members = patients(0).members.copy()
    members[1, 8] = ~members[1, 8]
    with pytest.raises(UserError, match="run 1 was trained on some records of group 1 and not on others"):
        read_table(arrays(tmp_path, GROUPS, members=members))
