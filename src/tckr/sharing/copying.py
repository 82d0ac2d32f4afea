"""Copy what may leave of an artifact, and nothing else. Whether it should leave is what the audit is for."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

from tckr.disk import write_whole
from tckr.errors import UserError
from tckr.sharing.allowed_files import LEAVES


def copy_allowed(stage: str, artifact: Path, target: Path) -> list[Path]:
    """Copy what may leave of the artifact of `stage` into the folder `target`; return the files.

    Raises:
        UserError: nothing of this stage may leave, its report shows private images, or a file is in the way.
    """
    if stage not in LEAVES:
        raise UserError(f"nothing of the stage {stage} may be shared; expected one of {', '.join(LEAVES)}")
    if stage == "report" and json.loads((artifact / "report.json").read_text(encoding="utf-8"))["contains_private"]:
        raise UserError(f"the report in {artifact} shows what is private; make it anew with report.include_private=false")
    written = []
    for pattern, rule in LEAVES[stage].items():
        for source in sorted(artifact.glob(pattern)):
            copy = target / source.relative_to(artifact)
            if os.path.lexists(copy):
                raise UserError(f"{copy} exists, and is left as it is; copy into another folder")
            write_whole(copy, partial(rule.copy, source))
            written.append(copy)
    return written
