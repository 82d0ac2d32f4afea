"""Release a run in every format, twice, and put its test split beside them as pictures: see `.ci/release`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tckr.artifacts.data_card import DataCard
from tckr.data.images import load_images
from tckr.engine import seal
from tckr.engine.store import Store
from tckr.releasing.releasing import release
from tckr.releasing.request import FORMATS, PARTS
from tckr.releasing.run import finished_run, run_settings
from tckr.running import plan

SMALL = [
    "adapt.steps=40",
    "generate.cardinality=0.3",
    "generate.steps=6",
    "teach.epochs=12",
    "distill.epochs=20",
    "audit.num_reference_runs=0",
    "audit.images_alone=false",
]


def small_run(folder: Path) -> Path:
    """Make a run on the digits whose audit measures nothing, so that the gate has something to refuse."""
    command = [
        Path(sys.executable).with_name("tckr"),
        "run",
        "--data",
        "digits",
        "--output",
        folder,
        "--name",
        "small",
        *SMALL,
    ]
    subprocess.run(command, check=True)
    return folder / "small"


def write_test_split(run: Path, folder: Path) -> None:
    """Write the locked test split, which the owner alone has, as pictures, and the accuracy that the audit found on it."""
    store, step = Store(run_settings(run).execution.store), plan(run_settings(run), "prepare")[0]
    with seal.opened(store.sealed_folder(step), store.manifest(step)["sealed"], store.folder(step)) as opened:
        split = load_images(opened / "test", None)
    names = DataCard.read(store.folder(step)).class_names
    folder.mkdir()
    for number, image in enumerate(split.images):
        Image.fromarray(image).save(folder / f"{number:05d}.png")
    audit = finished_run(run, ["student"]).audit
    facts = {"labels": [names[label] for label in split.labels], "accuracy": audit and audit.surfaces["student"].cas.value}
    (folder / "facts.json").write_text(json.dumps(facts))


def main(work: Path, run: Path) -> None:
    """Fill `work`."""
    parts = [part for part in PARTS if part != "report" or not contains_private(run)]
    options = {"license": "cc-by-4.0", "what": parts, "accept_risk": "the digits are public", "by": "the tests"}
    for form in FORMATS:
        for name in (form, f"{form}-again"):
            release(run, to=work / name, format=form, **options)
    write_test_split(run, work / "test")


def contains_private(run: Path) -> bool:
    """Return whether the run's report shows private images, so that it stays."""
    return bool(json.loads((run / "report" / "report.json").read_text(encoding="utf-8"))["contains_private"])


if __name__ == "__main__":
    work = Path(sys.argv[1])
    main(work, Path(sys.argv[2]) if len(sys.argv) > 2 else small_run(work / "runs"))
