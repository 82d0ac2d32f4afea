"""A directory full of files that are not TCKR's, with the names that TCKR uses at every level; and what became of them."""

from __future__ import annotations

import os
from pathlib import Path

from tckr.pipeline import STAGES

FOLDERS = ("artifacts", "report", "sealed", "scratch", "data", "model", "pool", "test", "run.partial", "probe", *STAGES)
FILES = (
    "config.yaml", "log.jsonl", "manifest.json", "usage.json", "card.json", "membership.npy", "rejected.csv", "audit.json",
    "scores.parquet", "report.html", "report.json", "sweep.yaml", "sweep.parquet", "sweep.md", "sweep.html", "results.md",
    "results.html", "results.parquet", "frontier.svg", "captions.json", "captions.txt", "source.parquet", "README.md",
    ".report.html.0123.partial", "run.lock",
)  # fmt: skip
LONG_AGO = 1_000_000_000


def litter(folder: Path) -> None:
    """Fill `folder` with such files, two levels deep."""
    for place in (folder, *(folder / name for name in FOLDERS), *(folder / "artifacts" / name for name in STAGES)):
        place.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (place / name).write_text(f"{place.name}/{name} is mine\n")
            os.utime(place / name, (LONG_AGO, LONG_AGO))
    (folder / "report" / "thesis.tex").write_text("years of work")


def seen(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return content, time and mode of everything below `folder`, by relative name."""
    return {str(path.relative_to(folder)): _state(path) for path in sorted(folder.rglob("*"))}


def _state(path: Path) -> tuple[object, ...]:
    stat = path.lstat()
    if path.is_symlink():
        return "link", path.readlink(), stat.st_mtime_ns
    return (path.read_bytes() if path.is_file() else "folder"), stat.st_mtime_ns if path.is_file() else 0, stat.st_mode
