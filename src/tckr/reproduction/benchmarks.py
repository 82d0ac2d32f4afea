"""Data sets of the published experiments, and the digits, with the sweeps of each. Contains only data.

Settings and class names of a benchmark are in `presets/benchmarks/<name>.yaml`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tckr.costs.forecast import CARDINALITIES
from tckr.errors import UserError
from tckr.sweep.grid import Grid

FRACTIONS = (0.02, 0.05, 0.1, 1.0)
"""Share of the members that the adapter is trained on: 1/50, 1/20, 1/10, all."""

DIGITS_SEEDS = (20, 21, 22)
"""Seeds of the experiments, different from those used to choose the defaults."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A data set of the experiments.

    Attributes:
        name: as in the published tables.
        num_classes: number of classes of the source.
        some_classes: names, in lower case, that must be among its classes, to check before any training that labels and
            names match.
        cardinality_grids: the sweep over cardinalities.
        ablation_grids: the sweep over prompt form, labels and adapter's share of the members; empty if none was published.
        ablation_cardinality: cardinality of all variants of that sweep, which are not audited.
        note: remark for readers of the comparison.
    """

    name: str
    num_classes: int
    some_classes: Sequence[str]
    cardinality_grids: Sequence[Grid]
    ablation_grids: Sequence[Grid] = ()
    ablation_cardinality: float = 0.1
    note: str = ""

    @property
    def file(self) -> Path:
        """Return the YAML file with its settings."""
        return Path(str(resources.files("tckr") / "presets" / "benchmarks" / f"{self.name.lower()}.yaml"))


PAPER_GRIDS: Sequence[Grid] = ({"generate.cardinality": CARDINALITIES},)
PAPER_ABLATION: Sequence[Grid] = tuple(
    {
        "adapt.prompt_form": [form],
        "distill.labels": [labels],
        "adapt.fraction": FRACTIONS,
    }
    for form, labels in (("n: d", "hard"), ("n: c", "hard"), ("n: c", "online"))
)
DIGITS_GRIDS: Sequence[Grid] = (
    {"generate.cardinality": CARDINALITIES, "seed": DIGITS_SEEDS[:1], "audit.num_reference_runs": [8]},
    {"generate.cardinality": CARDINALITIES, "seed": DIGITS_SEEDS[1:], "audit.num_reference_runs": [0]},
)
DIGITS_ABLATION: Sequence[Grid] = (
    {
        "adapt.prompt_form": ["n", "c", "n: d", "n: c"],
        "distill.labels": ["hard", "soft"],
        "adapt.fraction": FRACTIONS,
        "seed": DIGITS_SEEDS,
    },
)
DRAWN_TEST = (
    "The source contains only training images, so the locked test split is a fifth of them and not the published one."
)
DIGITS_NOTE = (
    "The digits have no published results. The ablation is at cardinality 1 and not at 0.1, where a Student "
    "would be trained on six images per class, and the choice of these six would matter more than what is compared."
)


def _paper(name: str, num_classes: int, some_classes: Sequence[str], *, ablation: bool = False, note: str = "") -> Benchmark:
    return Benchmark(
        name=name,
        num_classes=num_classes,
        some_classes=some_classes,
        cardinality_grids=PAPER_GRIDS,
        ablation_grids=PAPER_ABLATION if ablation else (),
        note=note,
    )


BENCHMARKS = {
    benchmark.name.lower(): benchmark
    for benchmark in (
        _paper("CIFAR10", 10, ["airplane", "truck"], ablation=True),
        _paper("CIFAR100", 100, ["apple", "worm"], ablation=True),
        _paper("Oxford-IIIT-Pet", 37, ["sphynx", "pug"], ablation=True, note=DRAWN_TEST),
        _paper("TinyImageNet", 200, ["goldfish", "acorn"], ablation=True),
        _paper("StanfordCars", 196, [], note=DRAWN_TEST),
        _paper("Food101", 101, ["beignets"], note=DRAWN_TEST),
        _paper("STL10", 10, ["airplane", "truck"]),
        _paper("Imagenette", 10, ["tench", "parachute"], note=DRAWN_TEST),
        _paper("Imagewoof", 10, ["samoyed", "dingo"]),
        _paper("Caltech101", 102, ["accordion", "yin_yang"]),
        Benchmark(
            name="digits",
            num_classes=10,
            some_classes=["0", "9"],
            cardinality_grids=DIGITS_GRIDS,
            ablation_grids=DIGITS_ABLATION,
            ablation_cardinality=1.0,
            note=DIGITS_NOTE,
        ),
    )
}


def benchmark(name: str) -> Benchmark:
    """Return the benchmark called `name`; the case of letters is ignored.

    Raises:
        UserError: there is no such benchmark.
    """
    found = BENCHMARKS.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), BENCHMARKS, 1, 0.5)
        hint = f"Did you mean {BENCHMARKS[near[0]].name}? " if near else ""
        names = ", ".join(one.name for one in BENCHMARKS.values())
        raise UserError(f"unknown benchmark {name!r}. {hint}Expected one of {names}")
    return found
