"""Count test images that look like a training image: they raise accuracy and hide leakage."""

from __future__ import annotations

import numpy as np

from tckr.data.alike import find_alike, halves_of
from tckr.stages.prepare.splitting import Splits

EXAMPLES = 2


def describe_repeats(splits: Splits) -> str:
    """Return a sentence on test images that look like one of pool or validation; empty if there are none.

    Records with groups are not compared, because a group is on one side only.
    """
    first = splits.first_record("test")
    records = splits.in_order()
    pairs = find_alike([half for record in records for half in halves_of(0 if record.group else record.look)])
    across = pairs[(pairs[:, 0] < first) & (pairs[:, 1] >= first)]
    tested = np.unique(across[:, 1])
    if not len(tested):
        return ""
    shown = "; ".join(f"{records[test].file} and {records[other].file}" for other, test in across[:EXAMPLES])
    return (
        f"{len(tested):,} of {len(splits.test):,} test images look like an image to train on, such as {shown}. They "
        "raise accuracy and hide leakage. If they show the same patient or part, set prepare.group_column or "
        "prepare.group_pattern; if they are copies, remove them"
    )
