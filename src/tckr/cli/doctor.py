"""`tckr doctor`: print what this machine has, what is missing, and which models it can run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tckr.cli.settings import Json, Output
from tckr.disk import free_bytes, nearest_folder, size_text
from tckr.errors import UserError, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PROBLEM = 2

StoreFolder = Annotated[
    Path | None,
    typer.Option(help="Only check whether this folder, e.g. on a network disk, can hold a store.", show_default=False),
]


def doctor(output: Output = None, store: StoreFolder = None, as_json: Json = False) -> None:
    """Print what this machine can run and what to fix. Exit status 2 if TCKR, or a store in --store, cannot work."""
    from tckr.cli.terminal import Terminal, write_json

    if store is not None:
        raise typer.Exit(PROBLEM if _file_system(Terminal(), store) else 0)
    found = look(output or Path("runs"))
    if as_json:
        write_json(found)
    else:
        _print(found, Terminal())
    raise typer.Exit(PROBLEM if found["problems"] else 0)


def _file_system(console: Console, folder: Path) -> int:
    """Print what the file system of `folder` supports; return the number of missing features that a store needs."""
    from tckr.cli.terminal import escape
    from tckr.engine.file_system import NEEDED, WANTED, lacks

    nearest = _tested(folder)
    if nearest != folder.absolute():
        console.print(
            f"{escape(folder)} does not exist; tested is {escape(nearest)}, where it would be made", soft_wrap=True
        )
    missing, unwanted = lacks(folder), lacks(folder, WANTED)
    console.print(f"disk: {size_text(free_bytes(folder))} free in {escape(nearest)}", soft_wrap=True)
    for found in (*NEEDED, *WANTED):
        state = "[red]no[/]" if found in missing else "[yellow]no[/]" if found in unwanted else "yes"
        then = f"; {found.otherwise}" if found in (*missing, *unwanted) else ""
        console.print(f"  {state}  {found.text}{then}", soft_wrap=True)
    if missing:
        console.print("[red]problem[/]  this folder cannot hold a store; choose a folder on another disk", soft_wrap=True)
    else:
        console.print(
            "This folder can hold a store. Runs on several machines need this disk on each machine, under the same path."
        )
    return len(missing)


def _tested(folder: Path) -> Path:
    """Return `folder`, or the nearest one above it that exists, unless a file or a broken link is in the way."""
    path = folder.absolute()
    first = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not first.is_dir():
        raise UserError(f"--store {shown(folder)}: {shown(first)} is not a folder; give one, which need not exist")
    return first


def look(output: Path) -> dict[str, Any]:
    """Return what this machine has, and which public models fit into its memory."""
    from tckr import machine

    version, supported = machine.python()
    problems = [] if supported else [f"Python {version}; TCKR needs 3.11 to 3.13; make a new environment with one of them"]
    for name, wanted, there, fits in machine.requirements():
        if not fits:
            problems.append(f"{name} {there}; TCKR needs {name}{wanted}; pip install '{name}{wanted}'")
    address, answers = machine.hub()
    total, available = machine.memory_gb()
    devices = machine.gpus()
    return {
        "tckr": machine.installed("tckr"),
        "python": version,
        "torch": machine.installed("torch"),
        "extras": {name: machine.has_package(name) for name in machine.EXTRAS},
        "compiler": machine.compiler(),
        "hub": {"address": address, "answers": answers},
        "cpu": {
            "cores": machine.cores(),
            "memory_gb": total,
            "memory_available_gb": available,
            "gflops": {kind: machine.matmul_rate("cpu", kind) for kind in ("float32", "bfloat16")},
        },
        "disk": {"folder": str(nearest_folder(output)), "free_bytes": free_bytes(nearest_folder(output))},
        "gpus": [
            {
                "name": name,
                "memory_gb": size,
                "memory_free_gb": free,
                "half": half,
                "gflops": machine.matmul_rate(f"cuda:{index}", half),
            }
            for index, (name, size, free, half) in enumerate(devices)
        ],
        "models": _models(devices[0][2] if devices else 0.0, available),
        "problems": problems,
    }


def _models(device_gb: float, memory_gb: float) -> list[dict[str, Any]]:
    """Return, for each public model, the memory that it needs and whether it fits here."""
    from tckr import machine

    room, width = (device_gb, machine.HALF) if device_gb else (memory_gb, machine.SINGLE)
    needed = {model.name: machine.memory_needed_gb(model, width) for model in machine.MODELS}
    return [
        {
            "name": model.name,
            "use": model.use,
            "needs_gb": needed[model.name],
            "fits": machine.verdict(needed[model.name], room),
            "downloaded": machine.cached(model.name),
        }
        for model in machine.MODELS
    ]


def _print(found: dict[str, Any], console: Console) -> None:
    from tckr.cli.terminal import escape

    _print_software(found, console)
    cpu, disk = found["cpu"], found["disk"]
    rates = ", ".join(f"{rate:,.0f} GFLOP/s in {kind}" for kind, rate in cpu["gflops"].items())
    memory = f"{cpu['memory_available_gb']:.0f} of {cpu['memory_gb']:.0f} GB memory available"
    console.print(f"CPU: {cpu['cores']} cores, {memory}, {rates}", soft_wrap=True)
    console.print(f"disk: {size_text(disk['free_bytes'])} free in {escape(disk['folder'])}", soft_wrap=True)
    for index, gpu in enumerate(found["gpus"]):
        room = f"{gpu['memory_free_gb']:.0f} of {gpu['memory_gb']:.0f} GB free"
        console.print(f"GPU {index}: {gpu['name']}, {room}, {gpu['gflops'] / 1000:,.0f} TFLOP/s in {gpu['half']}")
    if not found["gpus"]:
        console.print("GPU: torch finds none; full-size models run slowly, on the CPU")
    console.print(_table(found["models"]))
    where = "GPU memory with weights in half precision" if found["gpus"] else "memory with weights in float32"
    console.print(
        f"needs: approximate {where} for small batches; `tckr estimate` measures it. *: already downloaded.", soft_wrap=True
    )
    for problem in found["problems"]:
        console.print(f"[red]problem[/]  {escape(problem)}", soft_wrap=True)


def _print_software(found: dict[str, Any], console: Console) -> None:
    from tckr import machine
    from tckr.cli.terminal import escape

    console.print(f"TCKR {found['tckr']}, Python {found['python']}, torch {found['torch']}")
    for name, there in found["extras"].items():
        console.print(f"  {name}: {'installed' if there else 'not installed'}; for {machine.EXTRAS[name]}")
    console.print(f"  C++ compiler: {found['compiler'] or 'none'}; for torch.compile on a CPU")
    hub = found["hub"]
    hint = "" if hub["answers"] else "; only local folders and earlier downloads can be used"
    answer = f"hub {escape(hub['address'])}: {'answers' if hub['answers'] else 'no answer'}{hint}"
    console.print(f"  {answer}", soft_wrap=True)


def _table(models: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    table.add_column("needs", justify="right")
    table.add_column("can")
    table.add_row("the embedded models (ship with TCKR)", "1 GB", "everything")
    able = {"yes": "", "tight": " (tight)"}
    for model in models:
        can = "too large" if model["fits"] == "no" else model["use"] + able[model["fits"]]
        table.add_row(model["name"] + " *" * model["downloaded"], f"{model['needs_gb']:.0f} GB", can)
    return table
