"""The gate: nothing passes that leaks, was not measured, or rests on an audit that does not count."""

from __future__ import annotations

import pytest

from tckr.artifacts.audit import AuditResult, Declared, FindingReason, Package, SurfaceResult, Verdict, VerdictReason
from tckr.artifacts.guarantee import Guarantee, Refutation
from tckr.membership.packages import packages
from tckr.metrics.estimate import Estimate
from tckr.metrics.results import OneRunBound
from tckr.releasing.gate import clean_parts, judge_release
from tckr.releasing.request import PARTS, Request, read_request
from tests.stages.report.sample_bounds import TOGETHER

CLEAN = "no measurable leakage"
ALL = {"captions": "leaks", "adapter": CLEAN, "images": CLEAN, "soft_labels": CLEAN, "teacher": "leaks", "student": CLEAN}
AUC = Estimate(0.512, 0.481, 0.543, 400, "stated by the test")


def surface(state: str) -> SurfaceResult:
    kind = {"leaks": "auc_above", CLEAN: "nothing_found", "not measured": "no_references"}[state]
    reason = FindingReason(kind=kind, found=AUC, p_value=0.0001 if state == "leaks" else 0.6)
    return SurfaceResult(cas=AUC, auc={"lira_online": AUC}, attack="lira_online", state=state, reasons=[reason])


def audit(states: dict[str, str] | None = None, *, verdict: str = "valid", **declared) -> AuditResult:
    """Return an audit that found `states`; what is not named is as in `ALL`."""
    surfaces = {name: surface(state) for name, state in (ALL | (states or {})).items()}
    reasons = {
        "valid": [],
        "invalid": [VerdictReason(kind="control_failed", control="null", surfaces=["teacher"])],
        "not measured": [VerdictReason(kind="too_few_runs", num_reference_runs=0)],
    }
    sizes = {"num_members": 200, "num_non_members": 200, "num_test": 90, "num_reference_runs": 8, "num_queries": 1}
    levels = {"confidence": 0.95, "delta": 1e-5, "aop_lambda": 2.0, "scorer": "lira_online", "depth": "full"}
    return AuditResult(
        verdict=Verdict(state=verdict, reasons=reasons[verdict]),
        declared=Declared(**(sizes | levels | declared)),
        surfaces=surfaces,
        packages=packages(surfaces),
    )


def request(*what: str) -> Request:
    return read_request(
        what=what, licence="mit", form="parquet", accept_risk="", by="", certificate=None, key=None, hub_name=""
    )


def test_nothing_with_a_refuted_guarantee_leaves():
    guarantee = Guarantee(
        epsilon=0.5, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.0,
        count_noise=2.5, noisy_count=600, noise_draws=1, class_names=["a", "b"],
    )  # fmt: skip
    bound = OneRunBound(value=1.0, confidence=0.99, delta=1e-5, num_canaries=200, guesses=100, correct=80, method="")
    claim = {"claimed": guarantee, "bound": bound, "surface": "student", "canaries": "natural", "confidence": 0.95}
    refuted = audit().model_copy(update={"guarantee": Refutation(**claim, refuted=True)})
    judged = judge_release(refuted, request("images"))
    assert judged.invalid
    assert judged.obstacles[0].startswith("GUARANTEE REFUTED")
    assert clean_parts(refuted, request("images")) == []
    kept = audit().model_copy(update={"guarantee": Refutation(**claim)})
    assert judge_release(kept, request("images")).obstacles == []


@pytest.mark.parametrize("what", [("images",), ("images", "labels", "student"), ("adapter",), PARTS])
def test_what_has_no_measurable_leakage_passes_whatever_is_not_released(what):
    assert judge_release(audit(), request(*what)).obstacles == []


@pytest.mark.parametrize(
    ("surface_name", "what", "stopped"),
    [
        ("images", ("images",), True),
        ("images", ("adapter",), True),
        ("images", ("student",), False),
        ("soft_labels", ("images", "labels"), True),
        ("soft_labels", ("images",), False),
        ("student", ("student", "report"), True),
        ("student", ("report",), False),
    ],
)
@pytest.mark.parametrize("state", ["leaks", "not measured"])
def test_a_surface_stops_exactly_the_parts_that_expose_it(surface_name, what, stopped, state):
    found = judge_release(audit({surface_name: state}), request(*what)).obstacles
    assert bool(found) is stopped
    assert all(state in sentence and "0.51" in sentence for sentence in found)


def test_parts_that_leak_together_alone_are_stopped():
    result = audit()
    joint = Package(name="images and soft labels", exposes=["images", "soft_labels"], state="leaks", deciding=["images"])
    result = result.model_copy(update={"packages": [joint]})
    assert "images and soft labels, together: leaks" in judge_release(result, request("images", "labels")).obstacles[0]
    assert judge_release(result, request("images")).obstacles == []


@pytest.mark.parametrize(("level", "stopped"), [(0.05, True), (0.01, False), (None, False)])
def test_a_package_that_leaks_together_is_stopped_though_no_surface_leaks_alone(level, stopped):
    found = audit()
    told = found.model_copy(update={"packages": packages(found.surfaces, attacked=TOGETHER, level=level)})
    obstacles = judge_release(told, request("images", "labels", "student")).obstacles
    assert bool(obstacles) == stopped
    if stopped:
        assert obstacles[0].startswith(
            "images, soft labels and Student, together: leaks (all of it together: AUC 0.571 [0.540, 0.602] (p = 0.02)"
        )


def test_an_invalid_audit_stops_everything():
    judged = judge_release(audit(verdict="invalid"), request("report"))
    assert judged.invalid
    assert "audit invalid: null (Teacher)" in judged.obstacles[0]


@pytest.mark.parametrize(
    ("declared", "changes"),
    [
        ({"num_reference_runs": 0}, {"audit.num_reference_runs": 8}),
        ({"num_non_members": 0}, {"prepare.audit_holdout": 0.5}),
        ({"num_reference_runs": 1, "depth": "distill"}, {"audit.num_reference_runs": 8, "audit.depth": "full"}),
    ],
)
def test_an_audit_that_measured_nothing_stops_everything_and_the_settings_that_would_measure_are_named(declared, changes):
    judged = judge_release(audit(verdict="not measured", **declared), request("images"))
    assert "membership was not measured" in judged.obstacles[0]
    assert judged.changes == changes


@pytest.mark.parametrize(
    ("depth", "what", "changes"),
    [
        ("distill", ("images",), {"audit.depth": "full"}),
        ("teacher", ("student",), {"audit.depth": "distill"}),
        ("full", ("images",), {}),
    ],
)
def test_what_is_not_measured_names_the_depth_that_would_measure_it(depth, what, changes):
    result = audit({"images": "not measured", "student": "not measured"}, depth=depth)
    assert judge_release(result, request(*what)).changes == changes


def test_a_leak_names_no_command_for_no_audit_would_mend_it():
    assert judge_release(audit({"images": "leaks"}, depth="distill"), request("images")).changes == {}


def test_the_parts_that_may_leave_are_named():
    assert clean_parts(audit({"images": "leaks"}), request("images", "student", "adapter")) == ["student"]
    assert clean_parts(audit(verdict="invalid"), request("student")) == []
