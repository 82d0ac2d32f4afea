"""Follow docs/tutorial.md from its first command to its last line: `python -m tests.docs.tutorial FOLDER`.

Blocks are run in their order, as they stand on the page. Settings are added that make everything small, and fewer pictures
are rendered. Commands on folders that the page does not make (`scans`) are left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.markdown import ROOT, blocks, commands

SMALL = [
    "adapt.steps=2",
    "adapt.batch_size=8",
    "generate.steps=2",
    "teach.epochs=3",
    "distill.epochs=3",
    "audit.num_reference_runs=2",
    "audit.images_alone=false",
    "execution.threads=1",
]
"""Settings that make a run short; its numbers say nothing."""

LEFT_OUT = "scans"
REFUSED = 2, 3
"""Exit status of a release that the gate refuses; 3 where a control of the small audit failed."""


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of the reader's terminal: `tckr` and `python` are those that run this; no hub is reached."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache"), "BROWSER": "true", "COLUMNS": "120"}
    return {**os.environ, **own}


def follow(folder: Path) -> None:
    """Run every block of the page in `folder`."""
    number = 0
    for language, content in blocks((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        if language == "python":
            number += 1
            run_script(folder, f"script_{number}.py", content)
        for words in commands(f"```\n{content}```") if not language else []:
            if LEFT_OUT not in words:
                run_command(folder, words)


def run_script(folder: Path, name: str, content: str) -> None:
    """Run a Python block, with fewer pictures."""
    (folder / name).write_text(content.replace("NUM_PER_CLASS = 200", "NUM_PER_CLASS = 40"), encoding="utf-8")
    subprocess.run([sys.executable, name], cwd=folder, env=environment(folder), check=True)


def run_command(folder: Path, words: list[str]) -> None:
    """Run a command; an audit of so few pictures may fail its controls, and the gate then refuses."""
    more = {"run": SMALL, "estimate": [*SMALL, "--seconds=1"]}.get(words[1], [])
    done = subprocess.run([*words, *more], cwd=folder, env=environment(folder), check=False)
    may_refuse = words[1] in ("run", "audit", "report") or (words[1] == "release" and "--accept-risk" not in words)
    if done.returncode not in ((0, *REFUSED) if may_refuse else (0,)):
        sys.exit(f"{' '.join(words)} ended with exit status {done.returncode}")


def check(folder: Path) -> None:
    """Exit with an error unless the page led to a release that holds what it promises."""
    release = folder / "shapes_release"
    wanted = ["README.md", "SHA256SUMS", "audit_summary.json", "data", "student/model.safetensors"]
    missing = [name for name in wanted if not (release / name).exists()]
    if missing:
        sys.exit(f"the tutorial made no {', '.join(missing)} in {release}")
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=release, check=True)


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True, exist_ok=True)
    follow(place)
    check(place)
    print("the tutorial ran from its first command to the release")
