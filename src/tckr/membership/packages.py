"""What was found about each surface, and about what a user may want to release together. Knows no attack."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tckr.artifacts.audit import FindingReason, LeakTest, Package, SurfaceResult, Together
from tckr.membership.canaries import CanaryBounds
from tckr.membership.family import Family
from tckr.membership.scorers import QUANTILES
from tckr.membership.together import PACKAGES
from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.results import CopiesResult, OneRunBound

NOT_ATTACKED: Mapping[str, Together] = MappingProxyType({})


def stated(
    surfaces: Mapping[str, SurfaceResult],
    family: Family,
    *,
    level: float,
    copies: CopiesResult | None,
    copies_level: float,
    canaries: CanaryBounds,
    images_tell: bool,
) -> dict[str, SurfaceResult]:
    """Return the surfaces with their states.

    A surface leaks when one of its statistics is as surprising as any in the audit at `level`: the target's AUC, that of all
    runs together (what training like this leaks, whatever this one did), where groups are judged that on single records, the
    members among its highest scores, its canaries; the images also when near-copies of members exceed those of others at
    `copies_level`, or when what learned from them tells (`images_tell`). Nothing is called private; without reference runs
    finding nothing says nothing.
    """
    found = {}
    for name, surface in surfaces.items():
        tests = [test for test in family.tests.get(name, []) if test.attack in (surface.attack, QUANTILES, "")]
        surface = surface.model_copy(update={"tests": tests, "detectable_auc": _detectable(surface, family, name)})
        leaks = [_reason(test, surface, canaries.get(name, {})) for test in tests if test.family_p_value <= level]
        if name == "images":
            leaks += [*copy_leaks(copies, copies_level), *([FindingReason(kind="images_tell")] if images_tell else [])]
        found[name] = surface.model_copy(update=_state(surface, leaks))
    return found


def _detectable(surface: SurfaceResult, family: Family, name: str) -> float | None:
    """Return the smallest AUC that would probably be found; None where nothing was attacked."""
    return family.detectable_auc.get(name) if surface.of_target else None


def _reason(test: LeakTest, surface: SurfaceResult, canaries: Mapping[str, object]) -> FindingReason:
    """Return what a statistic says that was found; its p-value counts all statistics of the audit."""
    p_value, bound, runs = test.family_p_value, surface.epsilon_lower_bound, surface.leave_one_out.get(surface.attack)
    match test.name:
        case "above":
            attack = test.attack if test.attack != surface.attack else ""
            found = surface.other_signals.get(test.signal, surface.auc).get(test.attack)
            return FindingReason(kind="auc_above", found=found, attack=attack, signal=test.signal, p_value=p_value)
        case "below":
            return FindingReason(kind="auc_below", found=surface.of_target, p_value=p_value)
        case "records above":
            return FindingReason(kind="records_above", found=_of_records(surface), p_value=p_value)
        case "records below":
            return FindingReason(kind="records_below", found=_of_records(surface), p_value=p_value)
        case "runs":
            return FindingReason(kind="auc_of_runs", found=runs.mean if runs else None, p_value=p_value)
        case "tail":
            assert bound is not None
            return FindingReason(kind="tail", epsilon=bound.value, p_value=p_value)
        case _:
            kind = test.name.partition(" ")[0]
            proven = canaries.get(kind)
            epsilon = proven.value if isinstance(proven, OneRunBound) else 0.0
            return FindingReason(kind="canaries", canaries=kind, epsilon=epsilon, p_value=p_value)


def _of_records(surface: SurfaceResult) -> Measured | None:
    return surface.of_records.auc if surface.of_records else None


def copy_leaks(copies: CopiesResult | None, level: float) -> list[FindingReason]:
    """Return the excess of near-copies of members, if there is one."""
    if copies is None or copies.p_value is None or copies.p_value > level:
        return []
    return [FindingReason(kind="near_copies", found=copies.excess, p_value=copies.p_value, level=level)]


def _state(surface: SurfaceResult, leaks: list[FindingReason]) -> dict[str, object]:
    auc = surface.headline
    if leaks:
        return {"state": "leaks", "reasons": leaks}
    if not isinstance(auc, Estimate):
        return {"state": "not measured", "reasons": [FindingReason(kind="no_attack")]}
    if not surface.epsilon_lower_bound:
        alone = FindingReason(kind="no_references", found=auc, detectable_auc=surface.detectable_auc)
        return {"state": "not measured", "reasons": [alone]}
    smallest = min((test.family_p_value for test in surface.tests), default=1.0)
    power = surface.detectable_auc
    silent = FindingReason(kind="nothing_found", found=auc, p_value=smallest, detectable_auc=power)
    return {"state": "no measurable leakage", "reasons": [silent]}


def packages(
    surfaces: Mapping[str, SurfaceResult],
    exposed: Mapping[str, tuple[str, ...]] = PACKAGES,
    attacked: Mapping[str, Together] = NOT_ATTACKED,
    level: float | None = None,
) -> list[Package]:
    """Return every package with the worst state of what it exposes: leakage anywhere decides, then a gap.

    Args:
        surfaces: by name, with their states.
        exposed: package -> its surfaces.
        attacked: package -> what the attack on all of its surfaces found.
        level: at which it finds; None where the audit is invalid.
    """
    return [_package(name, exposes, surfaces, attacked.get(name), level) for name, exposes in exposed.items()]


def _package(
    name: str,
    exposes: tuple[str, ...],
    surfaces: Mapping[str, SurfaceResult],
    together: Together | None,
    level: float | None,
) -> Package:
    reasons = _of_package(together, level)
    found = {surface: surfaces[surface].state for surface in exposes if surface in surfaces}
    missing = [surface for surface in exposes if surface not in found]
    leaking = [surface for surface, state in found.items() if state == "leaks"]
    unmeasured = [surface for surface, state in found.items() if state == "not measured"] + missing
    state, deciding = next(
        (state, deciding)
        for state, deciding in (("leaks", leaking), ("not measured", unmeasured), ("no measurable leakage", list(found)))
        if deciding
    )
    return Package(
        name=name,
        exposes=list(exposes),
        state="leaks" if reasons else state,
        deciding=leaking if reasons else deciding,
        reasons=reasons,
        together=together,
    )


def _of_package(together: Together | None, level: float | None) -> list[FindingReason]:
    if together is None or level is None or together.test.family_p_value > level:
        return []
    return [FindingReason(kind="auc_of_package", found=together.auc, p_value=together.test.family_p_value)]
