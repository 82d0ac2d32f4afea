"""Accuracy under a formal guarantee: a Student that learns only from synthetic images, on the test split.

    python benchmarks/guarantee.py --data ../shared/data --sets digits mnist --epsilons 10 1 --seeds 0 --output runs/dp

Each run is `tckr run --preset dp` in a process of its own. All runs share the store: the same command continues after an
interruption, and computes nothing when it is complete. FOLDER/guarantee.md gets the table after every run.

`--data` is a folder with mnist/all.parquet and fashion_mnist/all.parquet: 70,000 rows, of which the first 60,000 are private
and the others are the test split. No image is held out for an audit, unless trailing settings say so, e.g.
`prepare.audit_holdout=0.5 audit.num_reference_runs=8`. The descriptions of the classes are public knowledge.
The column `refuted` is the largest epsilon that canaries refute: `prepare.num_canaries=400` among the trailing settings.
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

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.guarantee import Guarantee, Refutation
from tckr.artifacts.synthetic import SyntheticFacts
from tckr.html.numbers import rounded_down
from tckr.metrics.estimate import Estimate, NotMeasurable

NUM_PRIVATE = 60_000
DELTA = 1e-5
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CLOTHES = {
    "T-shirt-top": "a t-shirt",
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


def prepare_source(name: str, data: Path, output: Path) -> str:
    """Return the data source of a set, with its test split."""
    if name == "digits":
        return "digits"
    folder = output / "data" / name
    if not folder.exists():
        table = pq.read_table(data / FOLDERS[name] / "all.parquet")
        partial = folder.with_name(f".{name}")
        partial.mkdir(parents=True, exist_ok=True)
        write_split(partial / "train.parquet", table.slice(0, NUM_PRIVATE))
        write_split(partial / "test.parquet", table.slice(NUM_PRIVATE))
        partial.rename(folder)
    return str(folder)


def write_split(path: Path, table: pa.Table) -> None:
    """Write rows with the description of their columns."""
    pq.write_table(table.combine_chunks(), path)


def settings_of(name: str, epsilon: float, seed: int) -> list[str]:
    """Return the settings of a run that differ from the preset."""
    return [
        f"privacy.epsilon={epsilon:g}",
        f"privacy.delta={DELTA}",
        f"seed={seed}",
        "prepare.public=true",
        "prepare.audit_holdout=0",
        "audit.num_reference_runs=0",
        "adapt.prompt_form='n: d'",
        f"adapt.descriptions={json.dumps(DESCRIPTIONS[name])}",
    ]


def replaced(settings: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return `settings` with `others` added, or in place of those of the same name."""
    named = {other.partition("=")[0] for other in others}
    return [*(setting for setting in settings if setting.partition("=")[0] not in named), *others]


def run_one(source: str, settings: Sequence[str], name: str, output: Path) -> Path:
    """Run the pipeline and return the folder of the run."""
    command = [sys.executable, "-m", "tckr", "run", "--data", source, "--preset", "dp", "--name", name]
    subprocess.run([*command, "--output", str(output), *settings], check=True)
    return output / name


def found_in(folder: Path) -> dict[str, str]:
    """Return the cells of a table row: claimed epsilon, its inputs, accuracies on the test split, refuted epsilon."""
    artifacts = folder / "artifacts"
    guarantee, audit = AdapterCard.read(artifacts / "adapt").guarantee, AuditResult.read(artifacts / "audit")
    assert guarantee is not None
    assert audit.guarantee is not None
    return {
        "epsilon": f"{guarantee.epsilon:.3f}",
        "units (noisy)": f"{guarantee.noisy_count:,}",
        "steps": str(guarantee.steps),
        "rate": f"{guarantee.sampling_rate:.4f}",
        "noise": f"{guarantee.noise_multiplier:.3f}",
        "DP Teacher: steps, rate, noise": taught(guarantee),
        "images": f"{SyntheticFacts.read(artifacts / 'generate').num_images:,}",
        "Student": accuracy(audit.surfaces["student"].cas),
        "Teacher (private)": accuracy(audit.surfaces["teacher"].cas),
        "refuted": refuted(audit.guarantee),
    }


def taught(guarantee: Guarantee) -> str:
    """Return the inputs of the Teacher that labels."""
    found = guarantee.teacher
    return f"{found.steps}, {found.sampling_rate:.4f}, {found.noise_multiplier:.3f}" if found else "-"


def accuracy(found: Estimate | NotMeasurable) -> str:
    """Return an accuracy with its interval."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" if isinstance(found, Estimate) else "-"


def refuted(found: Refutation) -> str:
    """Return the largest epsilon that canaries refute, and the largest that they could."""
    return (
        "-" if isinstance(found.bound, NotMeasurable) else f"{rounded_down(found.bound.value)} of {rounded_down(found.most)}"
    )


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
    parser.add_argument("settings", nargs="*", help="settings of every run, in place of its own")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    rows = []
    for name, epsilon, seed in planned(arguments):
        source = prepare_source(name, arguments.data, arguments.output)
        settings = replaced(settings_of(name, epsilon, seed), arguments.settings)
        folder = run_one(source, settings, f"{name}-{epsilon:g}-{seed}", arguments.output)
        rows.append({"set": name, "budget": f"{epsilon:g}", "seed": str(seed)} | found_in(folder))
        (arguments.output / "guarantee.md").write_text(markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()
