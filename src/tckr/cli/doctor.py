"""`tckr doctor`: what this machine has, what is missing, and which models it can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tckr.cli.settings import Output
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


def doctor(output: Output = None, store: StoreFolder = None) -> None:
    """Say what this machine can run and what to mend. Exit status 2 when TCKR itself cannot work, or a store in --store."""
    from tckr.cli.terminal import Terminal, escape

    console = Terminal()
    if store is not None:
        raise typer.Exit(PROBLEM if _file_system(console, store) else 0)
    problems = _software(console)
    device, memory = _hardware(console, output or Path("runs"))
    console.print(_models(device, memory))
    where = "GPU memory with weights in half precision" if device else "memory with weights in float32"
    console.print(f"needs: about, {where}, for small batches; `tckr estimate` measures it. *: downloaded.", soft_wrap=True)
    for problem in problems:
        console.print(f"[red]problem[/]  {escape(problem)}", soft_wrap=True)
    raise typer.Exit(PROBLEM if problems else 0)


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


def _software(console: Console) -> list[str]:
    """Print versions; return what keeps TCKR from working."""
    from tckr import machine
    from tckr.cli.terminal import escape

    version, supported = machine.python()
    problems = [] if supported else [f"Python {version}; TCKR needs 3.11 to 3.13; make a new environment with one of them"]
    for name, wanted, found, fits in machine.requirements():
        if not fits:
            problems.append(f"{name} {found}; TCKR needs {name}{wanted}; pip install '{name}{wanted}'")
    console.print(f"TCKR {machine.installed('tckr')}, Python {version}, torch {machine.installed('torch')}")
    for name, purpose in machine.EXTRAS.items():
        console.print(f"  {name}: {'installed' if machine.has_package(name) else 'not installed'}; for {purpose}")
    console.print(f"  C++ compiler: {machine.compiler() or 'none'}; for torch.compile on a CPU")
    address, answers = machine.hub()
    hint = "" if answers else "; models and data sets come from folders and from the cache of earlier downloads only"
    console.print(f"  hub {escape(address)}: {'answers' if answers else 'no answer'}{hint}", soft_wrap=True)
    return problems


def _hardware(console: Console, output: Path) -> tuple[float, float]:
    """Print what computes; return the free memory of the first GPU (0 without one) and of the machine in GB."""
    from tckr import machine
    from tckr.cli.terminal import escape

    total, available = machine.memory_gb()
    folder = nearest_folder(output)
    rates = ", ".join(f"{machine.matmul_rate('cpu', kind):,.0f} GFLOP/s in {kind}" for kind in ("float32", "bfloat16"))
    console.print(
        f"CPU: {machine.cores()} cores, {available:.0f} of {total:.0f} GB memory available, {rates}", soft_wrap=True
    )
    console.print(f"disk: {size_text(free_bytes(folder))} free in {escape(folder)}", soft_wrap=True)
    devices = machine.gpus()
    for index, (name, size, free, half) in enumerate(devices):
        rate = machine.matmul_rate(f"cuda:{index}", half)
        console.print(f"GPU {index}: {name}, {free:.0f} of {size:.0f} GB free, {rate / 1000:,.0f} TFLOP/s in {half}")
    if not devices:
        console.print("GPU: none that torch sees; full-size models run on the CPU, slowly")
    return (devices[0][2] if devices else 0.0), available


def _models(device_gb: float, memory_gb: float) -> Table:
    """Return a table of public models: what each can do here, and what it needs."""
    from rich import box
    from rich.table import Table

    from tckr import machine

    room, width = (device_gb, machine.HALF) if device_gb else (memory_gb, machine.SINGLE)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    table.add_column("needs", justify="right")
    table.add_column("can")
    table.add_row("the embedded models (ship with TCKR)", "1 GB", "everything")
    for model in machine.MODELS:
        needed = machine.memory_needed_gb(model, width)
        table.add_row(model.name + " *" * machine.cached(model.name), f"{needed:.0f} GB", _able(model.use, needed, room))
    return table


def _able(use: str, needed_gb: float, room_gb: float) -> str:
    """Return `use` where `needed_gb` fit into `room_gb`."""
    from tckr import machine

    return {"yes": use, "tight": f"{use} (tight)", "no": "too large"}[machine.verdict(needed_gb, room_gb)]
