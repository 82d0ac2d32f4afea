"""Read tables of scores from any source and judge them."""

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
"""Suffix of the file's name -> function that returns its evidence and the depth of its runs (empty = unknown)."""


def read_table(file: Path) -> tuple[Evidence, str]:
    """Return the evidence of a table, and the depth of its reference runs (empty if the table does not state it).

    Raises:
        UserError: the file is missing, has an unknown format, or cannot be audited; the message names the file.
    """
    if file.suffix.lower() not in READERS:
        raise UserError(f"{file} is not a table of scores; expected a file ending in {' or '.join(READERS)}")
    if not file.is_file():
        raise UserError(f"no file at {file}; give a table of scores and membership (docs/audit.md, Your own tables)")
    try:
        evidence, depth = READERS[file.suffix.lower()](file)
        evidence = require_sound(evidence)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return evidence, depth


def as_signals(kind: str, evidence: Evidence) -> Evidence:
    """Return the evidence with values of `kind` (`audit.signal`) converted to logit-scaled confidences.

    Raises:
        UserError: the values are not of this kind.
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
    """Return the complete result for the scorer, confidence and delta of `config`.

    If the depth is unknown, reference runs count as having repeated all surfaces of the table.

    Raises:
        UserError: the declared scorer could infer membership from the design of the table.
    """
    if runs_that_count(evidence) < SCORERS[config.scorer].balanced_from:
        raise UserError(
            f"audit.scorer is {config.scorer}, whose scores depend on the number of reference runs trained "
            f"on a record, but members of the {len(evidence.members)} runs were not sampled independently, "
            "so this number reveals membership; expected a scorer that does not depend on it; use "
            "audit.scorer=lira_offline_fixed_variance"
        )
    result = judge(as_judged(config, depth), evidence, track=track)
    declared = result.declared.model_copy(update={"depth": depth, "num_queries": 0})
    return result.model_copy(update={"declared": declared})


def as_judged(config: MembershipConfig, depth: str) -> MembershipConfig:
    """Return the settings with the depth that the reference runs of a table are taken to have."""
    return config.model_copy(update={"depth": depth or "full"})
