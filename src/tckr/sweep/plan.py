"""Merge the steps of all variants: equal fingerprints are one step, inputs come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tckr.config import Settings, changed
from tckr.engine.step import Step
from tckr.first.validation import validate_step
from tckr.pipeline import pipeline
from tckr.stages.generate.config import GenerateConfig
from tckr.sweep.grid import Variant


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
    return Planned(variant=variant, settings=settings, steps=[*steps, validate_step(steps, settings.audit.confidence)])


def merge(variants: Sequence[Planned]) -> list[Step]:
    """Return every distinct step once, named `<sweep>/<first variant>/<name>`, inputs first and variant by variant.

    So the first variants are finished early. Larger synthetic sets come before the smaller ones that they contain.
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
    return [replace(step, donors=donors.get(step.name, ())) for step in merged.values()]


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
