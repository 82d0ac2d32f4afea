"""One row for each package: what the audit says of things that are usually released together."""

from __future__ import annotations

from tckr.artifacts.audit import AuditResult, Package
from tckr.membership.wording import package_text, together_text
from tckr.metrics.estimate import Estimate
from tckr.stages.report.contents import PackageRow
from tckr.stages.report.copies import NOT_LOOKED_FOR, copies_headline


def package_rows(audit: AuditResult) -> list[PackageRow]:
    """Return the packages as the audit judged them, and for each of their surfaces what was found."""
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
    """Return that nobody knows of copies; an excess of them is a finding of the images, so in the reason already."""
    if audit.copies is None:
        return NOT_LOOKED_FOR
    return "" if isinstance(audit.copies.excess, Estimate) else f"copies: {copies_headline(audit.copies)}"
