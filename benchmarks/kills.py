"""Kill a run with SIGKILL at random moments, resume it, and compare what it ends with to an uninterrupted run.

    python benchmarks/kills.py --kills 20 --kills-per-run 4 key=value ...

Only the main process is killed; its workers must notice. Every resumed run must end with the same synthetic set, soft
labels and Student as the uninterrupted one, to the last bit. Exit status 1 if one differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.numpy import load_file

STAGES = ("generate", "label", "distill")


def command(output: Path, until: str, settings: list[str]) -> list[str]:
    """Return the command line of the run."""
    start = [sys.executable, "-c", "from tckr.cli import main; main()", "run", "--preset", "demo", "--until", until]
    return [*start, "--output", str(output), *settings]


def digest(output: Path) -> dict[str, str]:
    """Return a SHA-256 of everything but manifests in the artifact of each compared stage."""
    found = {}
    for stage in STAGES:
        folder = (output / "demo" / "artifacts" / stage).resolve()
        hashed = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in {"manifest.json", "metrics.json"}:
                hashed.update(str(path.relative_to(folder)).encode() + content(path))
        found[stage] = hashed.hexdigest()
    return found


def content(path: Path) -> bytes:
    """Return what a file holds; of weights the tensors alone, because the order of safetensors metadata is not fixed."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    return b"".join(name.encode() + tensor.tobytes() for name, tensor in sorted(load_file(path).items()))


def killed_run(output: Path, until: str, settings: list[str], moments: list[float]) -> list[str]:
    """Start the run, kill it after each of `moments` seconds, then let it finish; return the step at work at each kill."""
    struck = []
    for seconds in moments:
        process = subprocess.Popen(command(output, until, settings), stdout=subprocess.DEVNULL)
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            struck.append(_last_step(output / "demo" / "log.jsonl"))
    subprocess.run(command(output, until, settings), stdout=subprocess.DEVNULL, check=True)
    return struck


def _last_step(log: Path) -> str:
    lines = log.read_text().splitlines() if log.exists() else []
    return json.loads(lines[-1])["step"] if lines else "start-up"


def main() -> int:
    """Run the experiment and print one line per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kills-per-run", type=int, default=4)
    parser.add_argument("--until", default="distill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="*")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tckr-kills-"))
    start = time.perf_counter()
    subprocess.run(command(work / "whole", arguments.until, arguments.settings), stdout=subprocess.DEVNULL, check=True)
    whole_seconds, expected = time.perf_counter() - start, digest(work / "whole")
    print(f"uninterrupted: {whole_seconds:.0f} s")
    generator, kills, same, runs = random.Random(arguments.seed), 0, 0, 0
    while kills < arguments.kills:
        moments = [generator.uniform(1, whole_seconds * 0.8) for _ in range(arguments.kills_per_run)]
        struck = killed_run(work / f"run{runs}", arguments.until, arguments.settings, moments)
        equal = digest(work / f"run{runs}") == expected
        kills, same, runs = kills + len(struck), same + equal, runs + 1
        print(f"run {runs}: killed in {', '.join(struck)}: {'same' if equal else 'DIFFERENT'}", flush=True)
    print(f"{kills} kills in {runs} runs; {same} of {runs} end with the same synthetic set, soft labels and Student")
    shutil.rmtree(work)
    return 0 if same == runs else 1


if __name__ == "__main__":
    sys.exit(main())
