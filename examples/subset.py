"""Copy some rows of a labelled Parquet file as the train and test splits of a smaller data set.

    python -m examples.subset --data all.parquet --train 0:3000 --test 60000:61000 --output SMALL

Rows START:STOP of --data become SMALL/train.parquet, those of --test-data (default: --data) SMALL/test.parquet; column
types and class names are kept. `prepare.source=SMALL` then locks the test file and divides the other one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow.parquet as pq


def copy_rows(source: Path, target: Path, rows: range) -> None:
    """Write `rows` of the table `source` to `target`.

    Raises:
        SystemExit: the table does not have these rows, or `target` exists.
    """
    table = pq.read_table(source)
    if not len(rows) or rows.stop > len(table):
        raise SystemExit(f"{source} has the rows 0:{len(table)}; expected a part of them, found {rows.start}:{rows.stop}")
    if target.exists():
        raise SystemExit(f"{target} exists, and is left as it is; give another --output")
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.slice(rows.start, len(rows)), target)
    print(f"{len(rows)} rows of {source} -> {target}")


def rows_of(text: str) -> range:
    """Return the rows that START:STOP names."""
    start, stop = map(int, text.split(":"))
    return range(start, stop)


def main() -> None:
    """Read the arguments and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Parquet file of the training rows")
    parser.add_argument("--test-data", type=Path, help="Parquet file of the test rows (default: --data)")
    parser.add_argument("--train", type=rows_of, required=True, metavar="START:STOP", help="training rows")
    parser.add_argument("--test", type=rows_of, required=True, metavar="START:STOP", help="test rows")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new set")
    arguments = parser.parse_args()
    copy_rows(arguments.data, arguments.output / "train.parquet", arguments.train)
    copy_rows(arguments.test_data or arguments.data, arguments.output / "test.parquet", arguments.test)


if __name__ == "__main__":
    main()
