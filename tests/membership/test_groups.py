"""Records in groups: records that were sampled together count as one observation, everywhere in the audit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from tckr.artifacts.at_risk import AtRisk
from tckr.artifacts.membership import COMPANION
from tckr.membership.collection import collect_canaries
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.family import judge_together
from tckr.membership.scorers import QUANTILES
from tckr.membership.units import of_groups, units_of
from tckr.membership.verdict import judge
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc
from tckr.stages.prepare.membership import membership_rows
from tests.membership.worlds import evidence as made_up

NUM_GROUPS, SIZE = 60, 8
GROUPS = np.repeat(np.arange(NUM_GROUPS), SIZE)
CONFIG = MembershipConfig(depth="full", scorer="lira_offline_fixed_variance")


def patients(seed: int, *, shift: float = 0.0, runs: int = 5, strata: bool = False) -> Evidence:
    """Return groups of records that answer alike in each run, sampled as in `prepare`; members are `shift` higher."""
    random = np.random.default_rng(seed)
    classes = np.arange(NUM_GROUPS) % 3 if strata else np.zeros(NUM_GROUPS, dtype=np.int64)
    nobody = np.zeros(NUM_GROUPS, dtype=np.bool_)
    rows = membership_rows(classes, nobody, audit_holdout=0.5, num_rows=runs, seed=seed)
    members = np.stack(list(rows))[:, GROUPS]
    together = 2 * random.normal(size=(runs, NUM_GROUPS))[:, GROUPS]
    signals = 3 * random.normal(size=len(GROUPS)) + together + random.normal(size=members.shape) + shift * members
    return Evidence(
        class_names=["a", "b", "c"] if strata else [],
        labels=classes[GROUPS],
        members=members,
        surfaces={"model": ["model"]},
        signals={"model": signals},
        groups=GROUPS,
    )


def says_leaks(evidence: Evidence) -> bool:
    found = judge_together(CONFIG, units_of(evidence), {}, None, evidence).tests["model"]
    return min(test.family_p_value for test in found) <= CONFIG.family_level


@pytest.mark.usefixtures("few_redraws")
@pytest.mark.parametrize("strata", [False, True], ids=["one class", "drawn by class"])
def test_redraws_by_record_say_leaks_too_often_where_nothing_leaks_and_those_by_group_hold_the_level(strata: bool) -> None:
    audits = 40
    worlds = [patients(seed, strata=strata) for seed in range(audits)]
    most = binom.ppf(0.999, audits, CONFIG.family_level)
    assert sum(map(says_leaks, worlds)) <= most
    assert sum(says_leaks(replace(world, groups=None)) for world in worlds) > 2 * most


def test_the_interval_of_single_records_covers_guessing_where_groups_answer_alike() -> None:
    covered, alone, audits = 0, 0, 200
    for seed in range(audits):
        world = patients(seed)
        scores, members = world.signals["model"][0] - world.signals["model"][1:].mean(axis=0), world.members[0]
        by_group, by_record = auc(scores, members, 0.95, groups=GROUPS), auc(scores, members, 0.95)
        assert isinstance(by_group, Estimate)
        assert isinstance(by_record, Estimate)
        assert by_group.value == by_record.value
        covered += by_group.covers(0.5)
        alone += by_record.covers(0.5)
    assert binom.ppf(0.001, audits, 0.95) <= covered
    assert alone < 0.8 * audits


def test_a_group_of_equal_records_counts_as_one_record() -> None:
    random = np.random.default_rng(0)
    members = np.arange(80) < 40
    scores = random.normal(size=80) + members
    one, many = auc(scores, members, 0.95), auc(scores[GROUPS_OF_80], members[GROUPS_OF_80], 0.95, groups=GROUPS_OF_80)
    assert isinstance(one, Estimate)
    assert isinstance(many, Estimate)
    assert (many.value, many.low, many.high) == pytest.approx((one.value, one.low, one.high))


GROUPS_OF_80 = np.repeat(np.arange(80), 5)


def test_a_group_has_the_mean_of_its_records_and_the_class_it_was_sampled_with() -> None:
    groups = np.array([7, 3, 7, 3, 9])
    world = Evidence(
        class_names=["a", "b"],
        labels=np.array([0, 0, 1, 0, 0]),  # class b is only in group 7, which was sampled with it
        members=np.array([[True, False, True, False, True]]),
        surfaces={"model": ["model"]},
        signals={"model": np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])},
        groups=groups,
    )
    found = of_groups(world, groups)
    assert found.records is not None
    assert found.records.tolist() == [3, 7, 9]
    assert found.members.tolist() == [[False, True, True]]
    assert found.signals["model"].tolist() == [[3.0, 2.0, 5.0]]
    assert found.labels.tolist() == [0, 1, 0]


def repeated(world: Evidence, times: int) -> Evidence:
    """Return groups of so many records that answer equally."""
    groups = np.repeat(np.arange(len(world.labels)), times)
    return replace(
        world,
        groups=groups,
        labels=world.labels[groups],
        members=world.members[:, groups],
        signals={name: values[:, groups] for name, values in world.signals.items()},
        correct={name: values[:, groups] for name, values in world.correct.items()},
        features=None if world.features is None else world.features[groups],
        controls={
            control: {name: values[groups] for name, values in found.items()} for control, found in world.controls.items()
        },
    )


def test_the_coin_of_a_canary_is_guessed_by_the_mean_of_its_group() -> None:
    signals = np.array([[1.0, 3.0, 7.0, 7.0]])
    kinds = np.array([1, COMPANION, 0, 0], dtype=np.int8)
    answers = {"0": {"teacher": signals[0]}}
    members = np.array([[True, True, False, False]])
    alone = collect_canaries(CONFIG, answers, members, kinds).scores["teacher"]
    grouped = collect_canaries(CONFIG, answers, members, kinds, np.array([0, 0, 1, 2])).scores["teacher"]
    assert (alone[0], grouped[0]) == (1.0, 2.0)
    assert np.isnan(grouped[1:]).all()  # a companion has no coin of its own


@pytest.mark.usefixtures("few_scorers", "few_redraws")
def test_an_audit_states_its_unit_and_shows_groups_beside_single_records() -> None:
    alone = made_up(records=900, depth="teacher")
    world = repeated(alone, 2)
    result = judge(MembershipConfig(depth="teacher"), world)
    declared, teacher = result.declared, result.surfaces["teacher"]
    assert (declared.unit, declared.num_records) == ("group", 1800)
    assert declared.num_members + declared.num_non_members == 900
    assert teacher.of_target is not None
    assert teacher.of_target.n == 900
    assert teacher.of_records is not None
    assert teacher.of_records.auc.n == 1800
    assert teacher.of_records.leave_one_out is not None
    assert {"records above", "records below"} <= {test.name for test in teacher.tests}
    of_one = judge(MembershipConfig(depth="teacher"), alone).surfaces["teacher"]
    assert of_one.of_records is None
    assert of_one.auc == teacher.auc


@pytest.mark.usefixtures("few_scorers", "few_redraws", "few_rounds")
def test_packages_quantiles_and_the_bounds_of_groups_of_equal_records_are_those_of_one_record_each() -> None:
    alone = made_up(1, shift=4.0, records=240)
    images = alone.signals["images"]
    signals = {"student": alone.signals["student"], "soft_labels": alone.signals["soft_labels"], "images": images}
    alone = replace(alone, signals=signals, controls={}, test={}, features=images[0][:, None])
    one, many = (judge(MembershipConfig(), world) for world in (alone, repeated(alone, 3)))
    assert many.declared.unit == "group"
    package, same = (next(each.together for each in result.packages if each.together) for result in (many, one))
    assert (package.surfaces, package.auc, package.test.p_value) == (same.surfaces, same.auc, same.test.p_value)
    student, expected = many.surfaces["student"], one.surfaces["student"]
    assert student.mu_lower_bound is not None
    assert student.mu_lower_bound.mu > 0
    assert student.mu_lower_bound == expected.mu_lower_bound
    assert student.low_fpr
    assert student.low_fpr == expected.low_fpr
    assert QUANTILES in {test.attack for test in many.surfaces["images"].tests}
    assert many.surfaces["images"].auc[QUANTILES] == one.surfaces["images"].auc[QUANTILES]


def test_a_leak_of_single_records_in_groups_is_a_finding() -> None:
    assert says_leaks(patients(0, shift=1.5))


@pytest.mark.usefixtures("few_scorers", "few_redraws")
def test_groups_at_risk_are_named_and_not_their_records() -> None:
    world = patients(0, runs=17)
    exposed = np.isin(GROUPS, [4, 11])
    world = replace(world, signals={"model": world.signals["model"] + 9.0 * world.members * exposed})
    found = judge(CONFIG, world).surfaces["model"].at_risk
    assert isinstance(found, AtRisk)
    assert set(found.records) >= {4, 11}
    assert found.num_records == NUM_GROUPS
