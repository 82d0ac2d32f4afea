"""Cost of the reference runs and controls of a run, predicted from the measured cost of its target run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import EVERY_RECORD, read_canaries, read_membership
from tckr.config import Settings
from tckr.costs.forecast import LIKE_TEACH, Forecast
from tckr.costs.reference_cost import Bill, Cost, Repeated, after, asking, bill
from tckr.data.groups import read_groups
from tckr.engine.step import Role, Step
from tckr.engine.store import Store
from tckr.membership.config import MIN_REFERENCE_RUNS, Depth
from tckr.running import plan
from tckr.stages.adapt.config import AdaptConfig
from tckr.training.config import TrainingConfig

OTHER_COLUMNS = 5
"""Columns of a table of answers besides one per query: record number, two more distances, and correct classification."""


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Measured cost of the target run by stage.

    Attributes:
        settings: of the run.
        cost_of: returns the cost of a complete step, None for others.
        target: kind of step (`_kind`) -> the step of the target run and its cost.
        num_members, num_others: records of the target's audit.
        units: number of members and of others that the audit judges: groups if they are set, else records.
    """

    settings: Settings
    cost_of: Callable[[Step], Cost | None]
    target: Mapping[str, tuple[Step, Cost]]
    num_members: int
    num_others: int
    units: tuple[int, int]

    @classmethod
    def of(cls, settings: Settings) -> Measurements:
        """Read the cost of the target run, which must be complete up to its Student and Teacher."""
        store = Store(settings.execution.store)
        steps = target_steps(settings)
        data = store.folder(steps[0])
        ordinary = read_canaries(data) == 0
        members, groups = np.array(read_membership(data)[0])[ordinary], read_groups(data)[: len(ordinary)][ordinary]
        return cls(
            settings=settings,
            cost_of=partial(complete_cost, store),
            target={_kind(step): (step, _of_manifest(store.manifest(step))) for step in steps if step.role is Role.TARGET},
            num_members=int(members.sum()),
            num_others=int((~members).sum()),
            units=(len(np.unique(groups[members])), len(np.unique(groups[~members]))),
        )

    def cost(self, step: Step) -> Cost:
        """Return the cost of `step`: measured if it is complete, else predicted from the target's step of the same kind."""
        if measured := self.cost_of(step):
            return measured
        if step.stage == "audit":
            return self._asking(step)
        like, cost = self.target[_kind(step)]
        return after(cost, self._length(step) / max(1, self._length(like)), same_settings=step.config == like.config)

    def _length(self, step: Step) -> float:
        """Return the amount of work of a step in a unit of its stage: optimizer steps, epochs or images."""
        if isinstance(step.config, AdaptConfig):
            return step.config.num_steps(step.config.num_images(self.num_members))
        if isinstance(step.config, TrainingConfig):
            return step.config.epochs
        return self.num_members + self.num_others * (step.run == EVERY_RECORD)

    def _asking(self, step: Step) -> Cost:
        """Return the estimated cost of all queries that a run's own artifacts can answer."""
        from tckr.membership.queries.questions import QUESTIONS  # loads torch

        records, generate = self.num_members + self.num_others, self.settings.generate
        images = generate.num_images(self.num_members)
        asked = {name: question for name, question in QUESTIONS.items() if set(question.needs) <= set(step.inputs)}
        looks = {name: question.looks(self.settings.audit) * records for name, question in asked.items()}
        features = sum(images for question in asked.values() if "features" in question.needs)
        return asking(
            self.target["label"][1],
            self.target["generate"][1],
            images=images,
            views=self.settings.label.views,
            passes=generate.schedule(self.settings.adapt.model).steps * (2 if generate.guidance_scale > 1 else 1),
            denoisings=looks.pop("adapter", 0),
            looks=sum(looks.values()) + features,
            num_bytes=8 * records * (len(asked) + OTHER_COLUMNS),
        )

    def repeated(self, depth: Depth) -> Repeated:
        """Return the cost of all steps that reference runs and controls add at `depth`."""
        audit = self.settings.audit.model_copy(update={"depth": depth, "num_reference_runs": MIN_REFERENCE_RUNS})
        steps = plan(self.settings.model_copy(update={"audit": audit}))
        per_run = [self.cost(step) for step in steps if step.role is Role.REFERENCE and step.run == 1]
        return Repeated(per_run=per_run, once=[self.cost(step) for step in steps if step.role is Role.CONTROL])

    def bill(self, steps: Repeated, num_runs: int) -> Bill:
        """Return the cost of `num_runs` reference runs on this machine."""
        workers = self.settings.execution.num_workers(num_runs)
        return bill(steps, num_runs, workers=workers, threads=self.settings.execution.threads_for(workers))


def bill_after(settings: Settings, card: DataCard, cardinality: float, costs: Mapping[str, Forecast]) -> Bill:
    """Return the predicted cost of reference runs and controls after a target run with these costs."""
    generate = settings.generate.model_copy(update={"cardinality": cardinality})
    settings = settings.model_copy(update={"generate": generate})
    threads = settings.execution.threads_for(1)
    target = {
        _kind(step): (step, Cost(seconds=costs[_kind(step)].seconds, num_bytes=0, threads=threads, measured=False))
        for step in target_steps(settings)
        if _kind(step) in costs and step.role is Role.TARGET
    }
    found = Measurements(
        settings=settings,
        cost_of=lambda step: None,
        target=target,
        num_members=card.num_members,
        num_others=card.num_pool - card.num_members,
        units=(card.num_members, card.num_pool - card.num_members),
    )
    return found.bill(found.repeated(settings.audit.depth), settings.audit.num_reference_runs)


def _kind(step: Step) -> str:
    """Return the stage of a step; the Teachers that label under a guarantee are a second step of `teach`."""
    name = step.name.partition(".")[0]
    return name if name in LIKE_TEACH else step.stage


def target_steps(settings: Settings) -> list[Step]:
    """Return the steps up to the Student, and the Teacher, which the Student does not need under a formal guarantee."""
    steps = {step.name: step for until in ("distill", "teach") for step in plan(settings, until)}
    return list(steps.values())


def complete_cost(store: Store, step: Step) -> Cost | None:
    """Return the measured cost of a step in `store`, or None if it is incomplete."""
    return _of_manifest(store.manifest(step)) if store.has(step) else None


def _of_manifest(manifest: Mapping[str, Any]) -> Cost:
    num_bytes, threads = sum(manifest["files"].values()), manifest["computed_on"]["threads"]
    return Cost(seconds=manifest["seconds"], num_bytes=num_bytes, threads=threads, measured=True)
