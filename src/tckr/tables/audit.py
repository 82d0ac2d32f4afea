"""Tables of scores that came from anywhere: read them, and judge what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tckr.artifacts.audit import AuditResult
from tckr.errors import UserError
from tckr.membership.analyses import Track, untracked
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.findings import runs_that_count
from tckr.membership.scorers import SCORERS
from tckr.membership.soundness import require_sound
from tckr.membership.verdict import judge
from tckr.tables.arrays import read_arrays
from tckr.tables.rows import read_rows
from tckr.tables.scales import scaled

READERS: dict[str, Callable[[Path], tuple[Evidence, str]]] = {".parquet": read_rows, ".npz": read_arrays}
"""Ending of the file's name -> function that returns its evidence and the depth of its runs (empty = not known)."""


def read_table(file: Path) -> tuple[Evidence, str]:
    """Return what a table says, with the depth of its reference runs, empty where the table does not name it.

    Raises:
        UserError: no such file, an unknown form, or a table that cannot be audited; the message names the file.
    """
    if file.suffix.lower() not in READERS:
        raise UserError(f"{file} is no table of scores that can be read; expected a file ending in {' or '.join(READERS)}")
    if not file.is_file():
        raise UserError(f"no file at {file}; give a table of scores and membership (docs/audit.md, Your own tables)")
    try:
        evidence, depth = READERS[file.suffix.lower()](file)
        evidence = require_sound(evidence)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return evidence, depth


def as_signals(kind: str, evidence: Evidence) -> Evidence:
    """Return the evidence with its values as logit-scaled confidences, from what `kind` (`audit.signal`) says they are.

    Raises:
        UserError: they cannot be that.
    """
    return replace(
        evidence,
        signals={name: scaled(values, kind, name) for name, values in evidence.signals.items()},
        controls={
            control: {name: scaled(values, kind, name) for name, values in found.items()}
            for control, found in evidence.controls.items()
        },
    )


def judge_table(config: MembershipConfig, evidence: Evidence, depth: str, track: Track = untracked) -> AuditResult:
    """Return the whole result for the scorer, confidence and delta of `config`.

    Where the depth is not known, every reference run counts as having repeated all that the table covers.

    Raises:
        UserError: the declared scorer would read membership off the table's design.
    """
    if runs_that_count(evidence) < SCORERS[config.scorer].balanced_from:
        raise UserError(
            f"audit.scorer is {config.scorer}, whose scores depend on how many reference runs saw a record, and members of "
            f"the {len(evidence.members)} runs were not drawn independently; expected a scorer that does not read this off "
            "the design; use audit.scorer=lira_offline_fixed_variance"
        )
    result = judge(as_judged(config, depth), evidence, track=track)
    declared = result.declared.model_copy(update={"depth": depth, "num_queries": 0})
    return result.model_copy(update={"declared": declared})


def as_judged(config: MembershipConfig, depth: str) -> MembershipConfig:
    """Return the settings with the depth that the reference runs of a table count as having."""
    return config.model_copy(update={"depth": depth or "full"})
