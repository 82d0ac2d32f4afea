"""Run the sweeps of a benchmark and write the results beside the published ones.

runs/reproduce-NAME-cardinality/   the sweep over cardinalities
runs/reproduce-NAME-ablation/      the sweep over prompts, labels and the adapter's share of the members
runs/reproduce-NAME/               results.md, results.html, results.parquet, figures
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tckr.artifacts.data_card import DataCard
from tckr.config import Settings, changed, load_settings
from tckr.engine.folders import Folder, Kind
from tckr.engine.observer import Observer
from tckr.engine.runner import Runner
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.reproduction import published
from tckr.reproduction.benchmarks import Benchmark
from tckr.reproduction.comparison import compare_ablation, compare_results
from tckr.reproduction.pages import Reproduced
from tckr.running import refuse_places
from tckr.sweep.frontier import CARDINALITY, frontier
from tckr.sweep.grid import Grid
from tckr.sweep.sweeping import SweepPlan, SweepResult, check_sweeps, plan_sweep, sweep_folder

DESCRIBED = "n: d"


SWEEPS = ("cardinality", "ablation")


@dataclass(frozen=True, kw_only=True)
class Experiments:
    """The sweeps of a benchmark by name, and a note on published ones that are omitted."""

    benchmark: Benchmark
    sweeps: dict[str, SweepPlan]
    left_out: str

    @property
    def folder(self) -> Folder:
        """Return the folder of the results."""
        output = next(iter(self.sweeps.values())).base.execution.output
        return Folder(output / f"reproduce-{self.benchmark.name}", Kind.RESULTS)


def plan_experiments(
    benchmark: Benchmark, overrides: Sequence[str], options: Mapping[str, str], *, begins: bool = True
) -> Experiments:
    """Return the sweeps of `benchmark` with changed settings (`tckr.config.load_settings`); `begins` as in `plan_sweep`.

    Raises:
        UserError: a setting or source is invalid, or a folder is in use for something else.
    """
    base = load_settings(benchmark.file, overrides=overrides, options={**options, "execution.name": "reproduce"})
    _refuse_places(benchmark, base)
    ablation, left_out = _described(benchmark.ablation_grids, has_descriptions=bool(base.adapt.descriptions))
    sweeps = {"cardinality": _plan("cardinality", benchmark, base, benchmark.cardinality_grids, begins=begins)}
    if ablation:
        fixed = {"generate.cardinality": benchmark.ablation_cardinality, "audit.num_reference_runs": 0}
        sweeps["ablation"] = _plan("ablation", benchmark, changed(base, fixed), ablation, begins=begins)
    return Experiments(benchmark=benchmark, sweeps=sweeps, left_out=left_out)


def _refuse_places(benchmark: Benchmark, base: Settings) -> None:
    """Raise a UserError, before anything is written, if one of the folders is in use for something else."""
    for name in SWEEPS:
        refuse_places(_named(name, benchmark, base), Kind.SWEEP)
    Folder(base.execution.output / f"reproduce-{benchmark.name}", Kind.RESULTS).check()


def _named(name: str, benchmark: Benchmark, base: Settings) -> Settings:
    execution = base.execution.model_copy(update={"name": f"reproduce-{benchmark.name}-{name}"})
    return base.model_copy(update={"execution": execution})


def _plan(name: str, benchmark: Benchmark, base: Settings, grids: Sequence[Grid], *, begins: bool) -> SweepPlan:
    return plan_sweep(_named(name, benchmark, base), grids, begins=begins)


def check_data(experiments: Experiments, observer: Observer) -> None:
    """Read the data set and check that it has the classes of the benchmark, before anything is trained.

    Raises:
        UserError: the data cannot be read or is a different set, or a folder is in use for something else.
    """
    experiments.folder.check()
    check_sweeps(list(experiments.sweeps.values()))
    benchmark, plan = experiments.benchmark, experiments.sweeps["cardinality"]
    execution, data = plan.base.execution, plan.variants[0].step("prepare")
    store = Store(execution.store)
    folder = sweep_folder(plan, observer)
    with folder.held():
        try:
            Runner(store=store, execution=execution, log_file=folder.log_file(), observer=observer).run([data])
        except UserError as error:
            local = f"A local copy can be given with `tckr reproduce {benchmark.name} --data PATH`."
            raise UserError(f"{error} {local}") from None
    names = DataCard.read(store.folder(data)).class_names
    absent = [name for name in benchmark.some_classes if name not in {found.lower() for found in names}]
    if len(names) != benchmark.num_classes or absent:
        missing = f" and no class {absent[0]!r}" if absent else ""
        raise UserError(
            f"{plan.base.prepare.source} has {len(names)} usable classes{missing}, first {names[0]!r}; expected the "
            f"{benchmark.num_classes} of {benchmark.name}. Check --data; prepare.label_column and prepare.class_names set "
            "column and names (docs/sweeps.md)"
        )


def reproduced(experiments: Experiments, results: dict[str, SweepResult]) -> Reproduced:
    """Return the results of the sweeps with the published results."""
    name, rows = experiments.benchmark.name, results["cardinality"].rows
    whole = [row for row in rows if row["state"] == "complete"]
    found = frontier(whole, {}) if len({row[CARDINALITY] for row in whole}) > 1 else None
    ablated = results["ablation"].rows if "ablation" in results else []
    return Reproduced(
        benchmark=experiments.benchmark,
        frontier=found,
        results=compare_results(found, rows, published.results(name)),
        ablation=compare_ablation(ablated, published.ablation(name)) if ablated else [],
        left_out=experiments.left_out,
    )


def _described(grids: Sequence[Grid], *, has_descriptions: bool) -> tuple[list[Grid], str]:
    """Return the grids that can be run, and a note; prompts with class descriptions need descriptions in the settings."""
    if has_descriptions or not any(DESCRIBED in grid["adapt.prompt_form"] for grid in grids):
        return list(grids), ""
    kept = [grid for grid in grids if DESCRIBED not in grid["adapt.prompt_form"]]
    return kept, (
        "Omitted: the prompts with one description per class (n: d), whose published texts are unknown; give your own in "
        "adapt.descriptions."
    )
