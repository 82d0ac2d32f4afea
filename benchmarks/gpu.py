"""Run every open GPU measurement of README.md within some minutes on one GPU, with full-size models of random weights.

    python benchmarks/gpu.py --minutes 9 --output FOLDER            # one GPU
    python benchmarks/gpu.py --tiny --output FOLDER                 # the same ways through the same code, small, on a CPU
    python benchmarks/gpu.py --tiny --device cuda --output FOLDER   # on a GPU, in about a minute: does everything run there?

Each part is a benchmark of this folder in a process of its own, with a time limit of its own; PARTS says which, in order of
worth. A part that would have less than `least` seconds is skipped, one that fails or runs too long does not stop the others.
With --tiny nothing is measured: as many parts run at a time as there are cores, and the time of all is their limit.
FOLDER gets gpu.json after every part (what each found, or the last lines of its error), gpu.md (one table) and gpu.log
(everything the parts printed).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parent
LAST_LINES = 20
"""Of a failed part's output that go into the JSON."""

FOR_ROUNDS = 0.85
"""Share of a part's limit after which it begins no round; what is measured after the rounds needs the rest."""

PACKAGES = ("torch", "triton", "transformers", "diffusers", "peft", "accelerate", "numpy")
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One measurement.

    Attributes:
        name: in the results.
        seconds: most that it may take; where not all have that, each gets its share of what is left for it and those after.
        least: it gets no less, and is not begun with less.
        script: of this folder.
        gpu: its arguments on a GPU.
        tiny: its arguments with --tiny.
        tiny_gpu: those that follow them there on a GPU.
        on_cpu: whether --tiny runs it on a CPU too.
        goals: name of a number of a row -> what the best way should reach.
    """

    name: str
    seconds: int
    least: int
    script: str
    gpu: str
    tiny: str = ""
    tiny_gpu: str = "--device cuda"
    on_cpu: bool = True
    goals: Mapping[str, float] = field(default_factory=dict)


SD2 = "--model sd2 --size 224 --device cuda"
DRAWN_TINY = "--images 10 --plain-images 4 --steps 2 --ways plain loaded --rounds 1 --settings generation_batch_size=4"
ADAPTED_TINY = "--images 4 --cases 4/2 --turn 4 --rounds 1"
DRAWN = f"{SD2} --images 512 --plain-images 64 --ways plain loaded --rounds 3"
PARTS = (
    Part(
        name="generation",
        seconds=90,
        least=60,
        script="generate.py",
        gpu=DRAWN,
        tiny=DRAWN_TINY,
        tiny_gpu=SD2,
        goals={"to_plain": 3.0, "of_peak": 0.5},
    ),
    Part(
        name="generation, compiled",
        seconds=150,
        least=100,
        script="generate.py",
        gpu=f"{DRAWN} --settings compile=true",
        tiny=f"{DRAWN_TINY} compile=true",
        on_cpu=False,
        goals={"to_plain": 3.0, "of_peak": 0.5},
    ),
    Part(
        name="adaptation",
        seconds=70,
        least=40,
        script="adapt.py",
        gpu=f"{SD2} --cases 4/1 32/1 32/32 --turn 64 --rounds 3",
        tiny=ADAPTED_TINY,
        tiny_gpu=SD2,
        goals={"to_plain": 4.0},
    ),
    Part(
        name="captioning",
        seconds=60,
        least=40,
        script="caption.py",
        gpu="--model blip2-opt-2.7b --device cuda --images 128 --plain-images 8 --batch-sizes 32 128 --rounds 3",
        tiny="--images 4 --plain-images 2 --batch-sizes 4 --rounds 1",
        tiny_gpu="--device cuda --model blip2-opt-2.7b --layers 1",
    ),
    Part(
        name="reference models",
        seconds=120,
        least=65,
        script="reference_training.py",
        gpu="--model resnet18 --device cuda --precision bfloat16 --models 8 --members 640 --validation 128 --epochs 4 "
        "--workers 4 --rounds 2",
        tiny="--models 2 --members 32 --batch-size 16 --validation 8 --epochs 1 --workers 1 --rounds 1 "
        "--ways fit stacked streams graphs",
        tiny_gpu="--device cuda --model resnet18 --precision bfloat16",
        goals={"to_plain": 5.0},
    ),
    Part(
        name="student",
        seconds=95,
        least=55,
        script="training.py",
        gpu="--model resnet18 --size 224 --device cuda --images 3072 --rounds 3 "
        "--ways stored stored-bfloat16 views-bfloat16 online-bfloat16",
        tiny="--images 32 --batch-size 16 --rounds 1 --ways views-bfloat16",
        tiny_gpu="--device cuda --model resnet18 --size 224",
        goals={"to_plain": 10.0, "busy": 0.8},
    ),
    Part(
        name="teams",
        seconds=60,
        least=35,
        script="teams.py",
        gpu="--model resnet18 --size 224 --device cuda --precision bfloat16 --images 960 --batch-size 96 --epochs 4",
        tiny="--images 16 --batch-size 8 --epochs 2",
        tiny_gpu="--device cuda --model resnet18",
    ),
    Part(
        name="adaptation, compiled",
        seconds=110,
        least=80,
        script="adapt.py",
        gpu=f"{SD2} --cases 32/32 --turn 128 --rounds 1 --compile",
        tiny=f"{ADAPTED_TINY} --compile",
        on_cpu=False,
        goals={"to_plain": 4.0},
    ),
)


def run_parts(parts: Sequence[Part], *, tiny: bool, seconds: float, output: Path, device: str) -> dict[str, Result]:
    """Run `parts` in turn within `seconds`; write what is known after each, and return it by name."""
    results: dict[str, Result] = {}
    machine, ends_at = describe_machine(), time.monotonic() + seconds
    with ThreadPoolExecutor((os.cpu_count() or 1) if tiny else 1) as threads:
        wanted = [sum(part.seconds for part in parts[place:]) for place in range(len(parts))]
        ended = threads.map(partial(run_part, tiny=tiny, device=device, ends_at=ends_at, output=output), parts, wanted)
        for part, result in zip(parts, ended, strict=True):
            results[part.name] = result
            print(summary(part, result, tiny=tiny), flush=True)
            write_results(machine, parts, results, output)
    return results


def run_part(part: Part, wanted: int, *, tiny: bool, device: str, ends_at: float, output: Path) -> Result:
    """Run one part; return how it ended and what it found.

    Args:
        part: to run.
        wanted: seconds of it and all parts after it; of what is left, it takes its share.
        tiny: small, to see whether it runs.
        device: of tiny parts; the others are for "cuda".
        ends_at: time by the monotonic clock at which all must be over.
        output: folder of the results.
    """
    left, arguments = ends_at - time.monotonic(), part.gpu
    if tiny:
        arguments = f"{part.tiny} {part.tiny_gpu}" if device == "cuda" else part.tiny
        if device == "cpu" and not part.on_cpu:
            return {"status": "skipped", "reason": "on a GPU only"}
    if left < (1 if tiny else part.least):
        return {"status": "skipped", "reason": f"{max(0.0, left):.0f} s left, {part.least} needed"}
    limit = left if tiny else max(float(part.least), part.seconds * min(1.0, left / wanted))
    found, log = (output / f".{part.name.replace(' ', '_')}.{kind}" for kind in ("json", "log"))
    found.unlink(missing_ok=True)
    command = [part.script, *arguments.split()]
    shared = ["--seconds", f"{FOR_ROUNDS * limit:.0f}", "--json", str(found.absolute())]
    started = time.monotonic()
    code = run_command([sys.executable, str(BENCHMARKS / part.script), *command[1:], *shared], log, limit)
    printed = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    with (output / "gpu.log").open("a", encoding="utf-8") as whole:
        whole.write(f"=== {part.name}: {' '.join(command)}\n{printed}\n")
    log.unlink(missing_ok=True)
    result: Result = {
        "status": {0: "done", None: "stopped"}.get(code, "failed"),
        "seconds": round(time.monotonic() - started, 1),
        "command": " ".join(command),
        **(json.loads(found.read_text()) if found.exists() else {}),
    }
    found.unlink(missing_ok=True)
    return result if code == 0 else result | {"exit": code, "last_lines": printed.splitlines()[-LAST_LINES:]}


def run_command(command: Sequence[str], log: Path, limit: float) -> int | None:
    """Return the exit status, or None when the command was ended, with what it started, at its limit."""
    paths = [str(BENCHMARKS.parent / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w", encoding="utf-8") as printed:
        process = subprocess.Popen(
            command, stdout=printed, stderr=subprocess.STDOUT, env=os.environ | settings, process_group=0
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and its workers
            process.wait()


def describe_machine() -> Result:
    """Return the GPU, as its driver names it, the cores, and the versions of what computes."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        gpu = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        gpu = "none"
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {"gpu": gpu, "cores": os.cpu_count(), "python": platform.python_version(), **versions}


def summary(part: Part, result: Result, *, tiny: bool = False) -> str:
    """Return one line on a part: how it ended, and its best way; for one that failed, also the end of its output."""
    if result["status"] == "skipped":
        return f"{part.name}: skipped, {result['reason']}"
    best = max((row for row in result.get("rows", []) if row["to_plain"]), key=lambda row: row["to_plain"][0], default=None)
    shown = f"; {best['way']}: {best['speed']:.4g} {best['unit']}, {best['to_plain'][0]:.2f} to plain" if best else ""
    met = "".join(f"; {text}" for text in goals_met(part, result) if not tiny)
    lines = "".join(f"\n    {line}" for line in result.get("last_lines", []))
    return f"{part.name}: {result['status']} in {result['seconds']:.0f} s{shown}{met}{lines}"


def goals_met(part: Part, result: Result) -> list[str]:
    """Return, goal by goal, what the best way reached."""
    texts = []
    for name, goal in part.goals.items():
        values = {
            row["way"]: row[name][0] if isinstance(row[name], list) else row[name]
            for row in result.get("rows", [])
            if row[name] is not None and not row["way"].startswith("plain")
        }
        if values:
            best = max(values, key=lambda way: values[way])
            verdict = "reached" if values[best] >= goal else "missed"
            texts.append(f"{name} >= {goal:g}: {verdict}, {values[best]:.3g} ({best})")
    return texts


def write_results(machine: Result, parts: Sequence[Part], results: Mapping[str, Result], output: Path) -> None:
    """Write gpu.json and gpu.md, each as a complete file."""
    found = {"machine": machine, "parts": dict(results)}
    for name, text in (("gpu.json", json.dumps(found, indent=1)), ("gpu.md", table(machine, parts, results))):
        partial = output / f"{name}.partial"
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(output / name)


def table(machine: Result, parts: Sequence[Part], results: Mapping[str, Result]) -> str:
    """Return one Markdown table of all ways, and below it what became of the goals and of the parts without a result."""
    lines = [", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    lines += [
        "| part | way | speed | to plain (rounds) | of peak | busy | memory | other |",
        "|---|---|---|---|---|---|---|---|",
    ]
    below = []
    for part in parts:
        result = results.get(part.name, {"status": "not begun", "seconds": 0.0})
        for row in result.get("rows", []):
            ratio = "{:.2f} ({:.2f} to {:.2f})".format(*row["to_plain"]) if row["to_plain"] else ""
            shares = [f"{row[name]:.0%}" if row[name] is not None else "" for name in ("of_peak", "busy")]
            memory = f"{row['memory_gb']:.1f} GB" if row["memory_gb"] is not None else ""
            cells = [part.name, row["way"], f"{row['speed']:.4g} {row['unit']}", ratio, *shares, memory, row["note"]]
            lines.append(f"| {' | '.join(cells)} |")
        texts = [result["status"], *filter(None, [result.get("reason")]), *goals_met(part, result)]
        below.append(f"- {part.name}: {'; '.join(texts)}")
    return "\n".join([*lines, "", *below])


def main() -> None:
    """Read the arguments, run the parts, print the table; end with an error when a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="that all parts may take together (default 9)")
    parser.add_argument("--tiny", action="store_true", help="small: whether everything runs")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of --tiny (default cpu)")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu"), help="folder of the results (default runs/gpu)")
    names = [part.name for part in PARTS]
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help=f"of {names}")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    parts = [part for part in PARTS if part.name in arguments.parts]
    seconds, device = 60 * arguments.minutes, arguments.device
    results = run_parts(parts, tiny=arguments.tiny, device=device, seconds=seconds, output=arguments.output)
    print((arguments.output / "gpu.md").read_text())
    if any(result["status"] == "failed" for result in results.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
