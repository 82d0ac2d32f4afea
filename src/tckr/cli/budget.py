"""`tckr audit --plan`: make one run, then print what reference runs would cost and buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from tckr.cli.run import execute
from tckr.cli.status import is_reference
from tckr.cli.terminal import Terminal
from tckr.config import Settings
from tckr.data.card import EVERY_RECORD, read_canaries, read_membership
from tckr.disk import size_text
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.pipeline import pipeline
from tckr.running import plan
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.audit.budget import (
    Bill,
    Cost,
    Repeated,
    after,
    asking,
    bill,
    mean_width,
    numbers_to_compare,
    smallest_rate,
    target_width,
)
from tckr.stages.audit.config import MIN_REFERENCE_RUNS, Depth
from tckr.training.config import TrainingConfig

OTHER_COLUMNS = 4
"""Of a table of answers, beside one per question: the record's number, a second distance, and who was classified rightly."""


def plan_audit(settings: Settings) -> None:
    """Bring the target run up to its Student, then print a table of what reference runs cost and buy.

    Raises:
        UserError: the settings leave no non-members, so that nothing could be measured.
    """
    if settings.prepare.audit_holdout == 0:
        raise UserError("prepare.audit_holdout=0 leaves no non-members, so there is no audit to plan; set it, e.g. to 0.5")
    execute(settings, "distill")
    _print(settings, Measurements.of(settings), Terminal())


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What the target run takes, stage by stage.

    Attributes:
        settings: of the run.
        whole: returns the cost of a step that is whole, None for others.
        target: stage -> the step of the target run and its cost.
        num_members, num_others: records of the target's audit.
    """

    settings: Settings
    whole: Callable[[Step], Cost | None]
    target: Mapping[str, tuple[Step, Cost]]
    num_members: int
    num_others: int

    @classmethod
    def of(cls, settings: Settings) -> Measurements:
        """Read what is known of the target run, which must be whole up to its Student."""
        store = Store(settings.execution.store)
        steps = plan(settings, "distill")
        data = store.folder(steps[0])
        members = np.array(read_membership(data)[0])[read_canaries(data) == 0]
        return cls(
            settings=settings,
            whole=partial(whole_cost, store),
            target={step.stage: (step, _of_manifest(store.manifest(step))) for step in steps},
            num_members=int(members.sum()),
            num_others=int((~members).sum()),
        )

    def cost(self, step: Step) -> Cost:
        """Return what `step` takes: as measured if it is whole, else after the target's step of the same stage."""
        if measured := self.whole(step):
            return measured
        if step.stage == "audit":
            return self._asking(step)
        like, cost = self.target[step.stage]
        return after(cost, self._length(step) / max(1, self._length(like)), same_settings=step.config == like.config)

    def _length(self, step: Step) -> float:
        """Return how long a step works, in a unit of its stage: optimizer steps, epochs, images."""
        if isinstance(step.config, AdaptConfig):
            return step.config.num_steps(step.config.num_images(self.num_members))
        if isinstance(step.config, TrainingConfig):
            return step.config.epochs
        return self.num_members + self.num_others * (step.run == EVERY_RECORD)

    def _asking(self, step: Step) -> Cost:
        """Return the estimated cost of asking a run all that its own artifacts can answer."""
        from tckr.stages.audit.questions import QUESTIONS  # loads torch

        records, generate = self.num_members + self.num_others, self.settings.generate
        images = max(1, round(generate.cardinality * self.num_members))
        asked = {name: question for name, question in QUESTIONS.items() if set(question.needs) <= set(step.inputs)}
        looks = {name: question.looks(self.settings.audit) * records for name, question in asked.items()}
        features = sum(images for question in asked.values() if "features" in question.needs)
        return asking(
            self.target["label"][1],
            self.target["generate"][1],
            images=images,
            passes=generate.steps * (2 if generate.guidance_scale > 1 else 1),
            denoisings=looks.pop("adapter", 0),
            looks=sum(looks.values()) + features,
            num_bytes=8 * records * (len(asked) + OTHER_COLUMNS),
        )

    def repeated(self, depth: Depth) -> Repeated:
        """Return the costs of all steps that reference runs and controls add at `depth`."""
        config = self.settings.run_config()
        audit = config.audit.model_copy(update={"depth": depth, "num_reference_runs": MIN_REFERENCE_RUNS})
        by_run: dict[str, list[Cost]] = {}
        for step in pipeline(config.model_copy(update={"audit": audit})):
            if is_reference(step):
                by_run.setdefault(step.name.rsplit(".", 1)[1], []).append(self.cost(step))
        others = [run for run in by_run if run == "0" or not run.isdigit()]
        return Repeated(per_run=by_run["1"], once=[cost for run in others for cost in by_run[run]])

    def bill(self, steps: Repeated, num_runs: int) -> Bill:
        """Return what `num_runs` reference runs cost on this machine."""
        workers = self.settings.execution.num_workers(num_runs)
        return bill(steps, num_runs, workers=workers, threads=self.settings.execution.threads_for(workers))


def whole_cost(store: Store, step: Step) -> Cost | None:
    """Return what a step of `store` took, or None where it is not whole."""
    return _of_manifest(store.manifest(step)) if store.has(step) else None


def _of_manifest(manifest: Mapping[str, Any]) -> Cost:
    num_bytes, threads = sum(manifest["files"].values()), manifest["computed_on"]["threads"]
    return Cost(seconds=manifest["seconds"], num_bytes=num_bytes, threads=threads, measured=True)


def _print(settings: Settings, found: Measurements, console: Console) -> None:
    configured, level = settings.audit, settings.audit.confidence
    depths: tuple[Depth, ...] = get_args(Depth)
    steps = {depth: found.repeated(depth) for depth in depths}
    table = Table("reference runs", "mean AUC", *(f"depth {depth}" for depth in depths))
    for number in numbers_to_compare(configured.num_reference_runs):
        bills = {depth: found.bill(steps[depth], number) for depth in depths}
        marked = {configured.depth} if number == configured.num_reference_runs else set()
        width = mean_width(found.num_members, found.num_others, number, level)
        table.add_row(str(number), f"{width:.3f}", *(_cell(bills[depth], depth in marked) for depth in depths))
    console.print(_constants(found, level), soft_wrap=True)
    console.print(table)
    console.print(_notes(settings, found, steps), soft_wrap=True)


def _constants(found: Measurements, level: float) -> str:
    width = target_width(found.num_members, found.num_others, level)
    return (
        f"{found.num_members} members and {found.num_others} non-members. With any number of reference runs: AUC of the "
        f"target with a {level:.0%} interval {width:.3f} wide, TPR down to an FPR of {smallest_rate(found.num_others):.2%}."
    )


def _notes(settings: Settings, found: Measurements, steps: Mapping[Depth, Repeated]) -> str:
    number = settings.audit.num_reference_runs
    workers = settings.execution.num_workers(number)
    estimated = ", ".join(f"{depth} {found.bill(costs, number).estimated:.0%}" for depth, costs in steps.items())
    return (
        "mean AUC: width of its interval over runs. Both widths are those to expect where nothing leaks.\n"
        f"time: to train and ask the runs and the controls, {workers} at a time, without judging and process starts; "
        "first if threads do not help, then if they help in full. Not measured but estimated (asking, longer controls): "
        f"{estimated}.\n"
        f"*: as configured (audit.num_reference_runs={number}, audit.depth={settings.audit.depth})."
    )


def _cell(cost: Bill, marked: bool) -> str:
    return f"{span(cost.fastest, cost.slowest)}{' *' * marked}\n{size_text(cost.num_bytes)}"


def span(fastest: float, slowest: float) -> str:
    """Return for example `24 to 49 min`, `64 min to 2.1 h`, or one number where both print the same."""
    (low, low_unit), (high, high_unit) = duration(fastest), duration(slowest)
    if (low, low_unit) == (high, high_unit):
        return f"{high} {high_unit}"
    return f"{low} to {high} {high_unit}" if low_unit == high_unit else f"{low} {low_unit} to {high} {high_unit}"


def duration(seconds: float) -> tuple[str, str]:
    """Return a number of two digits and its unit."""
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= 2 * size), (1, "s"))
    return (f"{seconds / size:.1f}" if seconds < 10 * size else f"{seconds / size:.0f}"), unit
