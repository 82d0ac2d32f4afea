"""What each part of the method is worth on the digits: Student accuracy with one thing changed at a time.

    python benchmarks/digits_ablation.py --of parts --seeds 0 1 2 --output runs/ablation [key=value ...]
    python benchmarks/digits_ablation.py --of distillation ...

Every variant shares the store, so what two variants have in common is computed once, and a second call only prints. The
intervals are Student's t over seeds (each seed has its own split, adapter, images and weights); with 3 seeds they are
wide, and a difference whose interval contains zero is no measurable difference.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from scipy import stats

from tckr.config import load_settings
from tckr.running import run

VARIANTS = {
    "parts": {
        "base: adapted, class name and caption, soft labels": [],
        "not adapted": ["adapt.steps=0"],
        "class-name prompts": ["adapt.prompt_form='n'"],
        "hard labels": ["distill.labels=hard"],
    },
    "distillation": {
        "base: one stored label per image": ["label.views=1"],
        "online labels": ["label.views=1", "distill.labels=online"],
        "4 views stored": ["label.views=4"],
        "16 views stored": ["label.views=16"],
        "temperature 4": ["label.views=1", "label.temperature=4"],
        "temperature 4 from labels stored at 1": ["label.views=1", "distill.temperature=4"],
        "hard weight 0.3": ["label.views=1", "distill.hard_weight=0.3"],
        "hard labels": ["distill.labels=hard"],
        "hard labels, disowned images left out": ["distill.labels=hard", "distill.min_teacher_probability=0.5"],
        "top 2 of 10 classes stored": ["label.views=1", "label.top_k=2"],
        "disowned images left out": ["label.views=1", "distill.min_teacher_probability=0.5"],
        "ensemble of 3 Teachers": ["label.views=1", "teach.num_teachers=3"],
    },
}


def accuracies(seed: int, settings: list[str], output: Path) -> tuple[float, float]:
    """Return the accuracy of Teacher and Student on the locked test split."""
    common = [f"seed={seed}", "audit.num_reference_runs=0", f"execution.output={json.dumps(str(output))}"]
    result = run(load_settings(preset="demo", overrides=[*common, *settings]), until="audit")
    surfaces = json.loads((result.artifacts["audit"] / "audit.json").read_text())["surfaces"]
    return surfaces["teacher"]["cas"]["value"], surfaces["student"]["cas"]["value"]


def interval(values: list[float]) -> str:
    """Return the mean and its 95 % t-interval over seeds."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:.4f}"
    half = stats.t.ppf(0.975, len(values) - 1) * stats.tstd(values) / math.sqrt(len(values))
    return f"{mean:.4f} [{mean - half:.4f}, {mean + half:.4f}]"


def main() -> None:
    """Run every variant on every seed and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", choices=VARIANTS, default="parts", help="which variants")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("settings", nargs="*", help="settings of every variant, e.g. execution.threads=1")
    arguments = parser.parse_args()
    variants = VARIANTS[arguments.of]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for seed in arguments.seeds:
        for name, changes in variants.items():
            found[name].append(accuracies(seed, [*arguments.settings, *changes], arguments.output))
            print(f"seed {seed}, {name}: Teacher {found[name][-1][0]:.4f}, Student {found[name][-1][1]:.4f}", flush=True)
    base = found[next(iter(variants))]
    print(f"\nTeacher: {interval([teacher for teacher, _ in base])}; seeds {arguments.seeds}\n")
    print("| variant | Student accuracy | base minus variant | each seed |\n|---|---|---|---|")
    for name, pairs in found.items():
        gaps = [whole[1] - changed[1] for whole, changed in zip(base, pairs, strict=True)]
        each = ", ".join(f"{student:.4f}" for _, student in pairs)
        print(
            f"| {name} | {interval([student for _, student in pairs])} | {interval(gaps) if any(gaps) else '-'} | {each} |"
        )
    gaps = [teacher - student for teacher, student in base]
    print(f"\nTeacher minus Student: {interval(gaps)}")


if __name__ == "__main__":
    main()
