"""Which step waits for which: it follows from the whole graph, never from what is whole already."""

from __future__ import annotations

from collections.abc import Sequence

from tckr.engine.step import Step


def sources_of(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return for each step the names of those among `steps` that it waits for: its inputs, and donors listed before it.

    Two steps may be donors of each other; the first in the list then is the first to be computed.
    """
    place = {step.name: index for index, step in enumerate(steps)}
    return {
        step.name: [source.name for source in step.inputs.values() if source.name in place]
        + [donor.name for donor in step.donors if place.get(donor.name, len(steps)) < place[step.name]]
        for step in steps
    }
