"""`tckr doctor`: what this machine has, what is missing, and which models it can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tckr.cli.settings import Json, Output
from tckr.disk import free_bytes, nearest_folder, size_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PROBLEM = 2

StoreFolder = Annotated[
    Path | None,
    typer.Option(
        help="Only look whether a store can lie in this folder, such as one on a network disk.", show_default=False
    ),
]


def doctor(output: Output = None, store: StoreFolder = None, as_json: Json = False) -> None:
    """Say what this machine can run and what to mend. Exit status 2 when TCKR itself cannot work, or a store in --store."""
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
    """Print what the file system of `folder` does; return how much is missing that a store needs."""
    from tckr.cli.terminal import escape
    from tckr.engine.file_system import NEEDED, WANTED, lacks

    missing, unwanted = lacks(folder), lacks(folder, WANTED)
    console.print(f"disk: {size_text(free_bytes(folder))} free in {escape(nearest_folder(folder))}", soft_wrap=True)
    for found in (*NEEDED, *WANTED):
        state = "[red]no[/]" if found in missing else "[yellow]no[/]" if found in unwanted else "yes"
        then = f"; {found.otherwise}" if found in (*missing, *unwanted) else ""
        console.print(f"  {state}  {found.text}{then}", soft_wrap=True)
    if missing:
        console.print("[red]problem[/]  no store can lie here; choose a folder on another disk", soft_wrap=True)
    else:
        console.print("A store can lie here. Runs on several machines need this disk on each, under the same path.")
    return len(missing)


def look(output: Path) -> dict[str, Any]:
    """Return what this machine has, and which public models fit."""
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
    """Return for each public model what it needs, and whether it fits here."""
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
        console.print("GPU: none that torch sees; full-size models run on the CPU, slowly")
    console.print(_table(found["models"]))
    where = "GPU memory with weights in half precision" if found["gpus"] else "memory with weights in float32"
    console.print(f"needs: about, {where}, for small batches; `tckr estimate` measures it. *: downloaded.", soft_wrap=True)
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
    hint = "" if hub["answers"] else "; models and data sets come from folders and from the cache of earlier downloads only"
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
