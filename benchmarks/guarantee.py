"""Accuracy under a formal guarantee: a Student that learns only from synthetic images, on the test split.

    python benchmarks/guarantee.py --data ../shared/data --sets digits mnist --epsilons 10 1 --seeds 0 --output runs/dp

Each run is `tckr run --preset dp` in a process of its own. All runs share the store: the same command continues after an
interruption, and computes nothing when it is complete. FOLDER/guarantee.md gets the table after every run.

`--data` is a folder with mnist/all.parquet and fashion_mnist/all.parquet: 70,000 rows, of which the first 60,000 are private
and the others are the test split. No image is held out for an audit. The descriptions of the classes are public knowledge.
The captioner is not run, because no prompt contains a caption.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_digits

NUM_PRIVATE = 60_000
DELTA = 1e-5
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CLOTHES = {
    "T-shirt/top": "a t-shirt",
    "Trouser": "trousers",
    "Pullover": "a pullover",
    "Dress": "a dress",
    "Coat": "a coat",
    "Sandal": "a sandal",
    "Shirt": "a shirt",
    "Sneaker": "a sneaker",
    "Bag": "a bag",
    "Ankle boot": "an ankle boot",
}
DESCRIPTIONS = {
    "digits": {str(number): f"a white digit {name} on a black ground" for number, name in enumerate(DIGITS)},
    "mnist": {str(number): f"a white digit {name} on a black ground" for number, name in enumerate(DIGITS)},
    "fashion": {name: f"a black and white photo of {text} on a black ground" for name, text in CLOTHES.items()},
}
FOLDERS = {"mnist": "mnist", "fashion": "fashion_mnist"}


def prepare_source(name: str, data: Path, output: Path) -> tuple[str, Path]:
    """Return the data source of a set, with its test split, and a file with a caption for each training image."""
    if name == "digits":
        labels = load_digits().target.tolist()
        return "digits", write_captions(output / "digits.txt", [str(label) for label in labels])
    folder = output / "data" / name
    table = pq.read_table(data / FOLDERS[name] / "all.parquet")
    info = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    captions = write_captions(output / f"{name}.txt", [info[label] for label in table["label"].to_pylist()[:NUM_PRIVATE]])
    if not folder.exists():
        partial = folder.with_name(f".{name}")
        partial.mkdir(parents=True, exist_ok=True)
        write_split(partial / "train.parquet", table.slice(0, NUM_PRIVATE))
        write_split(partial / "test.parquet", table.slice(NUM_PRIVATE))
        partial.rename(folder)
    return str(folder), captions


def write_split(path: Path, table: pa.Table) -> None:
    """Write rows with the description of their columns."""
    pq.write_table(table.combine_chunks(), path)


def write_captions(path: Path, names: Sequence[str]) -> Path:
    """Write one line `class name: class name` for each image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}: {name}\n" for name in names))
    return path


def settings_of(name: str, epsilon: float, seed: int, captions: Path) -> list[str]:
    """Return the settings of a run that differ from the preset."""
    return [
        f"privacy.epsilon={epsilon:g}",
        f"privacy.delta={DELTA}",
        f"seed={seed}",
        "prepare.public=true",
        "prepare.audit_holdout=0",
        "audit.num_reference_runs=0",
        f"caption.file={json.dumps(str(captions.resolve()))}",
        "adapt.prompt_form='n: d'",
        f"adapt.descriptions={json.dumps(DESCRIPTIONS[name])}",
    ]


def run_one(source: str, settings: Sequence[str], name: str, output: Path) -> Path:
    """Run the pipeline and return the folder of the run."""
    command = [sys.executable, "-m", "tckr", "run", "--data", source, "--preset", "dp", "--name", name]
    subprocess.run([*command, "--output", str(output), *settings], check=True)
    return output / name


def found_in(folder: Path) -> dict[str, str]:
    """Return the cells of a table row: claimed epsilon, accountant's inputs, and accuracies on the test split."""
    guarantee = json.loads((folder / "artifacts" / "adapt" / "adapter.json").read_text())["guarantee"]
    surfaces = json.loads((folder / "artifacts" / "audit" / "audit.json").read_text())["surfaces"]
    plan = json.loads((folder / "artifacts" / "generate" / "plan.json").read_text())
    return {
        "epsilon": f"{guarantee['epsilon']:.3f}",
        "units (noisy)": f"{guarantee['noisy_count']:,}",
        "steps": str(guarantee["steps"]),
        "rate": f"{guarantee['sampling_rate']:.4f}",
        "noise": f"{guarantee['noise_multiplier']:.3f}",
        "images": f"{sum(plan['counts']):,}" if "counts" in plan else "",
        "Student": accuracy(surfaces["student"]["cas"]),
        "Teacher (private)": accuracy(surfaces["teacher"]["cas"]),
    }


def accuracy(estimate: dict[str, float]) -> str:
    """Return an accuracy with its interval."""
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Return the rows as a table."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[name] for name in head] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def planned(arguments: argparse.Namespace) -> Iterator[tuple[str, float, int]]:
    """Yield set, epsilon and seed of each run; the first seed of everything comes first."""
    for seed in arguments.seeds:
        for name in arguments.sets:
            for epsilon in arguments.epsilons:
                yield name, epsilon, seed


def main() -> None:
    """Run what is missing and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with mnist and fashion_mnist")
    parser.add_argument("--sets", choices=DESCRIPTIONS, nargs="+", default=["digits", "mnist", "fashion"])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[10.0, 1.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/guarantee"))
    parser.add_argument("settings", nargs="*", help="settings of every run, e.g. execution.threads=1")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    rows = []
    for name, epsilon, seed in planned(arguments):
        source, captions = prepare_source(name, arguments.data, arguments.output)
        settings = [*settings_of(name, epsilon, seed, captions), *arguments.settings]
        folder = run_one(source, settings, f"{name}-{epsilon:g}-{seed}", arguments.output)
        rows.append({"set": name, "budget": f"{epsilon:g}", "seed": str(seed)} | found_in(folder))
        (arguments.output / "guarantee.md").write_text(markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()
