"""What does the family-wise rule cost? On the scores of a finished audit, every run in turn taken as the target.

Counts on how many surfaces with references an audit says `leaks`: by the rule of version 4 (any interval of the target's AUC
or of the mean over runs above 0.5, or an epsilon above 0, each at its own level, runs taken as independent) and by the
present one. Run: python benchmarks/power.py runs/NAME/artifacts/audit/scores.parquet
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

from tckr.membership.analyses import aucs_of_runs
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.family import judge_together
from tckr.membership.scorers import SCORERS
from tckr.membership.verdict import thresholds_of
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc, epsilon_lower_bound
from tckr.tables.audit import as_judged, read_table


def with_target(evidence: Evidence, run: int) -> Evidence:
    """Return the audit of another run: `run` changes places with row 0; controls belonged to the old target."""
    order = np.arange(len(evidence.members))
    order[[0, run]] = run, 0
    signals = {name: values[order] for name, values in evidence.signals.items() if len(values) > 1}
    return replace(evidence, members=evidence.members[order], signals=signals, controls={})


def old_rule(config: MembershipConfig, evidence: Evidence) -> set[str]:
    """Return the surfaces that leaked up to version 4."""
    found, scorer, thresholds = set(), SCORERS[config.scorer], thresholds_of(config, evidence)
    for surface in evidence.measured_surfaces:
        signals = evidence.signals[evidence.signals_of(surface)[0]]
        scores, truth = scorer.score(signals, evidence.members, 0), evidence.members[0]
        target = auc(scores, truth, config.confidence)
        bound = epsilon_lower_bound(scores, truth, thresholds[surface].epsilon, config.confidence, config.delta)
        runs = aucs_of_runs(scorer, signals, evidence.members)
        half = student_t.ppf((1 + config.confidence) / 2, len(runs) - 1) * runs.std(ddof=1) / len(runs) ** 0.5
        above = isinstance(target, Estimate) and target.low > 0.5
        if above or bound.value > 0 or runs.mean() - half > 0.5:
            found.add(surface)
    return found


def new_rule(config: MembershipConfig, evidence: Evidence) -> set[str]:
    """Return the surfaces that leak by the family-wise p-values."""
    tests = judge_together(config, evidence, thresholds_of(config, evidence), None).tests
    return {name for name, each in tests.items() if any(test.family_p_value <= config.family_level for test in each)}


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scores", type=Path)
    given, depth = read_table(parser.parse_args().scores)
    config = as_judged(MembershipConfig(), depth)
    said: dict[str, Counter[str]] = {"old": Counter(), "new": Counter()}
    for run in range(len(given.members)):
        evidence = with_target(given, run)
        said["old"].update(old_rule(config, evidence))
        said["new"].update(new_rule(config, evidence))
    for surface in evidence.measured_surfaces:
        old, new = (said[rule][surface] for rule in ("old", "new"))
        print(f"{surface:12s} leaks in {old} of {len(given.members)} audits by the old rule, in {new} by the present one")


if __name__ == "__main__":
    main()
