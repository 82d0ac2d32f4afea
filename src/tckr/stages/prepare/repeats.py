"""Count test pictures that look like a picture to train on: they raise accuracy and hide leakage. Pure."""

from __future__ import annotations

import numpy as np

from tckr.data.alike import find_alike, halves_of
from tckr.stages.prepare.splitting import Splits

EXAMPLES = 2


def describe_repeats(splits: Splits) -> str:
    """Return a sentence on the test pictures that look like one of pool or validation; empty where there are none.

    Records of groups are left to their groups, which lie on one side.
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
        f"{len(tested):,} of {len(splits.test):,} test pictures look like a picture to train on, such as {shown}. They "
        "raise accuracy and hide leakage. If they show the same patient or part, say so with prepare.group_column or "
        "prepare.group_pattern; if they are copies, remove them"
    )
