"""How often does an audit of a pipeline that leaks nothing say `leaks`? Simulated through the real verdict code.

Every audit has six surfaces at depth `full` (all with references) or `distill`; 4, 8 or 16 reference runs; canaries or none;
classes of one size or of very different ones; a hold-out of 0.5 or 0.25; members drawn as `prepare` draws them. All signals
are noise around a level of each record. Prints the share of audits that say `leaks` of some surface, by kind, and whether
the declared level holds (a binomial test at 0.1 %). Run: python benchmarks/null_audits.py [--audits 1000] [--scorer NAME]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import binom

from tckr.artifacts.audit import AuditResult
from tckr.membership import controls
from tckr.membership.canaries import Canaries, canaries_of, canary_scores
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.verdict import judge
from tckr.stages.prepare.membership import membership_rows
from tckr.surfaces import SIGNALS

CANARIES = 60
PROGRESS = 48
"""Audits between two lines that say how far it is."""

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
    """Return the surfaces of which a valid audit says `leaks`."""
    return [name for name, surface in result.surfaces.items() if surface.state == "leaks"]


def audits(count: int, scorer: str, shift: float, first: int) -> Iterator[tuple[Kind, AuditResult]]:
    """Yield the results, kinds in turn."""
    for number in range(first, first + count):
        kind = KINDS[number % len(KINDS)]
        evidence, canaries = null_audit(kind, number, scorer, shift)
        yield kind, judge(MembershipConfig(depth=kind.depth, scorer=scorer), evidence, canaries=canaries)


def main() -> int:
    """Simulate, print and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--audits", type=int, default=1000)
    parser.add_argument("--scorer", default=MembershipConfig().scorer)
    parser.add_argument("--shift", type=float, default=0.0)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    controls.PLANTED_BAR = 0.0  # 200 records are too few to pass it, and an invalid audit says nothing at all
    said, made, invalid, strongest = Counter[str](), Counter[str](), 0, 0
    level = MembershipConfig().family_level
    for kind, result in audits(arguments.audits, arguments.scorer, arguments.shift, arguments.first):
        invalid += not result.valid
        found = [each.strongest.family_p_value for each in result.surfaces.values() if each.strongest]
        strongest += min(p for p in found if p is not None) <= level
        for name, value in {"all": "", **vars(kind)}.items():
            made[f"{name} {value}"] += 1
            said[f"{name} {value}"] += bool(says_leaks(result))
        if made["all "] % PROGRESS == 0:
            print(f"{made['all ']} audits: {said['all ']} say leaks, {strongest} by any attack", flush=True)
    for name, count in made.items():
        print(f"{name:16s} {said[name]:4d} of {count:4d} audits say leaks: {said[name] / count:.3f}")
    total = sum(made.values()) // (1 + len(vars(KINDS[0])))
    print(f"strongest attack of all, family-wise: {strongest} of {total}; audits invalid by a control: {invalid}")
    holds = binom.sf(max(said["all "], strongest) - 1, total, level) > 0.001
    print(f"declared level {level}: {'holds' if holds else 'does not hold'}")
    return 0 if holds or arguments.shift else 1


if __name__ == "__main__":
    sys.exit(main())
