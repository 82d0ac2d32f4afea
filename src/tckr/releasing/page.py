"""The report as it is released: no time of day, every picture marked as synthetic, checksums, and a place to sign."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tckr.html.jinja import environment
from tckr.releasing.checksums import file_digests
from tckr.releasing.marking import mark_png
from tckr.releasing.names import Part
from tckr.releasing.request import Request
from tckr.sharing.copying import copy_allowed

TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
PAGE = "report/report.html"
SIGNATURE = "<!-- signature -->"
"""What the page has where the signature belongs."""

MOST_FILES = 40
"""Files whose digests are listed one by one."""

NAMES: Mapping[Part, str] = MappingProxyType(
    {"images": "images", "labels": "soft labels", "student": "Student", "adapter": "adapter", "report": "this report"}
)

PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def write_report(artifact: Path, folder: Path) -> None:
    """Write report.html and report.json of a report that may be shared into `folder`.

    Raises:
        UserError: the report shows private images.
    """
    for file in copy_allowed("report", artifact, folder):
        text = TIME.sub(r"\1", file.read_text(encoding="utf-8"))
        file.write_text(PICTURE.sub(_marked, text), encoding="utf-8")


def add_signature(folder: Path, request: Request, obstacles: Sequence[str]) -> None:
    """Write into the report of the release in `folder` what else it holds, with digests, and a place to decide and sign.

    Args:
        folder: the release, with all its files but the list of digests.
        request: what is released.
        obstacles: what the gate found, where somebody accepted the risk.
    """
    page = folder / PAGE
    found = {name: digest for name, digest in file_digests(folder).items() if name != PAGE}
    digests = shown_digests(found)
    signature = (
        environment("tckr.releasing")
        .get_template("signature.html.j2")
        .render(
            request=request,
            parts=[NAMES[part] for part in request.what],
            obstacles=obstacles,
            digests=digests,
            folders=any(name.endswith("/") for name in digests),
        )
    )
    before, mark, after = page.read_text(encoding="utf-8").partition(SIGNATURE)
    assert mark, f"{page} has no place for a signature"
    page.write_text(f"{before}{signature}{after}", encoding="utf-8")


def shown_digests(found: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of all files; of more than `MOST_FILES` one for each folder, over its lines in the list."""
    if len(found) <= MOST_FILES:
        return dict(found)
    lines: dict[str, str] = {}
    for name, digest in found.items():
        top, slash, _ = name.partition("/")
        lines[top + slash] = lines.get(top + slash, "") + f"{digest}  {name}\n"
    return {
        name: hashlib.sha256(text.encode()).hexdigest() if name.endswith("/") else text[:64] for name, text in lines.items()
    }


def _marked(found: re.Match[str]) -> str:
    """Return a picture with its mark: a report that may be shared has no other pictures than synthetic ones."""
    return f"data:image/png;base64,{base64.b64encode(mark_png(base64.b64decode(found[1]))).decode()}"
