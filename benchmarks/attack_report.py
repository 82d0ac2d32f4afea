"""Does a shared report tell who was a member? An outsider has report.json, the released Student and labelled candidates.

    python benchmarks/attack_report.py                                     # made-up worlds in which nothing leaks
    python benchmarks/attack_report.py --run runs/NAME                     # the report and Student of a finished run
    python benchmarks/attack_report.py --run runs/NAME --report FILE.json  # another report of the same run

He queries the Student with every candidate and sorts the candidates by its confidence. A ROC curve then says, step
by step down this order, how many members and how many others come next. `plain` is the attack by confidence alone, in the
direction that the report's own AUC gives: what the audit says itself. The gain is what the report adds to it, with a paired
interval; exit status 1 when a gain is above 0. The membership is read only to score the attacks. In the made-up worlds the
exact audit is attacked too, which shows that the attacks work: its gains are far above 0.

`curve` walks the ROC curve, `rates` the true positive rates, `classes` turns the order round in classes with an AUC below a
half, `errors` tells test images from others by the wrong answers of each class, `together` walks the curves of two audits
of the same Student with other views, `subsets` tries every membership of a set of 20 against all sums that are given.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit
from scipy.stats import rankdata

from tckr.artifacts.audit import PLAIN, AuditResult
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence, Predictions
from tckr.membership.verdict import judge
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc, auc_difference
from tckr.stages.report.shared_audit import shareable_audit
from tckr.surfaces import CLASSIFIERS

Report = dict[str, Any]
"""The section `audit` of report.json."""

CONFIDENCE = 0.95
CLASSES, TEST_SHARE = 10, 0.2
CERTAIN = 0.05
"""A record is certain to the outsider when its density of members is within this of 0 or 1."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What the outsider knows of N candidates: the Student's confidence in their labels, the labels, and its errors."""

    signal: np.ndarray
    labels: np.ndarray
    wrong: np.ndarray


def plain(report: Report, candidates: Candidates) -> np.ndarray:
    """Return the attack by confidence alone, turned round where the report says that members are less sure."""
    found = report["surfaces"]["student"]["auc"][PLAIN]
    return candidates.signal if found.get("value", 0.5) >= 0.5 else -candidates.signal


def plain_errors(report: Report, candidates: Candidates) -> np.ndarray:
    """Return which answers are wrong, in the direction in which the report's accuracy tells test images from others."""
    more_in_test = report["surfaces"]["student"]["cas"]["value"] < 1 - candidates.wrong.mean()
    return np.where(candidates.wrong == more_in_test, 0.0, 1.0)


def walk(points: list[tuple[float, float]], signal: np.ndarray, num_members: int, num_others: int) -> np.ndarray:
    """Return every candidate's share of members between the two points of a ROC curve that it lies between."""
    density, order = np.full(len(signal), 0.5), np.argsort(-signal, kind="stable")
    steps = [(round(true * num_members, 6), round(false * num_others, 6)) for false, true in sorted(points)]
    for (true, false), (next_true, next_false) in pairwise(steps):
        members, others = next_true - true, next_false - false
        begin, end = round(true + false), round(next_true + next_false)
        if members + others > 0:
            density[order[begin:end]] = members / (members + others)
    return density


def by_curve(report: Report, candidates: Candidates) -> np.ndarray:
    """Follow the complete curve of the raw signal."""
    return walk(report["surfaces"]["student"]["roc"][PLAIN], candidates.signal, *sizes(report))


def by_rates(report: Report, candidates: Candidates) -> np.ndarray:
    """Walk the three true positive rates."""
    found = report["surfaces"]["student"]["tpr"][PLAIN]
    known = [(_false_rate(report, float(rate)), one["value"]) for rate, one in found.items() if "value" in one]
    return walk([(0.0, 0.0), *known, (1.0, 1.0)], candidates.signal, *sizes(report))


def by_classes(report: Report, candidates: Candidates) -> np.ndarray:
    """Use each class in the direction of its own AUC."""
    score = np.full(len(candidates.signal), 0.5)
    by_class = report["surfaces"]["student"].get("auc_by_class") or {}
    for label, one in enumerate(by_class.values()):
        rows = np.flatnonzero(candidates.labels == label)
        ranks = candidates.signal[rows].argsort().argsort() / max(1, len(rows) - 1) - 0.5
        score[rows] = 0.5 + ranks * (one.get("value", 0.5) - 0.5)
    return score


def by_errors(report: Report, candidates: Candidates) -> np.ndarray:
    """Return each candidate's chance of being no test image: the report says how many errors of a class are its."""
    score = np.full(len(candidates.signal), 0.5)
    for label, one in enumerate(report["surfaces"]["student"]["per_class"].values()):
        for wrong in (True, False):
            rows = np.flatnonzero((candidates.labels == label) & (candidates.wrong == wrong))
            in_test = one["n"] * ((1 - one["value"]) if wrong else one["value"])
            score[rows] = 1 - np.clip(in_test / max(1, len(rows)), 0, 1)
    return score


ATTACKS: dict[str, Callable[[Report, Candidates], np.ndarray]] = {
    "curve": by_curve,
    "rates": by_rates,
    "classes": by_classes,
}


def sizes(report: Report) -> tuple[int, int]:
    """Return the numbers of members and of others, which the report states."""
    return report["declared"]["num_members"], report["declared"]["num_non_members"]


def _false_rate(report: Report, rate: float) -> float:
    others = sizes(report)[1]
    return int(rate * others + 1e-9) / others


def told(density: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Return an attack that goes by `density`, and among equals by `fallback`."""
    return np.round(density, 9) + 1e-10 * rankdata(fallback) / len(fallback)


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What an attack adds to the plain one, of how many records it is certain, and of how many of those rightly."""

    name: str
    attack: Estimate
    plain: Estimate
    gain: Estimate
    certain: int
    right: int

    def __str__(self) -> str:
        """Return a row of the table."""
        numbers = f"{self.attack.value:.3f} | {self.plain.value:.3f} | {self.gain.value:+.3f}"
        return f"| {self.name} | {numbers} [{self.gain.low:+.3f}, {self.gain.high:+.3f}] | {self.right} of {self.certain} |"


def gain(name: str, density: np.ndarray, base: np.ndarray, members: np.ndarray) -> Gain:
    """Score an attack; here, and nowhere else, the truth is used."""
    attack = told(density, base)
    found = [auc(scores, members, CONFIDENCE) for scores in (attack, base)]
    difference = auc_difference(attack, base, members, CONFIDENCE)
    assert isinstance(difference, Estimate)
    assert isinstance(found[0], Estimate)
    assert isinstance(found[1], Estimate)
    certain = np.abs(density - 0.5) > 0.5 - CERTAIN
    right = int((members == (density > 0.5))[certain].sum())
    return Gain(name=name, attack=found[0], plain=found[1], gain=difference, certain=int(certain.sum()), right=right)


def gains(report: Report, candidates: Candidates, members: np.ndarray) -> Iterator[Gain]:
    """Attack a report in every way that needs nothing else."""
    base = plain(report, candidates)
    for name, attack in ATTACKS.items():
        yield gain(name, attack(report, candidates), base, members)


@dataclass(frozen=True, kw_only=True)
class World:
    """A made-up Student that tells nothing, its exact audit, and the truth."""

    candidates: Candidates
    members: np.ndarray
    audit: AuditResult
    in_test: np.ndarray
    everybody: Candidates


@lru_cache(maxsize=4)  # several attacks are on the same one
def world(seed: int, records: int, *, references: int = 4, noise: float = 0.0) -> World:
    """Return a world; `noise` changes the confidences as other views of the candidates do, and nothing else."""
    generator = np.random.default_rng(seed)
    members = np.argsort(generator.random((references + 1, records)), axis=1) < records // 2
    images = round(records / (1 - TEST_SHARE))
    labels = np.arange(images) % CLASSES  # as `prepare` splits: every class alike
    signal, wrong = generator.normal(size=images), generator.random(images) < 0.1
    signal += noise * np.random.default_rng([seed, 1]).normal(size=len(signal))
    pool, test = slice(0, records), slice(records, None)
    rows = np.vstack([signal[pool], generator.normal(size=(references, records))])
    answers = _predictions(labels[test], wrong[test])
    evidence = Evidence(
        class_names=[str(label) for label in range(CLASSES)],
        labels=labels[pool],
        members=members,
        signals=dict.fromkeys(CLASSIFIERS, rows),
        correct=dict.fromkeys(CLASSIFIERS, np.vstack([~wrong[pool], generator.random((references, records)) > 0.1])),
        test_labels=labels[test],
        test=dict.fromkeys(CLASSIFIERS, answers),
    )
    audit = judge(MembershipConfig(scorer=PLAIN, depth="full"), evidence)
    everybody = Candidates(signal=signal, labels=labels, wrong=wrong)
    own = Candidates(signal=signal[pool], labels=labels[pool], wrong=wrong[pool])
    in_test = np.arange(len(signal)) >= records
    return World(candidates=own, members=members[0], audit=audit, in_test=in_test, everybody=everybody)


def _predictions(labels: np.ndarray, wrong: np.ndarray) -> Predictions:
    misses = np.where(wrong, 0.9, 0.1)
    return Predictions((labels + wrong) % CLASSES, np.full(len(labels), 0.9), 2 * misses**2, -np.log1p(-misses))


def as_report(audit: AuditResult, *, exact: bool) -> Report:
    """Return the section `audit` of a report: exact, as it was shared before, or as it is shared."""
    return json.loads((audit if exact else shareable_audit(audit)).model_dump_json())


def world_gains(seed: int, records: int, *, exact: bool, noise: float = 0.5) -> Iterator[Gain]:
    """Attack the report of a made-up world in every way."""
    one = world(seed, records)
    report = as_report(one.audit, exact=exact)
    yield from gains(report, one.candidates, one.members)
    yield gain("errors", by_errors(report, one.everybody), plain_errors(report, one.everybody), ~one.in_test)
    other = world(seed, records, noise=noise)
    walked = [by_curve(report, one.candidates), by_curve(as_report(other.audit, exact=exact), other.candidates)]
    both = sum(logit(np.clip(density, 0.01, 0.99)) for density in walked)
    yield gain("together", 1 / (1 + np.exp(-both)), plain(report, one.candidates), one.members)


def subset_gain(seed: int, *, exact: bool, records: int = 20) -> Gain:
    """Attack a small set: of all memberships, those that give the report's AUC and, where `exact`, the others' mean too.

    No report says that mean (reports of version 6 and before did): it shows what the attack does with it.
    """
    one = world(seed, records)
    report, signal = as_report(one.audit, exact=exact), one.candidates.signal
    others = np.array(list(combinations(range(records), records - records // 2)))
    outside = np.zeros((len(others), records), dtype=bool)
    outside[np.arange(len(others))[:, None], others] = True
    fits = np.abs(_aucs(signal, outside) - report["surfaces"]["student"]["auc"][PLAIN]["value"]) < 0.0051
    if exact:
        fits &= np.abs(outside @ signal / outside[0].sum() - signal[~one.members].mean()) < 1e-9
    return gain("subsets", 1 - outside[fits].mean(axis=0), plain(report, one.candidates), one.members)


def _aucs(signal: np.ndarray, outside: np.ndarray) -> np.ndarray:
    ranks, num_members = signal.argsort().argsort() + 1.0, int((~outside[0]).sum())
    return ((~outside) @ ranks - num_members * (num_members + 1) / 2) / (num_members * outside[0].sum())


def run_gains(run: Path, report: Path) -> Iterator[Gain]:
    """Attack the report of a finished run with its Student; the pool are the candidates."""
    from tckr.artifacts.data_card import DataCard
    from tckr.artifacts.membership import read_members
    from tckr.data.images import load_images
    from tckr.membership.queries.classifiers import record_answers
    from tckr.membership.queries.confidence import logit_confidence
    from tckr.models.classifiers import load_classifier

    data, told_by = run / "artifacts" / "prepare", json.loads(report.read_text(encoding="utf-8"))
    pool = load_images(data / "pool", None)
    settings = told_by["settings"]["audit"]
    signal, correct = record_answers(
        load_classifier(run / "artifacts" / "distill" / "model"),
        pool,
        DataCard.read(data).class_names,
        logit_confidence,
        shift=settings["shift"],
        flip=settings["flip"],
        batch_size=64,
        advance=lambda _: None,
    )
    candidates = Candidates(signal=signal, labels=np.asarray(pool.labels), wrong=~correct)
    yield from gains(told_by["audit"], candidates, np.isin(pool.ids, read_members(data, 0)))


def show(title: str, found: list[Gain]) -> bool:
    """Print a table; return whether no gain is above 0."""
    print(f"\n{title}\n\n| attack | its AUC | plain | gain [95 %] | certain, rightly |\n|---|---|---|---|---|")
    for each in found:
        print(each, flush=True)
    return all(each.gain.low <= 0 for each in found)


def main() -> int:
    """Attack, print and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--records", type=int, nargs="+", default=[300, 1294, 50_000])
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.run:
        report = chosen.report or chosen.run / "report" / "report.json"
        return 0 if show(f"{report}", list(run_gains(chosen.run, report))) else 1
    safe: dict[bool, list[bool]] = {True: [], False: []}
    for exact, held in safe.items():
        title = "exact audit" if exact else "shared report"
        held.append(show(f"{title}, 20 records", [subset_gain(chosen.seed, exact=exact)]))
        for records in chosen.records:
            held.append(show(f"{title}, {records:,} records", list(world_gains(chosen.seed, records, exact=exact))))
    return 0 if all(safe[False]) and not any(safe[True]) else 1


if __name__ == "__main__":
    sys.exit(main())
