"""Which name of the data set may be shared. A path never: it names people and projects."""

from __future__ import annotations

from tckr.artifacts.data_card import DataCard
from tckr.data.sources.kinds import SourceKind

PRIVATE_NAME = "private image set"
"""Instead of the name of a set that nobody declared public."""

PUBLIC_NAME = "public image set"
"""Instead of the path of a set that its owner declared public."""


def shown_name(card: DataCard) -> str:
    """Return `digits`, the hub's name of a set that its owner declared public, or what kind of set it is without a name.

    A name `owner/name` alone is no reason: repositories of the hub may be private, and a folder may have such a name.
    """
    if is_public(card):
        return card.source.partition("@")[0]
    return PUBLIC_NAME if card.public else PRIVATE_NAME


def is_public(card: DataCard) -> bool:
    """Return whether everybody can have the set: the digits, or a set of the hub that its owner declared public.

    `prepare` wrote down what it read, for a folder that is gone or lies elsewhere looks like a name of the hub.
    """
    return card.source == SourceKind.DIGITS or (card.public and card.source_kind == SourceKind.HUB)
