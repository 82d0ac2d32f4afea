"""Write each part of a release: images with their labels, Student, adapter, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tckr.releasing.formats.imagefolder import write_imagefolder
from tckr.releasing.formats.parquet import write_parquet
from tckr.releasing.formats.webdataset import write_webdataset
from tckr.releasing.names import FormatName
from tckr.releasing.page import write_report
from tckr.releasing.request import Request
from tckr.releasing.rows import Rows, released_rows
from tckr.releasing.signing import signer
from tckr.sharing.copying import copy_allowed

WRITERS: Mapping[FormatName, Callable[[Rows, Path], None]] = MappingProxyType(
    {"parquet": write_parquet, "imagefolder": write_imagefolder, "webdataset": write_webdataset}
)


def write_parts(request: Request, artifacts: Mapping[str, Path], folder: Path, work: Path) -> Rows | None:
    """Write the requested parts into `folder`; return the images, which need the folder `work` while they are read."""
    rows = None
    if "images" in request.what:
        labels = artifacts["label"] if "labels" in request.what else None
        finish = signer(request.certificate) if request.certificate else bytes
        rows = released_rows(artifacts["generate"], labels, work, finish)
        WRITERS[request.form](rows, folder)
    if "student" in request.what:
        copy_allowed("distill", artifacts["distill"], work / "student")
        (work / "student" / "model").rename(folder / "student")
    if "adapter" in request.what:
        copy_allowed("adapt", artifacts["adapt"], folder / "adapter")
    if "report" in request.what:
        write_report(artifacts["report"], folder / "report")
    return rows
