"""`tckr reproduce`: repeat the published experiments on one of their data sets, or on the digits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tckr.cli.run import DryRun
from tckr.cli.settings import Output, chosen_options
from tckr.cli.sweep import compute, finish
from tckr.errors import UserError, printable, shown

if TYPE_CHECKING:
    from tckr.reproduction.pages import Reproduced


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="digits, CIFAR10, CIFAR100, Oxford-IIIT-Pet, TinyImageNet, StanfordCars, Food101, STL10, Imagenette, "
            "Imagewoof or Caltech101.",
        ),
    ],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A local copy of the data (folder or Parquet), used instead of the hub.", show_default=False),
    ] = None,
    output: Output = None,
    dry_run: DryRun = False,
) -> None:
    """Repeat the published experiments: six cardinalities, then prompts, labels and the adapter's share of the images.

    Prints our results beside the published ones and plots them (results.md, results.html). The digits need only this
    package and have no published results. A second call computes nothing; after a crash the same command continues.
    """
    from tckr.engine.observer import Silent
    from tckr.reproduction.benchmarks import benchmark
    from tckr.reproduction.pages import write_results
    from tckr.reproduction.reproducing import check_data, plan_experiments, reproduced

    overrides = overrides or []
    options = _options(overrides, data, output)
    experiments = plan_experiments(benchmark(name), overrides, options, begins=not dry_run)
    if not dry_run:
        check_data(experiments, Silent())
    results = compute(list(experiments.sweeps.values()), dry_run)
    if results:
        found = reproduced(experiments, dict(zip(experiments.sweeps, results, strict=True)))
        with experiments.folder.held():
            write_results(experiments.folder, found)
        _print(found, experiments.folder.path)
    finish(results)


def _options(overrides: list[str], data: str | None, output: Path | None) -> dict[str, str]:
    from tckr.overrides import names_given

    if unnamed := [text for text in overrides if "=" not in text]:
        raise UserError(f"found {shown(unnamed[0])} after the name of the benchmark; expected section.setting=value")
    given = names_given(overrides)
    if "execution.name" in given:
        raise UserError("execution.name is set by the benchmark; choose another folder with --output")
    return chosen_options(given, data=data, output=output)


def _print(found: Reproduced, folder: Path) -> None:
    from tckr.cli.sweep_console import print_cells
    from tckr.cli.terminal import Terminal
    from tckr.reproduction.pages import ablation_cells, result_cells, sentences

    console = Terminal()
    print_cells(result_cells(found), console)
    if found.ablation:
        print_cells(ablation_cells(found), console)
    for text in sentences(found):
        console.print(printable(text), soft_wrap=True, markup=False)
    console.print(printable(f"results        {folder / 'results.html'}"), soft_wrap=True, markup=False)
