"""One row per package: the audit's result for surfaces that are usually released together."""

from __future__ import annotations

from tckr.artifacts.audit import AuditResult, Package
from tckr.membership.wording import package_text, together_text
from tckr.metrics.estimate import Estimate
from tckr.stages.report.copies import NOT_LOOKED_FOR, copies_headline
from tckr.stages.report.report_json import PackageRow


def package_rows(audit: AuditResult) -> list[PackageRow]:
    """Return the packages as judged by the audit, with the results of their surfaces."""
    return [_package_row(audit, package) for package in audit.packages]


def _package_row(audit: AuditResult, package: Package) -> PackageRow:
    found = {name: audit.surfaces.get(name) for name in package.exposes}
    return PackageRow(
        name=package.name,
        exposes={name: surface.state if surface else "not measured" for name, surface in found.items()},
        state=package.state,
        reason=package_text(audit, package),
        together=together_text(package),
        also=_copies_note(audit) if "images" in package.exposes else "",
    )


def _copies_note(audit: AuditResult) -> str:
    """Return a remark if copies were not measured; an excess of copies is a finding and already part of the reason."""
    if audit.copies is None:
        return NOT_LOOKED_FOR
    return "" if isinstance(audit.copies.excess, Estimate) else f"copies: {copies_headline(audit.copies)}"
