"""Merge the steps of all variants: equal fingerprints are one step, inputs come first, neighbours run side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tckr.config import Settings, changed
from tckr.engine.step import Step
from tckr.pipeline import STAGES, pipeline
from tckr.stages.generate.config import GenerateConfig
from tckr.sweep.grid import Variant
from tckr.sweep.validate import VALIDATE, validate_step


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A variant with its settings and the steps of its run, under the names that they have in a run of its own."""

    variant: Variant
    settings: Settings
    steps: Sequence[Step]

    @property
    def name(self) -> str:
        """Return the variant's name."""
        return self.variant.name

    def step(self, name: str) -> Step:
        """Return the step called `name`."""
        return next(step for step in self.steps if step.name == name)


def plan_variant(variant: Variant, base: Settings, secret: bytes) -> Planned:
    """Return a variant's settings and steps, with one more step that asks both models about the validation split.

    Raises:
        UserError: an unknown setting or a value outside its range, or a data source that does not exist.
    """
    settings = changed(base, variant.changes)
    steps = pipeline(settings.run_config(), secret)
    return Planned(variant=variant, settings=settings, steps=[*steps, validate_step(steps, settings)])


def merge(variants: Sequence[Planned], *, side_by_side: bool) -> list[Step]:
    """Return every distinct step once, named `<sweep>/<first variant>/<name>`, ordered so that inputs come first.

    Args:
        variants: in the order in which they are wanted; of one sweep or of several.
        side_by_side: order by stage, so that as many steps as possible run at once; otherwise variant by variant, so that
            the first variants are finished early. Larger synthetic sets come before the smaller ones they contain.
    """
    merged: dict[str, Step] = {}
    for planned in sorted(variants, key=_cardinality, reverse=True):
        for step in planned.steps:
            if step.fingerprint not in merged:
                inputs = {name: merged[source.fingerprint] for name, source in step.inputs.items()}
                merged[step.fingerprint] = replace(
                    step, name=f"{planned.settings.execution.output.name}/{planned.name}/{step.name}", inputs=inputs
                )
    donors = donors_of(list(merged.values()))
    waiting = {step.name for step in merged.values() if _waits(step, donors)}
    ordered = sorted(merged.values(), key=lambda step: _place(step, waiting)) if side_by_side else merged.values()
    return [replace(step, donors=donors.get(step.name, ())) for step in ordered]


def donors_of(steps: Sequence[Step]) -> dict[str, list[Step]]:
    """Return step name -> synthetic sets that differ from it in cardinality alone; `steps` has the largest first.

    All copy from the largest, which is drawn first; the largest itself from those that an earlier sweep left whole.
    """
    families: dict[str, list[Step]] = {}
    for step in steps:
        if isinstance(step.config, GenerateConfig):
            alike = replace(step, config=step.config.model_copy(update={"cardinality": 1.0}))
            families.setdefault(alike.fingerprint, []).append(step)
    donors: dict[str, list[Step]] = {}
    for largest, *smaller in families.values():
        donors |= {largest.name: smaller, **{step.name: [largest] for step in smaller}}
    return donors


def sharing(variants: Sequence[Planned]) -> Counter[str]:
    """Return fingerprint -> number of variants that need the step."""
    return Counter(fingerprint for planned in variants for fingerprint in {step.fingerprint for step in planned.steps})


def _cardinality(planned: Planned) -> float:
    return planned.settings.generate.cardinality


def _waits(step: Step, donors: Mapping[str, Sequence[Step]]) -> bool:
    """Return whether another step of the same stage comes before this one."""
    first = [source for source in step.inputs.values() if source.stage == step.stage]
    larger = [donor for donor in donors.get(step.name, ()) if donor.config.cardinality > step.config.cardinality]  # type: ignore[attr-defined]
    return bool(first or larger)


def _place(step: Step, waiting: Collection[str]) -> tuple[int, bool]:
    return len(STAGES) if step.stage == VALIDATE else STAGES.index(step.stage), step.name in waiting
