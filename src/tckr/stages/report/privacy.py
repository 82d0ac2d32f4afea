"""Which name of the data set may be shared. A path never: it names people and projects."""

from __future__ import annotations

from tckr.artifacts.data_card import DataCard
from tckr.data.sources import is_hub_name

PRIVATE_NAME = "private image set"
"""Instead of the name of a set that nobody declared public."""

PUBLIC_NAME = "public image set"
"""Instead of the path of a set that its owner declared public."""

DIGITS = "digits"


def shown_name(card: DataCard) -> str:
    """Return `digits`, the hub's name of a set that its owner declared public, or what kind of set it is without a name.

    A name `owner/name` alone is no reason: repositories of the hub may be private, and a folder may have such a name.
    """
    if card.source == DIGITS:
        return DIGITS
    if not card.public:
        return PRIVATE_NAME
    return card.source.partition("@")[0] if is_hub_name(card.source) else PUBLIC_NAME
