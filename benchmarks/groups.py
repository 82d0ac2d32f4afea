"""What groups change: one run that keeps the pictures of a group together, and one that does not, on the same data.

    python benchmarks/groups.py DATA --pattern 'BloodImage_([0-9]+)' --column source_file --output runs/groups \\
        [--set key=value ...]

DATA is a folder or a table that TCKR reads. Prints a row for each of both runs: test pictures whose group is also in the
pool; most groups with members and non-members in a row of the membership matrix, over all rows; the Teacher's accuracy on
the locked test split; the AUC of the declared attack on the Teacher: where groups are set on groups, and beside it on single
records. The test split stays sealed: which record a row of the source became is read from `source_rows.parquet`. A second
call computes what is missing.

To know the Teacher alone, at a small part of the cost:

    --set audit.depth=teacher audit.images_alone=false audit.loss_draws=1 \\
          adapt.steps=0 generate.cardinality=0.1 generate.steps=5 distill.epochs=2
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tckr.artifacts.audit import AuditResult
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import read_membership
from tckr.config import load_settings
from tckr.data.groups import read_groups
from tckr.data.source_rows import read_source_rows
from tckr.membership.wording import verdict_text
from tckr.running import RunResult, run

HEADINGS = (
    "groups",
    "test pictures with their group in the pool",
    "groups on both sides",
    "Teacher's accuracy",
    "mean AUC over runs",
    "AUC of run 0",
    "mean AUC of single records",
)


@dataclass(frozen=True)
class Drawn:
    """What `prepare` made of N rows of the source: their record, -1 = refused; sizes of the splits; membership."""

    records: np.ndarray
    card: DataCard
    members: np.ndarray

    @classmethod
    def read(cls, prepared: Path) -> Drawn:
        """Read the artifact of `prepare`."""
        return cls(read_source_rows(prepared).records, DataCard.read(prepared), np.array(read_membership(prepared)))

    @property
    def in_pool(self) -> np.ndarray:
        """Return which rows are in the pool, bool [N]."""
        return (self.records >= 0) & (self.records < self.card.num_pool)

    @property
    def in_test(self) -> np.ndarray:
        """Return which rows are in the test split, bool [N]."""
        return self.records >= self.card.num_pool + self.card.num_validation


def groups_of_rows(prepared: Path) -> np.ndarray:
    """Return the group of every row of the source, int64 [N], where groups were set; -1 = refused."""
    records = read_source_rows(prepared).records
    return np.where(records < 0, -1, read_groups(prepared)[records])


def shared_with_pool(drawn: Drawn, groups_N: np.ndarray) -> tuple[int, int]:
    """Return how many test pictures have their group in the pool, and how many test pictures there are."""
    tested = groups_N[drawn.in_test & (groups_N >= 0)]
    return int(np.isin(tested, groups_N[drawn.in_pool]).sum()), len(tested)


def most_divided(drawn: Drawn, groups_N: np.ndarray) -> int:
    """Return the largest number of groups that lie on both sides of a membership row."""
    rows = np.flatnonzero(drawn.in_pool & (groups_N >= 0))
    groups, records = groups_N[rows], drawn.records[rows]
    return max(len(np.intersect1d(groups[row[records]], groups[~row[records]])) for row in drawn.members)


def table_row(name: str, result: RunResult, groups_N: np.ndarray) -> str:
    """Return a line of the table."""
    drawn, teacher = Drawn.read(result.artifacts["prepare"]), AuditResult.read(result.artifacts["audit"]).surfaces["teacher"]
    shared, tested = shared_with_pool(drawn, groups_N)
    cells = [
        name,
        f"{shared:,} of {tested:,}",
        f"{most_divided(drawn, groups_N):,}",
        str(teacher.cas),
        str(teacher.over_runs),
        str(teacher.of_target),
        str(teacher.on_records or teacher.over_runs),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--column", default="", help="prepare.group_column")
    parser.add_argument("--pattern", default="", help="prepare.group_pattern")
    parser.add_argument("--output", type=Path, default=Path("runs/groups"))
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="settings of both runs")
    given = parser.parse_args()
    grouping = {"prepare.group_column": given.column, "prepare.group_pattern": given.pattern}
    results = {}
    for name, chosen in {"with": grouping, "without": {}}.items():
        where = {"prepare.source": given.data, "execution.output": str(given.output), "execution.name": f"{name}-groups"}
        results[name] = run(load_settings(overrides=given.set, options={**where, **chosen}))
    groups_N = groups_of_rows(results["with"].artifacts["prepare"])
    print(f"| {' | '.join(HEADINGS)} |\n|{' --- |' * len(HEADINGS)}")
    for name, result in results.items():
        print(table_row(name, result, groups_N))
    for name, result in results.items():
        print(f"{name} groups: {verdict_text(AuditResult.read(result.artifacts['audit']).verdict)}")


if __name__ == "__main__":
    main()
