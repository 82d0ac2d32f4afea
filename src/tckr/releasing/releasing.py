"""Copy the released parts of a run into a new folder, after the gate. This is the only way out of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tckr.artifacts.guarantee import SPENT_AGAIN
from tckr.errors import UserError
from tckr.membership.next_audit import Changes, as_arguments, repeats_run
from tckr.releasing.building import building, check_target
from tckr.releasing.cards.writing import write_cards
from tckr.releasing.checksums import verify_checksums, write_checksums
from tckr.releasing.cost import audit_time
from tckr.releasing.facts import gather
from tckr.releasing.gate import Judgement, clean_parts, judge_release
from tckr.releasing.names import FormatName
from tckr.releasing.page import add_signature
from tckr.releasing.parts import write_parts
from tckr.releasing.request import DEFAULT_PARTS, Request, read_request
from tckr.releasing.run import FinishedRun, finished_run


class GateError(UserError):
    """The gate refuses a release; the message names the obstacles, a command that helps, and the parts that may leave.

    Attributes:
        invalid: whether the reason is that a control of the audit failed, or that canaries refuted the guarantee.
    """

    def __init__(self, message: str, *, invalid: bool) -> None:
        """Keep the message."""
        super().__init__(message)
        self.invalid = invalid


@dataclass(frozen=True, kw_only=True)
class Release:
    """A finished release.

    Attributes:
        folder: folder of the release.
        num_files: number of files listed in SHA256SUMS; all of them were read again and verified.
        accepted: obstacles that the gate found and somebody accepted; empty if it found none.
    """

    folder: Path
    num_files: int
    accepted: list[str]


def release(
    run: Path | str,
    *,
    to: Path | str,
    license: str,
    what: Sequence[str] = DEFAULT_PARTS,
    format: FormatName = "parquet",
    accept_risk: str = "",
    by: str = "",
    c2pa_certificate: Path | None = None,
    c2pa_key: Path | None = None,
    hub_name: str = "",
) -> Release:
    """Release parts of a finished run as the new folder `to`. A repeated release is equal byte for byte, unless signed.

    Args:
        run: folder of the run.
        to: a folder that does not exist or is empty.
        license: identifier of the hub, e.g. `cc-by-4.0`.
        what: one or more of images, labels, student, adapter and report.
        format: layout of the images: parquet, imagefolder or webdataset.
        accept_risk: reason to release what the gate refuses; written into the cards. Empty = the gate decides.
        by: name of the person who accepts the risk; required with `accept_risk`.
        c2pa_certificate: PEM file of the certificate chain that signs every image.
        c2pa_key: PEM file of the certificate's private key.
        hub_name: `owner/name` of the release on the hub, for the cards.

    Raises:
        GateError: the audit does not allow the release, and no risk was accepted.
        UserError: an argument is invalid, a file of the run is damaged, or the run is not finished.
    """
    request = read_request(
        what=what,
        licence=license,
        form=format,
        accept_risk=accept_risk,
        by=by,
        certificate=c2pa_certificate,
        key=c2pa_key,
        hub_name=hub_name,
    )
    target = Path(to)
    check_target(target)
    found = finished_run(Path(run), request.what)
    obstacles = pass_gate(found, request)
    with building(target) as site:
        rows = write_parts(request, found.artifacts, site.folder, site.work)
        write_cards(gather(request, found, obstacles), rows, site.folder)
        if "report" in request.what:
            add_signature(site.folder, request, obstacles)
        write_checksums(site.folder)
    return Release(folder=target, num_files=verify_checksums(target), accepted=obstacles)


def pass_gate(run: FinishedRun, request: Request) -> list[str]:
    """Return the accepted obstacles; empty if the audit allows the release.

    Raises:
        GateError: there are obstacles and nobody accepted them.
    """
    audit = run.audit
    judged = judge_release(audit, request) if audit else Judgement(obstacles=[run.why_no_audit], changes={})
    if judged.obstacles and request.accepted is None:
        clean = clean_parts(audit, request) if audit else []
        raise GateError(_refusal(run, request, judged, clean), invalid=judged.invalid)
    return judged.obstacles


def _refusal(run: FinishedRun, request: Request, judged: Judgement, clean: Sequence[str]) -> str:
    sentences = [f"{run.folder} may not be released: {'; '.join(judged.obstacles)}"]
    if command := _command(run, judged):
        sentences.append(command)
    if clean:
        sentences.append(f"What may be released: --what {' '.join(clean)}")
    sentences.append('To accept the risk, give --accept-risk "reason" --by "name"; the cards will state both')
    return ". ".join(sentences)


def _command(run: FinishedRun, judged: Judgement) -> str:
    """Return the command that would measure what is unmeasured, and its duration; empty if there is none."""
    if judged.invalid:
        return f"`tckr report {run.folder} --open` shows what failed"
    if run.audit is None:
        return f"To measure it: `tckr audit {run.folder}`{_time(run, {})}"
    if not judged.changes:
        return ""
    command = f"tckr audit {run.folder} {as_arguments(judged.changes)}"
    spent = f"; the run changes, and {SPENT_AGAIN}" if run.settings.privacy.is_on and repeats_run(judged.changes) else ""
    return f"To measure what is missing: `{command}`{_time(run, judged.changes)}{spent}"


def _time(run: FinishedRun, changes: Changes) -> str:
    found = audit_time(run.settings, changes)
    return f", about {found} on this machine" if found else ""
