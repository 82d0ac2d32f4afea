"""Pipelines that leak nothing, through the verdict code: `leaks` is said at the declared level, all surfaces together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.null_audits import KINDS, audit, audits, read_results, without_numbers
from scipy.stats import binom

from tckr.artifacts.audit import AuditResult
from tckr.membership import controls, planted
from tckr.membership.analyses import aucs_of_runs
from tckr.membership.canaries import canaries_of
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.family import judge_together
from tckr.membership.scorers import SCORERS
from tckr.membership.verdict import judge
from tests.membership.worlds import evidence, only, world

pytestmark = pytest.mark.usefixtures("few_scorers")


def leaking(result: AuditResult) -> list[str]:
    assert result.valid
    surfaces = [name for name, surface in result.surfaces.items() if surface.state == "leaks"]
    return surfaces + [package.name for package in result.packages if package.reasons]


@pytest.mark.usefixtures("few_redraws")
def test_null_audits_say_leaks_at_most_at_the_declared_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six surfaces with canaries at a level of one half, so that few audits tell; 1,000 are in benchmarks/null_audits.py."""
    monkeypatch.setattr(planted, "BAR", 0.0)  # 100 records do not always pass; nothing may hide behind that
    for level in ("FAMILY_ERROR", "PARITY_ERROR"):
        monkeypatch.setattr(controls, level, 1e-9)
    said, audits = 0, 16
    for seed in range(audits):
        coins = np.random.default_rng(seed).random(60) < 0.5
        canaries = canaries_of({"student": np.arange(60.0)}, coins, np.tile(np.array([1, 2], dtype=np.int8), 30))
        world = evidence(seed, shift=0.0, records=100, depth="full", num_references=4)
        with without_numbers():  # which `leaks` does not read
            said += bool(leaking(judge(MembershipConfig(depth="full", family_level=0.5), world, canaries=canaries)))
    assert 0 < said <= binom.ppf(0.999, audits, 0.5)


def test_members_that_answer_lower_are_a_finding_and_not_privacy() -> None:
    world = only(evidence(records=1200, depth="full"), "student")
    turned = replace(world, signals={**world.signals, "student": world.signals["student"] - 2.0 * world.members})
    with without_numbers():
        result = judge(MembershipConfig(depth="full", scorer="lira_offline_fixed_variance"), turned)
    assert result.surfaces["student"].state == "leaks"
    below = [reason for reason in result.surfaces["student"].reasons if reason.kind == "auc_below"]
    assert [test.p_value for test in result.surfaces["student"].tests if test.name == "below"] == [
        0.0001
    ]  # the smallest there is
    assert [reason.p_value <= 0.001 for reason in below] == [True]  # type: ignore[operator]


@pytest.mark.usefixtures("few_redraws")
def test_every_surface_shows_its_own_p_value_and_what_would_have_been_found() -> None:
    with without_numbers():
        found = judge(MembershipConfig(depth="full"), evidence(1, shift=0.0, records=1200, depth="full")).surfaces
    for surface in found.values():
        assert {test.name for test in surface.tests} == {"above", "below", "tail", "runs"}
        assert all(test.p_value <= test.family_p_value for test in surface.tests)
        assert surface.detectable_auc is not None
        assert 0.5 < surface.detectable_auc < 0.56  # of nine runs of 1,200 records
        assert surface.strongest is not None
        assert surface.strongest.family_p_value is not None


def alone(signals: np.ndarray, members: np.ndarray) -> Evidence:
    labels = np.zeros(members.shape[1], dtype=np.int64)
    return Evidence(
        class_names=[], labels=labels, members=members, surfaces={"model": ["model"]}, signals={"model": signals}
    )


@pytest.mark.usefixtures("few_redraws")
def test_what_would_be_found_in_80_of_100_audits_is_found_so_often() -> None:
    """The closed form behind the power statement, on audits whose runs all leak that much."""
    config = MembershipConfig(depth="full", scorer="lira_offline_fixed_variance")
    scorer, sizes = SCORERS[config.scorer], {"rows": 9, "records": 300}
    stated = judge_together(config, alone(*world(0, shift=0.0, **sizes)), {}, None).detectable_auc["model"]
    assert 0.51 < stated < 0.56
    shifts = [0.0, 0.1, 0.2, 0.3]
    reached = [np.mean([aucs_of_runs(scorer, *world(seed, shift=shift, **sizes)) for seed in range(20)]) for shift in shifts]
    shift, found, audits = float(np.interp(stated, reached, shifts)), 0, 40
    for seed in range(audits):
        tests = judge_together(config, alone(*world(seed, shift=shift, **sizes)), {}, None).tests["model"]
        found += min(test.family_p_value for test in tests) <= config.family_level
    assert binom.ppf(0.001, audits, 0.8) <= found <= binom.ppf(0.999, audits, 0.8)


def test_the_benchmark_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    file, settings = tmp_path / "audits.jsonl", {"shift": 0.0}
    assert read_results(file, settings) == []
    made = list(audits([50], KINDS, "global_threshold", 0.0, file))
    with file.open("a", encoding="utf-8") as broken:
        broken.write('{"number": 51, "leaks": [')
    assert read_results(file, settings) == made
    assert file.read_text(encoding="utf-8").endswith("\n")  # the next audit begins a line of its own
    with pytest.raises(SystemExit, match="name another file"):
        read_results(file, {"shift": 0.5})


def test_the_numbers_that_the_benchmark_leaves_out_do_not_change_what_is_said() -> None:
    """Of an audit that leaks; the benchmark holds it of one audit of every kind and stops where it does not hold."""
    assert "teacher" in audit(0, KINDS[0], "bavaria_online", 1.0)["leaks"]
