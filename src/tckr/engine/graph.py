"""Dependencies between steps. They follow from the complete graph, never from which artifacts exist already."""

from __future__ import annotations

from collections.abc import Sequence

from tckr.engine.step import Step


def sources_of(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return for each step the names of the `steps` that it waits for: its inputs, and donors listed before it.

    Two steps may be donors of each other; the one listed first is computed first.
    """
    place = {step.name: index for index, step in enumerate(steps)}
    return {
        step.name: [source.name for source in step.inputs.values() if source.name in place]
        + [donor.name for donor in step.donors if place.get(donor.name, len(steps)) < place[step.name]]
        for step in steps
    }
