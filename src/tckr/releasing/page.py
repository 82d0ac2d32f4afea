"""The report as it is released: with no time of day, and with every picture marked as synthetic."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from tckr.releasing.marking import mark_png
from tckr.sharing.copying import copy_allowed

TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def write_report(artifact: Path, folder: Path) -> None:
    """Write report.html and report.json of a report that may be shared into `folder`.

    Raises:
        UserError: the report shows private images.
    """
    for file in copy_allowed("report", artifact, folder):
        text = TIME.sub(r"\1", file.read_text(encoding="utf-8"))
        file.write_text(PICTURE.sub(_marked, text), encoding="utf-8")


def _marked(found: re.Match[str]) -> str:
    """Return a picture with its mark: a report that may be shared has no other pictures than synthetic ones."""
    return f"data:image/png;base64,{base64.b64encode(mark_png(base64.b64decode(found[1]))).decode()}"
