"""`tckr estimate`: predict what a run takes, from a measurement on a few of its images."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tckr.cli.settings import Arguments, Data, Json, Name, Output, Preset, settings_from

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tckr.artifacts.data_card import DataCard
    from tckr.config import Settings
    from tckr.costs.forecast import Forecast
    from tckr.costs.guarantee import PrivateWork
    from tckr.costs.probe import Probe

Seconds = Annotated[
    float,
    typer.Option(min=1, help="Approximate duration of the measurement in seconds; the smallest probe may take longer."),
]
SHOWN = 3
"""Classes that are named."""

MEASURED = (
    " How accurate a Student can be depends on the images and their number. Measured at epsilon 10 and 1: on handwritten "
    "digits 98 and 98 % with 60,000 images, but 92 to 95 and 79 to 82 % with 1,200; on pictures of clothes 78 to 80 and "
    "75 to 76 % with 60,000 (docs/guarantee.md, What it costs)."
)
"""What a set can hope for."""

STAGES = ("caption", "adapt", "generate", "teach", "label", "distill")


def estimate(
    arguments: Arguments = None,
    data: Data = None,
    preset: Preset = None,
    name: Name = None,
    output: Output = None,
    seconds: Seconds = 120.0,
    as_json: Json = False,
) -> None:
    """Measure every stage on a few of your images; print time, memory and disk at each cardinality before a long run.

    The data is prepared completely, as a run would do anyway. All other measurements are made in a temporary folder and
    deleted.
    """
    settings = settings_from(arguments, data, preset, name, output)
    from tckr.artifacts.data_card import DataCard
    from tckr.cli.console import ConsoleObserver
    from tckr.cli.terminal import Terminal, complain, write_json
    from tckr.costs.probe import probe
    from tckr.engine.private import make_private
    from tckr.engine.runner import Runner
    from tckr.engine.store import Store
    from tckr.privacy.refusals import refuse_few_units
    from tckr.running import plan, refuse_missing_models, refuse_places

    refuse_places(settings)
    steps, store = plan(settings, "prepare", begins=True), Store(settings.execution.store)
    later = plan(settings, "distill")
    refuse_missing_models(later, store)
    make_private(settings.execution.output)
    with (
        tempfile.TemporaryDirectory(prefix="tckr-estimate-", dir=settings.execution.output) as folder,
        ConsoleObserver() as observer,
    ):
        # not in the run's folder, which may belong to a finished run with other settings
        log_file = Path(folder) / "log.jsonl"
        Runner(store=store, execution=settings.execution, log_file=log_file, observer=observer).run(steps)
        prepared = store.folder(steps[-1])
        card = DataCard.read(prepared)
        for check in (step.checks.get(steps[-1].fingerprint) for step in later if not store.has(step)):
            if check:  # what a run refuses directly after `prepare`
                check(prepared)
        refuse_few_units(settings.privacy, _num_units(settings, card))
        _private_work(settings, card)  # refuses a set that is too small for the budget
        complain("measuring on a few images, then on more until the time is used up")
        found = probe(settings, prepared, Path(folder) / "probe", seconds, observer)
    if as_json:
        write_json(_numbers(settings, card, found))
    else:
        print_estimate(settings, card, found, Terminal())


def _numbers(settings: Settings, card: DataCard, found: Probe) -> dict[str, Any]:
    """Return the estimates for --json: seconds and bytes by cardinality and stage, and seconds of the audit."""
    from tckr.costs.forecast import LIKE_TEACH, disk_needed, drawn
    from tckr.costs.reference_runs import bill_after

    configured = settings.generate.cardinality
    rows = []
    for value, costs in _forecasts(settings, card, found).items():
        bill = bill_after(settings, card, value, costs) if _has_references(settings) else None
        rows.append(
            {
                "cardinality": value,
                "configured": value == configured,
                "images": drawn(settings.generate, card.num_members, value),
                "seconds": {step: cost.seconds for step, cost in costs.items()},
                "seconds_to_student": sum(cost.seconds for cost in costs.values()),
                "audit_seconds_least": bill.fastest if bill else None,
                "audit_seconds_most": bill.slowest if bill else None,
                "disk_bytes": disk_needed(costs),
            }
        )
    measured = [step for step in (*STAGES, *LIKE_TEACH) if step in found.laps]
    work = _private_work(settings, card)
    return {
        "measured_images": found.num_members,
        "num_members": card.num_members,
        "peak_memory_mb": {step: found.laps[step].peak_memory_mb for step in measured},
        "device_memory_mb": {step: found.laps[step].device_memory_mb for step in measured},
        "estimates": rows,
        "guarantee": None if work is None else asdict(work) | {"warning": _delta_warning(settings, card)},
    }


def _forecasts(settings: Settings, card: DataCard, found: Probe) -> dict[float, Mapping[str, Forecast]]:
    from tckr.costs.forecast import CARDINALITIES, forecast

    cardinalities = sorted({*CARDINALITIES, settings.generate.cardinality})
    return {value: forecast(settings.run_config(), card.num_members, value, found) for value in cardinalities}


def print_estimate(settings: Settings, card: DataCard, found: Probe, console: Console) -> None:
    """Print the measurement, then the estimate for each cardinality."""
    console.print(f"measured with {found.num_members} images; the set has {card.num_members} members")
    console.print(_paces(found))
    by_cardinality = _forecasts(settings, card, found)
    console.print(_costs(settings, card, by_cardinality))
    console.print(_notes(settings), soft_wrap=True)
    if settings.privacy.is_on:
        if warning := _delta_warning(settings, card):
            console.print(f"[yellow]warning[/]  {warning}", soft_wrap=True)
        console.print(_guarantee(settings, card, by_cardinality[settings.generate.cardinality]["adapt"]), soft_wrap=True)
    _warn_of_disk(settings, by_cardinality[settings.generate.cardinality], console)


def _paces(found: Probe) -> Table:
    from rich.table import Table

    from tckr.costs.forecast import LIKE_TEACH, images_per_second

    on_device = any(lap.device_memory_mb for lap in found.laps.values())
    table = Table("stage", "pace", "start-up", "peak memory", *(["GPU memory"] if on_device else []))
    for stage in (*STAGES, *(step for step in LIKE_TEACH if step in found.laps)):
        lap = found.laps[stage]
        pace = f"{images_per_second(found, stage):,.3g} images/s" if stage in STAGES else ""
        if stage == "adapt" and lap.phase("steps").units:
            pace += f", {1 / lap.phase('steps').seconds_per_unit:,.3g} steps/s"
        device = [f"{lap.device_memory_mb:,.0f} MB"] if on_device else []
        table.add_row(stage, pace, f"{lap.fixed_seconds:.1f} s", f"{lap.peak_memory_mb:,.0f} MB", *device)
    return table


def _costs(settings: Settings, card: DataCard, by_cardinality: Mapping[float, Mapping[str, Forecast]]) -> Table:
    """Return a table with a column per cardinality and a row per step, followed by the sums."""
    from rich import box
    from rich.table import Table

    from tckr.costs.forecast import disk_needed, drawn
    from tckr.costs.reference_runs import bill_after
    from tckr.disk import size_text
    from tckr.html.numbers import rounded

    configured = settings.generate.cardinality
    table = Table(
        "cardinality", *(f"{value:g}x" + " *" * (value == configured) for value in by_cardinality), box=box.SIMPLE_HEAD
    )
    table.add_row("images", *(f"{drawn(settings.generate, card.num_members, value):,d}" for value in by_cardinality))
    for step in by_cardinality[configured]:
        table.add_row(step, *(" ".join(rounded(costs[step].seconds)) for costs in by_cardinality.values()))
    whole = [sum(cost.seconds for cost in costs.values()) for costs in by_cardinality.values()]
    table.add_row("Student, in total", *(" ".join(rounded(seconds)) for seconds in whole))
    if bills := [bill_after(settings, card, *pair) for pair in by_cardinality.items() if _has_references(settings)]:
        table.add_row("audit, at least", *(" ".join(rounded(bill.fastest)) for bill in bills))
        table.add_row("audit, at most", *(" ".join(rounded(bill.slowest)) for bill in bills))
    table.add_row("disk", *(size_text(disk_needed(costs)) for costs in by_cardinality.values()))
    return table


def _has_references(settings: Settings) -> bool:
    from tckr.membership.config import MIN_REFERENCE_RUNS

    return settings.prepare.audit_holdout > 0 and settings.audit.num_reference_runs >= MIN_REFERENCE_RUNS


def _notes(settings: Settings) -> str:
    number = settings.audit.num_reference_runs
    return (
        "Estimates from one short measurement, made while the machine was as busy as it is now. Training time assumes "
        "no early stopping. Disk is an upper bound without the files of prepare and the audit. The audit makes "
        f"{number} reference runs and the controls at depth {settings.audit.depth}, "
        f"{settings.execution.num_workers(number)} at a time: 'at least' if threads do not help, 'at most' if they help "
        "fully (`tckr audit --plan` compares other numbers of reference runs). *: as configured."
    )


def _private_work(settings: Settings, card: DataCard) -> PrivateWork | None:
    from tckr.costs.guarantee import private_work

    return private_work(settings.run_config(), _num_units(settings, card)) if settings.privacy.is_on else None


def _delta_warning(settings: Settings, card: DataCard) -> str:
    """Return that delta hardly protects; empty if it protects."""
    from tckr.membership.refutation import describe_large_delta

    return describe_large_delta(settings.privacy.delta, settings.privacy.unit, _num_units(settings, card))


def _num_units(settings: Settings, card: DataCard) -> int:
    return card.groups.get("members", card.num_members) if settings.privacy.unit == "group" else card.num_members


def _guarantee(settings: Settings, card: DataCard, adapting: Forecast) -> str:
    """Return what a formal guarantee costs, and which settings change that."""
    from tckr.html.numbers import rounded
    from tckr.privacy.config import UNITS

    work, privacy = _private_work(settings, card), settings.privacy
    assert work
    return (
        f"Guarantee of epsilon {privacy.epsilon:g}, delta {privacy.delta:g}: {work.steps:,} steps x {work.units_per_step:,} "
        f"images x {privacy.noise_draws} noise draws are {work.gradients:,} gradients; adapt takes about "
        f"{' '.join(rounded(adapting.seconds))}. Each step adds noise of {work.noise_multiplier:.3g} x "
        "adapt.max_gradient_norm to the sum of its images' gradients. Time grows with adapt.steps, adapt.batch_size and "
        "privacy.noise_draws. Epsilon changes only the noise. With a larger batch, the noise is divided by more images."
        + _votes(settings, work)
        + _teacher(work, UNITS[privacy.unit])
        + _means(settings, card, work)
        + MEASURED
    )


def _votes(settings: Settings, work: PrivateWork) -> str:
    """Return how many Teachers vote, what each learns from, and with which noise; empty if labels are not votes."""
    if work.vote_noise is None or work.voted is None or work.units_per_teacher is None:
        return ""
    from tckr.privacy.config import UNITS

    privacy, voted = settings.privacy, work.voted
    few = f" As only {voted:,} images are generated, set privacy.votes={voted}: it lowers the noise."
    return (
        f" Labels of {voted:,} images are votes of {privacy.num_teachers:,} Teachers, each trained on about "
        f"{work.units_per_teacher:.3g} {UNITS[privacy.unit]}; each number of votes gets noise of {work.vote_noise:.3g}. "
        "With more Teachers the noise matters less, but each learns from fewer images." + few * (voted < privacy.votes)
    )


def _teacher(work: PrivateWork, units: str) -> str:
    """Return the steps and noise of the Teacher that labels; empty if none does."""
    from tckr.membership.refutation import steps_text

    if work.teacher is None:
        return ""
    return (
        f" The Teacher that labels takes {steps_text(work.teacher.steps, work.teacher.sampling_rate, units)}; its noise is "
        f"{work.teacher.noise_multiplier:.3g} x privacy.teacher_clip."
    )


def _means(settings: Settings, card: DataCard, work: PrivateWork) -> str:
    """Return the noise of the classes' mean images, and which classes are too small for one; empty without them."""
    from tckr.privacy.config import UNITS

    if work.central_noise is None or work.units_per_mean is None:
        return ""
    text = (
        f" The sums that give the mean image of each class get noise of {work.central_noise:.3g}; a class needs about "
        f"{work.units_per_mean:,} {UNITS[settings.privacy.unit]} for a mean image."
    )
    if settings.privacy.unit == "group":
        return text
    members = card.num_members / card.num_pool
    small = [name for name, counts in card.counts.items() if counts["pool"] * members < work.units_per_mean]
    if not small:
        return f"{text} All classes have as many."
    shown = ", ".join(small[:SHOWN]) + " and others" * (len(small) > SHOWN)
    return f"{text} {len(small)} of {len(card.counts)} classes have fewer, so they get none: {shown}."


def _warn_of_disk(settings: Settings, costs: Mapping[str, Forecast], console: Console) -> None:
    from tckr.cli.terminal import escape
    from tckr.costs.forecast import disk_needed
    from tckr.disk import free_bytes, size_text

    needed, free = disk_needed(costs), free_bytes(settings.execution.output)
    if needed > free:
        console.print(
            f"[yellow]warning[/]  {escape(settings.execution.output)} has {size_text(free)} free, but the run needs about "
            f"{size_text(needed)}; choose another --output or a lower generate.cardinality",
            soft_wrap=True,
        )
