"""How often does an audit of a pipeline that leaks nothing say `leaks`? Simulated through the real verdict code.

Every audit has six surfaces at depth `full` (all with references) or `distill`; 4, 8 or 16 reference runs; canaries or none;
classes of one size or of very different ones; a hold-out of 0.5 or 0.25; members sampled as by `prepare`. All signals
are noise around a level of each record. Prints the share of audits that say `leaks` of some surface, by kind, and whether
the declared level holds (a binomial test at 0.1 %).

With `--results FILE` every audit is a line of FILE, and a later call goes on where the last one ended. Numbers that `leaks`
does not read (means over runs and their difference, TPR, ROC curves) are left out, which saves half of the time; one audit
of every kind is judged with them too, and both must say the same.
Run: python benchmarks/null_audits.py [--audits 1000] [--results FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from tckr.artifacts.audit import AuditResult, LeaveOneOut
from tckr.membership import findings, planted, verdict
from tckr.membership.canaries import Canaries, canaries_of, canary_scores
from tckr.membership.config import RULES, MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.scorers import Scorer
from tckr.membership.verdict import judge
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc
from tckr.metrics.proportions import clopper_pearson
from tckr.stages.prepare.membership import membership_rows
from tckr.surfaces import SIGNALS

CANARIES = 60
PROGRESS = 48
"""Number of audits between two lines of progress."""

LABELS = {"equal": np.repeat(np.arange(5), 40), "unequal": np.repeat(np.arange(22), [2] * 20 + [60, 100])}
REPEATED = ("soft_labels", "teacher", "student", "student_indirect")


@dataclass(frozen=True)
class Kind:
    """What one kind of audit is made of."""

    references: int
    canaries: bool
    classes: str
    holdout: float
    depth: str


KINDS = [Kind(*kind) for kind in product((4, 8, 16), (False, True), LABELS, (0.5, 0.25), ("full", "distill"))]


def null_audit(kind: Kind, seed: int, scorer: str, shift: float = 0.0) -> tuple[Evidence, Canaries | None]:
    """Return evidence in which members are `shift` surer than others, in standard deviations between runs; 0 = no leak."""
    generator = np.random.default_rng(seed)
    labels = LABELS[kind.classes]
    kinds = np.zeros(len(labels), dtype=np.int8)
    if kind.canaries:
        labels = np.concatenate([labels, generator.integers(labels.max() + 1, size=CANARIES)])
        kinds = np.concatenate([kinds, np.tile(np.array([1, 2], dtype=np.int8), CANARIES // 2)])
    rows = membership_rows(labels, kinds > 0, audit_holdout=kind.holdout, num_rows=kind.references + 1, seed=seed)
    members = np.stack(list(rows))
    signals, null, positive = {}, {}, {}
    for signal in (signal for signals in SIGNALS.values() for signal in signals):
        level = 3 * generator.normal(size=len(labels)) + labels % 3  # some classes are harder than others
        alone = kind.depth == "distill" and signal not in REPEATED
        seen = members[:1] if alone else members
        signals[signal] = level + generator.normal(size=seen.shape) + shift * seen
        if not alone:
            null[signal] = level + generator.normal(size=len(labels))
            positive[signal] = level + generator.normal(size=len(labels)) + 6 * members[0]
    ordinary = kinds == 0
    evidence = Evidence(
        class_names=[str(label) for label in range(labels.max() + 1)],
        labels=labels[ordinary],
        members=members[:, ordinary],
        signals={name: values[:, ordinary] for name, values in signals.items()},
        controls={
            name: {signal: values[ordinary] for signal, values in found.items()}
            for name, found in (("null", null), ("positive", positive))
        },
    )
    if not kind.canaries:
        return evidence, None
    scores = {name: canary_scores(signals[name], members[: len(signals[name])], kinds) for name in ("teacher", "student")}
    return evidence, canaries_of(scores, members[0], kinds)


def says_leaks(result: AuditResult) -> list[str]:
    """Return the surfaces with the state `leaks`, and the packages that leak by the attack on all their surfaces."""
    surfaces = [name for name, surface in result.surfaces.items() if surface.state == "leaks"]
    return surfaces + [package.name for package in result.packages if package.reasons]


def said_of(result: AuditResult) -> list[Any]:
    """Return the state of every surface and package, and the p-values that it follows from."""
    surfaces = [(name, surface.state, surface.tests) for name, surface in result.surfaces.items()]
    return [*surfaces, *((package.name, package.state, package.reasons) for package in result.packages)]


def _auc_alone(scores: np.ndarray, truth: np.ndarray, confidence: float, strata: Any = None) -> Any:
    return {"auc": auc(scores, truth, confidence, strata)}


def _no_means(scorers: Mapping[str, Scorer], *_: Any, **__: Any) -> dict[str, LeaveOneOut]:
    left_out = LeaveOneOut(value=0.5, mean=Estimate(0.5, 0.0, 1.0, 0, "left out"), spread=0.0, runs=[])
    return dict.fromkeys(scorers, left_out)


@contextmanager
def without_numbers() -> Iterator[None]:
    """Leave out what an audit prints and `leaks` does not read: means over runs, their difference, TPR and ROC curves."""
    whole = findings.target_run, findings.leave_one_out, findings.low_fpr, verdict.differences
    findings.target_run, findings.leave_one_out, findings.low_fpr = _auc_alone, _no_means, lambda *_: {}
    verdict.differences = lambda *_: None
    try:
        yield
    finally:
        findings.target_run, findings.leave_one_out, findings.low_fpr, verdict.differences = whole


def audit(number: int, kind: Kind, scorer: str, shift: float) -> dict[str, Any]:
    """Return the result of one audit as a line of the results."""
    config = MembershipConfig(depth=kind.depth, scorer=scorer)
    evidence, canaries = null_audit(kind, number, scorer, shift)
    with without_numbers():
        result = judge(config, evidence, canaries=canaries)
    if number < len(KINDS):
        whole = judge(config, evidence, canaries=canaries)
        assert said_of(whole) == said_of(result), f"audit {number}: the numbers left out change what is said"
    strongest = [surface.strongest.family_p_value for surface in result.surfaces.values() if surface.strongest]
    known = [p for p in strongest if p is not None]
    return {"number": number, **asdict(kind), "leaks": says_leaks(result), "strongest": min(known), "valid": result.valid}


def read_results(path: Path | None, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the audits of an earlier call, and begin the file where there is none; a line that was cut off is removed."""
    if path is None:
        return []
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        path.write_text("".join(whole), encoding="utf-8")
    found, *rows = map(json.loads, whole)
    if found != settings:
        sys.exit(f"{path} has audits of {found}, expected {settings}; name another file")
    return rows


def audits(numbers: list[int], kinds: list[Kind], scorer: str, shift: float, path: Path | None) -> Iterator[dict[str, Any]]:
    """Yield the results, kinds in turn, and add each to the file."""
    for number in numbers:
        row = audit(number, kinds[number % len(kinds)], scorer, shift)
        if path is not None:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        yield row


def summary(rows: list[dict[str, Any]], level: float) -> bool:
    """Print the shares by kind; return whether the declared level holds."""
    said, made = Counter[str](), Counter[str]()
    for row in rows:
        for name in ("all", *Kind.__dataclass_fields__):
            made[f"{name} {row.get(name, '')}"] += 1
            said[f"{name} {row.get(name, '')}"] += bool(row["leaks"])
    for name in sorted(made):
        low, high = clopper_pearson(said[name], made[name], 0.95)
        share = said[name] / made[name]
        print(f"{name:16s} {said[name]:4d} of {made[name]:4d} audits say leaks: {share:.3f} [{low:.3f}, {high:.3f}]")
    strongest, total = sum(row["strongest"] <= level for row in rows), len(rows)
    print(f"strongest attack of all, family-wise: {strongest} of {total}; audits invalid by a control: ", end="")
    print(sum(not row["valid"] for row in rows))
    holds = bool(binom.sf(max(said["all "], strongest) - 1, total, level) > 0.001)
    print(f"declared level {level}: {'holds' if holds else 'does not hold'}")
    return holds


def main() -> int:
    """Simulate, print and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--audits", type=int, default=1000)
    parser.add_argument("--scorer", default=MembershipConfig().scorer)
    parser.add_argument("--shift", type=float, default=0.0)
    parser.add_argument("--classes", nargs="+", default=list(LABELS), choices=list(LABELS))
    parser.add_argument("--results", type=Path, help="add to the audits of this file, or begin it")
    arguments = parser.parse_args()
    planted.BAR = 0.0  # 200 records do not always pass it, and an invalid audit says nothing at all
    asked = {"scorer": arguments.scorer, "shift": arguments.shift, "classes": arguments.classes}
    rows = read_results(arguments.results, {"rules": RULES, **asked})
    kinds = [kind for kind in KINDS if kind.classes in arguments.classes]
    numbers = sorted(set(range(arguments.audits)) - {row["number"] for row in rows})
    for row in audits(numbers, kinds, arguments.scorer, arguments.shift, arguments.results):
        rows.append(row)
        if len(rows) % PROGRESS == 0:
            print(f"{len(rows)} audits: {sum(bool(each['leaks']) for each in rows)} say leaks", flush=True)
    holds = summary(rows, MembershipConfig().family_level)
    return 0 if holds or arguments.shift else 1


if __name__ == "__main__":
    sys.exit(main())
