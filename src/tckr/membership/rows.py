"""Results of the audit as printed: one row per surface, and one per kind of canary."""

from __future__ import annotations

from tckr.artifacts.audit import PLAIN, AuditResult, State, Strongest, SurfaceResult
from tckr.html.numbers import Number, at_least, bound_number, measured_number, percent, plain
from tckr.membership.coverage import covers_of, scorer_name
from tckr.membership.wording import surface_text
from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.results import GaussianBound, OneRunBound, Result
from tckr.surfaces import SURFACES, signal_title, surface_title

ABSENT = Number(text="\N{EN DASH}", reason="membership was not measured")


class SurfaceRow(Result):
    """One release surface and the results of its attacks.

    Attributes:
        key: as in `audit.json`, e.g. `soft_labels`.
        question: what the declared signal measures.
        attack: name of the scorer of `auc` and `tpr`; empty if nothing was measured.
        records: AUC of that attack on single records, if `auc` is that on groups.
        target: AUC of that attack on the target, if `auc` is the mean over runs.
        has_references: whether that attack used reference runs; otherwise it is weak.
        state, why: result of the audit, and the findings behind it.
        strongest: highest AUC of all signals and scorers, by `strongest_by`, chosen with knowledge of the members.
        tpr: at a false positive rate of 1 %, in percent.
        covers: what the number covers at this depth.
    """

    key: str
    name: str
    question: str
    attack: str
    has_references: bool
    state: State
    why: str
    auc: Number
    target: Number | None = None
    records: Number | None = None
    strongest: Number
    strongest_by: str
    tpr: Number
    epsilon: Number
    covers: str


class CanaryRow(Result):
    """Bounds on epsilon and on mu of Gaussian privacy, from guesses about one kind of canaries on one surface.

    Attributes:
        assumes: assumptions of each bound, `epsilon: ...; mu: ...`.
    """

    surface: str
    kind: str
    bound: Number
    mu: Number = ABSENT
    guessed: str
    conditions: str
    assumes: str = ""


def surface_rows(audit: AuditResult) -> list[SurfaceRow]:
    """Return every surface in the order in which a run creates it, attacked or not; for given tables, their surfaces."""
    names = tuple(SURFACES) if audit.declared.depth else tuple(audit.surfaces)
    return [_surface_row(audit, name, audit.surfaces.get(name)) for name in names]


def canary_rows(audit: AuditResult) -> list[CanaryRow]:
    """Return one row per surface and kind of canary, surfaces in the order in which a run creates them."""
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
    """Return the scorer of the strongest attack, and its signal if that is not the declared one."""
    signal = "" if strongest.signal == declared_signal else f"; {signal_title(strongest.signal)}"
    return scorer_name(strongest.scorer) + signal


def _surface_row(audit: AuditResult, key: str, surface: SurfaceResult | None) -> SurfaceRow:
    measured = surface is not None and bool(surface.auc)
    found = surface if surface is not None and measured else SurfaceResult(cas=NotMeasurable("no model"))
    strongest = found.strongest
    return SurfaceRow(
        key=key,
        name=surface_title(key),
        question=SURFACES[key].question if key in SURFACES else "",
        attack=scorer_name(found.attack) if measured else "",
        has_references=measured and found.attack != PLAIN,
        state=found.state,
        why=surface_text(found),
        auc=measured_number(found.headline, absent="not attacked") if measured else _not_attacked(audit),
        target=measured_number(found.of_target) if found.over_runs else None,
        records=measured_number(found.on_records) if found.on_records else None,
        strongest=measured_number(strongest.auc) if strongest else ABSENT,
        strongest_by=strongest_name(strongest, found.signal) if strongest else "",
        tpr=measured_number(found.tpr.get(found.attack, {}).get("0.01"), percent, absent="not measured"),
        epsilon=bound_number(found.epsilon_lower_bound, absent_reason(audit, surface)),
        covers=covers_of(audit, key),
    )


def _not_attacked(audit: AuditResult) -> Number:
    reason = "no attack on this surface was run" if audit.measured else "membership was not measured"
    return Number(text="not attacked", reason=reason)


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
        mu=mu_number(bound.gaussian),
        assumes=_assumes(bound),
        guessed=f"{_guesses(bound)}, {bound.num_canaries:,} canaries",
        conditions=f"{100 * bound.confidence:g} % confidence, delta {plain(bound.delta)}{_own_signal(audit, surface)}",
    )


def mu_number(bound: GaussianBound | None) -> Number:
    """Return a lower bound on mu without an upper end."""
    if bound is None:
        return ABSENT
    return Number(text=at_least(bound.mu), value=bound.mu, low=bound.mu, n=bound.n, method=bound.method)


def _assumes(bound: OneRunBound) -> str:
    assumed = {"epsilon": bound.assumes, "mu": bound.gaussian.assumes if bound.gaussian else ""}
    return ". ".join(f"{name} assumes {text}" for name, text in assumed.items() if text)


def _guesses(bound: OneRunBound) -> str:
    return f"{bound.guesses:,} guesses" if bound.correct is None else f"{bound.correct:,} of {bound.guesses:,} guesses right"


def _own_signal(audit: AuditResult, surface: str) -> str:
    """Return a remark if a surface's canaries were not compared with reference runs."""
    if audit.declared.num_reference_runs == 0:
        return "; without reference runs, only the target's signal is used"
    shared = audit.declared.generator_shared and surface != "teacher"
    return f"; the {surface_title(surface)}'s own signal only, because all runs share the generator" if shared else ""
