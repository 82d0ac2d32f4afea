"""The parts that a user wants to release, and in which form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from tckr.errors import UserError, shown
from tckr.releasing.names import FormatName, Part

EXPOSES: Mapping[Part, tuple[str, ...]] = MappingProxyType(
    {
        "images": ("images",),
        "labels": ("soft_labels",),
        "student": ("student",),
        "adapter": ("adapter", "images"),  # the adapter can generate any number of images
        "report": (),
    }
)
"""Part of a release -> surfaces that its holder can attack. The report contains only shareable values, so it has none."""

PARTS: tuple[Part, ...] = get_args(Part)
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
DEFAULT_PARTS: tuple[Part, ...] = ("images", "labels", "student")

LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,99}")
"""Form of a licence identifier, on the hub and in SPDX."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
"""`owner/name` on the hub."""


@dataclass(frozen=True, kw_only=True)
class AcceptedRisk:
    """Name of the person who accepts the risk, and the reason; both are written into the cards."""

    reason: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A user's C2PA signing certificate: files of its chain and its private key (PEM)."""

    chain: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class Request:
    """Parts and form of a release.

    Attributes:
        what: parts of a run, in the order of `PARTS`.
        licence: identifier, e.g. `cc-by-4.0`.
        form: layout of the images.
        hub_name: `owner/name` that the release will have on the hub; empty for none.
        accepted: who overrides the gate, and the reason; None if nobody does.
        certificate: signs every image; None = images carry only the IPTC mark.
    """

    what: tuple[Part, ...]
    licence: str
    form: FormatName = "parquet"
    hub_name: str = ""
    accepted: AcceptedRisk | None = None
    certificate: Certificate | None = None

    @property
    def exposes(self) -> list[str]:
        """Return the surfaces that a holder of the release can attack."""
        return list(dict.fromkeys(surface for part in self.what for surface in EXPOSES[part]))

    @property
    def command(self) -> str:
        """Return the command-line option for these parts."""
        return f"--what {' '.join(self.what)}"


def read_request(
    *,
    what: Sequence[str],
    licence: str,
    form: str,
    accept_risk: str,
    by: str,
    certificate: Path | None,
    key: Path | None,
    hub_name: str,
) -> Request:
    """Return the request that the user's options describe.

    Raises:
        UserError: unknown part or format, labels without images, no licence, or only one option of a pair.
    """
    parts = _parts(what)
    if form not in FORMATS:
        raise UserError(f"found --format {shown(form)}; expected one of {', '.join(FORMATS)}")
    if not LICENCE.fullmatch(licence):
        found = f"--license {shown(licence)}" if licence else "no --license"
        raise UserError(
            f"found {found}; a release must state its licence. Give an identifier, e.g. "
            "--license cc-by-4.0, apache-2.0 or other"
        )
    if hub_name and not NAME.fullmatch(hub_name):
        raise UserError(f"found --push {shown(hub_name)}; expected owner/name, as on the hub")
    return Request(
        what=parts,
        licence=licence.lower(),
        form=form,  # type: ignore[arg-type]  # checked above
        hub_name=hub_name,
        accepted=_accepted(accept_risk, by),
        certificate=_certificate(certificate, key),
    )


def _parts(what: Sequence[str]) -> tuple[Part, ...]:
    if unknown := [word for word in what if word not in PARTS]:
        raise UserError(f"found --what {shown(unknown[0])}; expected one or more of {', '.join(PARTS)}")
    if not what:
        raise UserError(f"nothing to release; give --what with one or more of {', '.join(PARTS)}")
    if "labels" in what and "images" not in what:
        raise UserError("found --what labels without images; soft labels are released with their images: add images")
    return tuple(part for part in PARTS if part in what)


def _accepted(reason: str, by: str) -> AcceptedRisk | None:
    reason, by = " ".join(reason.split()), " ".join(by.split())
    if bool(reason) != bool(by):
        raise UserError('found one of --accept-risk and --by; give both, --accept-risk "reason" --by "name"')
    return AcceptedRisk(reason=reason, by=by) if reason else None


def _certificate(chain: Path | None, key: Path | None) -> Certificate | None:
    if (chain is None) != (key is None):
        raise UserError("found one of --c2pa-certificate and --c2pa-key; give both files")
    for file in (chain, key):
        if file is not None and not file.is_file():
            raise UserError(f"no file at {shown(file)}; give the PEM files of your C2PA certificate and its key")
    return Certificate(chain=chain, key=key) if chain and key else None
