"""The name under which the data set may be shared. Paths are never shared: they name people and projects."""

from __future__ import annotations

from tckr.artifacts.data_card import DataCard
from tckr.data.sources.kinds import SourceKind

PRIVATE_NAME = "private image set"
"""Used instead of the name of a set that was not declared public."""

PUBLIC_NAME = "public image set"
"""Used instead of the path of a set that its owner declared public."""


def shown_name(card: DataCard) -> str:
    """Return `digits`, the hub's name of a set that its owner declared public, or a general name.

    A name of the form `owner/name` is not enough: a repository of the hub may be private, and a folder may have such a name.
    """
    if is_public(card):
        return card.source.partition("@")[0]
    return PUBLIC_NAME if card.public else PRIVATE_NAME


def is_public(card: DataCard) -> bool:
    """Return whether the set is public: the digits, or a set of the hub that its owner declared public.

    This uses the source that `prepare` recorded, because the path of a missing folder looks like a name of the hub.
    """
    return card.source == SourceKind.DIGITS or (card.public and card.source_kind == SourceKind.HUB)
