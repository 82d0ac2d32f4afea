"""From the audit's result to what each surface, package and canary tells. Repeats the audit's judgement, adds none."""

from __future__ import annotations

from tckr.html.numbers import at_least, bound_number, measured_number, percent, plain
from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.results import PLAIN, AuditResult, OneRunBound, Package, Strongest, SurfaceResult
from tckr.stages.report.contents import CanaryRow, Number, PackageRow, SurfaceRow
from tckr.stages.report.copies import NOT_LOOKED_FOR, copies_headline
from tckr.stages.report.coverage import covers_of, scorer_name, with_names
from tckr.surfaces import SURFACES, signal_title, surface_title

ABSENT = Number(text="\N{EN DASH}", reason="membership was not measured")


def surface_rows(audit: AuditResult) -> list[SurfaceRow]:
    """Return every surface in the order in which it is made, attacked or not; of given tables their own."""
    names = tuple(SURFACES) if audit.declared.depth else tuple(audit.surfaces)
    return [_surface_row(audit, name, audit.surfaces.get(name)) for name in names]


def package_rows(audit: AuditResult) -> list[PackageRow]:
    """Return the packages as the audit judged them, and for each of their surfaces what was found."""
    return [_package_row(audit, package) for package in audit.packages]


def canary_rows(audit: AuditResult) -> list[CanaryRow]:
    """Return one row per surface and kind of canary, surfaces in the order in which they are made."""
    order = [*SURFACES, *(name for name in audit.canaries if name not in SURFACES)]
    return [
        _canary_row(audit, surface, kind, bound)
        for surface in order
        for kind, bound in audit.canaries.get(surface, {}).items()
    ]


def absent_reason(audit: AuditResult, surface: SurfaceResult | None = None) -> str:
    """Return why a number of the declared attack is missing."""
    if not audit.measured:
        return "membership was not measured"
    if surface is not None and isinstance(surface.aop, NotMeasurable):
        return surface.aop.reason
    return f"no reference runs at depth {audit.declared.depth}"


def strongest_name(strongest: Strongest, declared_signal: str) -> str:
    """Return scorer and, where it is not the declared one, signal of the strongest attack."""
    signal = "" if strongest.signal == declared_signal else f"; {signal_title(strongest.signal)}"
    return scorer_name(strongest.scorer) + signal


def _surface_row(audit: AuditResult, key: str, surface: SurfaceResult | None) -> SurfaceRow:
    measured = surface is not None and bool(surface.auc)
    found = surface if surface is not None and measured else SurfaceResult(cas=NotMeasurable("no model"))
    strongest = found.strongest
    return SurfaceRow(
        key=key,
        name=surface_title(key),
        asked=SURFACES[key].question if key in SURFACES else "",
        attack=scorer_name(found.attack) if measured else "",
        has_references=measured and found.attack != PLAIN,
        state=found.state,
        why=found.why,
        auc=measured_number(found.headline, absent="not attacked") if measured else _not_attacked(audit),
        strongest=measured_number(strongest.auc) if strongest else ABSENT,
        strongest_by=strongest_name(strongest, found.signal) if strongest else "",
        tpr=measured_number(found.tpr.get(found.attack, {}).get("0.01"), percent, absent="not measured"),
        epsilon=bound_number(found.epsilon_lower_bound, absent_reason(audit, surface)),
        covers=covers_of(audit, key),
    )


def _not_attacked(audit: AuditResult) -> Number:
    reason = "no attack on this surface was run" if audit.measured else "membership was not measured"
    return Number(text="not attacked", reason=reason)


def _package_row(audit: AuditResult, package: Package) -> PackageRow:
    found = {name: audit.surfaces.get(name) for name in package.exposes}
    return PackageRow(
        name=package.name,
        exposes={name: surface.state if surface else "not measured" for name, surface in found.items()},
        state=package.state,
        reason=with_names(package.reason),
        also=_copies_note(audit) if "images" in package.exposes else "",
    )


def _copies_note(audit: AuditResult) -> str:
    """Return that nobody knows of copies; an excess of them is a finding of the images, so in the reason already."""
    if audit.copies is None:
        return NOT_LOOKED_FOR
    return "" if isinstance(audit.copies.excess, Estimate) else f"copies: {copies_headline(audit.copies)}"


def _canary_row(audit: AuditResult, surface: str, kind: str, bound: OneRunBound | NotMeasurable) -> CanaryRow:
    if isinstance(bound, NotMeasurable):
        number = Number(text="not measurable", reason=bound.reason, n=bound.n)
        return CanaryRow(surface=surface_title(surface), kind=kind, bound=number, guessed="", conditions="")
    number = Number(
        text=at_least(bound.value), value=bound.value, low=bound.value, n=bound.num_canaries, method=bound.method
    )
    return CanaryRow(
        surface=surface_title(surface),
        kind=kind,
        bound=number,
        guessed=f"{_guesses(bound)}, {bound.num_canaries:,} canaries",
        conditions=f"{100 * bound.confidence:g} % confidence, delta {plain(bound.delta)}{_own_signal(audit, surface)}",
    )


def _guesses(bound: OneRunBound) -> str:
    return f"{bound.guesses:,} guesses" if bound.correct is None else f"{bound.correct:,} of {bound.guesses:,} guesses right"


def _own_signal(audit: AuditResult, surface: str) -> str:
    """Return that a surface's canaries were not compared with what reference runs say of them, where that is so."""
    if audit.declared.num_reference_runs == 0:
        return "; own signal only, for there are no reference runs"
    shared = audit.declared.generator_shared and surface != "teacher"
    return f"; the {surface_title(surface)}'s own signal only, for all runs share the generator" if shared else ""
