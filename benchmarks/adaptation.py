"""Compare ways to adapt a generator to a private set: what is trained, how much of it, how long, with which average.

    python benchmarks/adaptation.py DATA --output runs/adaptation --list
    python benchmarks/adaptation.py DATA --output runs/adaptation --lines found.jsonl \\
        [--device cuda --jobs 8] \\
        [--variants lora8-attn full-3e-4] [--steps 500 1500 auto] [--ema 0 0.999] [--guidance 2 4 6] [--set key=value ...]

DATA is a folder, a table or a .npz file that TCKR reads, or `digits`. Every variant is a run of TCKR in the same store, so
that splits, captions and the Teacher are computed once; a second call computes what is missing and prints all. The test
split stays locked: accuracies are those on the validation split, on which the Teacher's epoch was chosen too.

One JSON line per variant, number of steps, average and guidance scale:

    agreement, worst        share of the images that the Teacher takes for the class they were made for: of all, worst class
    hard_student, teacher   accuracy on the validation split: of a Student on images and classes alone, and of the Teacher
    seconds                 of each step that the variant does not share with others
    member_loss, other_loss denoising loss of members and of hold-out images under the adapted generator, prompt = class name
    checks                  validation losses of the training, with adapt.selection=best
    leak                    AUC of telling them apart by what the loss fell from the unadapted generator's, and its interval
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.agreement import read_agreement
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.document import read_json
from tckr.artifacts.membership import read_members
from tckr.artifacts.training import MODEL_FOLDER, read_history
from tckr.config import load_settings
from tckr.data.images import ImageSet, load_images
from tckr.membership.queries.denoising import denoising_losses
from tckr.metrics.membership import auc
from tckr.models.classifiers import load_classifier
from tckr.models.classifiers.ensemble import AnyClassifier
from tckr.models.classifiers.predict import predict_logits
from tckr.models.diffusion.load import load_generator
from tckr.running import RunResult, run

LORA, FULL = "adapt.method=lora", "adapt.method=full"
VARIANTS = {
    "unadapted": [],
    "lora4-attn": [LORA, "adapt.rank=4"],
    "lora8-attn": [LORA, "adapt.rank=8"],
    "lora16-attn": [LORA, "adapt.rank=16"],
    "lora16-linear": [LORA, "adapt.rank=16", "adapt.targets=linear"],
    "lora16-all": [LORA, "adapt.rank=16", "adapt.targets=all"],
    "lora32-all": [LORA, "adapt.rank=32", "adapt.targets=all"],
    "full-1e-4": [FULL, "adapt.learning_rate=1e-4"],
    "full-3e-4": [FULL, "adapt.learning_rate=3e-4"],
    "full-1e-3": [FULL, "adapt.learning_rate=1e-3"],
}
SHARED = ("prepare", "caption", "teach")
LOSS_DRAWS, BATCH = 8, 64
MOST_ASKED = 300
"""Members, and as many others, whose losses are measured."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One adapter, and the guidance scales with which images are generated from it."""

    variant: str
    own: tuple[str, ...]
    steps: str
    ema: float
    guidance: tuple[float, ...]
    common: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the name of its run folder."""
        return f"{self.variant}-{self.steps}-ema{self.ema:g}"

    def settings(self, guidance: float) -> list[str]:
        """Return the overrides of one run."""
        length = [f"adapt.steps={self.steps}", f"adapt.ema_decay={self.ema:g}"]
        drawing = [f"generate.guidance_scale={guidance:g}", "distill.labels=hard"]
        return [*self.common, *self.own, *length, *drawing, f"execution.name={self.name}-{guidance:g}"]


def measure(task: Task) -> list[dict[str, Any]]:
    """Adapt, draw and judge one adapter; return a line per guidance scale."""
    torch.set_num_threads(1)
    lines, adapted = [], {}
    for guidance in task.guidance:
        result = run(load_settings(overrides=task.settings(guidance)), until="distill")
        device = load_settings(overrides=task.settings(guidance)).execution.torch_device()
        adapted = adapted or leakage(result, device)
        lines.append(
            {"variant": task.variant, "steps": task.steps, "ema": task.ema, "guidance": guidance}
            | judged(result, device)
            | adapted
        )
    return lines


def judged(result: RunResult, device: str) -> dict[str, Any]:
    """Return the results of Teacher and Student on the images of one run."""
    artifacts = result.artifacts
    agreement = read_agreement(artifacts["label"])
    rates = {name: found.rate for name, found in agreement.items() if found.rate is not None}
    validation = load_images(artifacts["prepare"] / "validation", None)
    teacher, student = (load_classifier(artifacts[step] / MODEL_FOLDER).to(device) for step in ("teach", "distill"))
    own = [step for step in artifacts if step not in SHARED]
    return {
        "agreement": sum(found.agree for found in agreement.values()) / sum(found.n for found in agreement.values()),
        "images": sum(found.n for found in agreement.values()),
        "worst": min(rates.values()),
        "by_class": rates,
        "hard_student": accuracy(student, validation),
        "teacher": accuracy(teacher, validation),
        "validation_images": len(validation.labels),
        "seconds": {step: round(read_json(artifacts[step] / "manifest.json")["seconds"], 1) for step in own},
        "optimizer_steps": AdapterCard.read(artifacts["adapt"]).steps,
        "checks": [point["validation_loss"] for point in read_history(artifacts["adapt"]) if "validation_loss" in point],
    }


def accuracy(classifier: AnyClassifier, images: ImageSet) -> float:
    """Return the share of images that it takes for their class."""
    logits = predict_logits(classifier, images.images, batch_size=BATCH)
    return float((logits.argmax(axis=1) == images.labels).mean())


def leakage(result: RunResult, device: str) -> dict[str, Any]:
    """Return the denoising losses of members and hold-out, and how well the change from the base tells them apart."""
    data, adapter = result.artifacts["prepare"], result.artifacts["adapt"]
    names, card = DataCard.read(data).class_names, AdapterCard.read(adapter)
    pool = load_images(data / "pool", None)
    members = np.isin(pool.ids, read_members(data, 0))
    if members.all() or not card.has_weights:
        return {}
    order = np.random.default_rng(0).permutation(len(members))
    rows = np.concatenate([order[members[order]][:MOST_ASKED], order[~members[order]][:MOST_ASKED]])
    images, members, prompts = pool.images[rows], members[rows], [names[label] for label in pool.labels[rows]]
    generator = load_generator(card.model, device, torch.float32)
    before = denoising_losses(generator, images, prompts, num_draws=LOSS_DRAWS, batch_size=BATCH)
    generator.load_adapter(adapter)
    after = denoising_losses(generator, images, prompts, num_draws=LOSS_DRAWS, batch_size=BATCH)
    found = auc(before - after, members, 0.95)
    return {
        "member_loss": float(after[members].mean()),
        "other_loss": float(after[~members].mean()),
        "base_loss": float(before.mean()),
        "leak": [round(found.value, 3), round(found.low, 3), round(found.high, 3)],
    }


def common_settings(arguments: argparse.Namespace) -> list[str]:
    """Return what all variants share."""
    return [
        f"prepare.source={arguments.data}",
        f"adapt.model={arguments.model}",
        f"caption.model={arguments.captioner}",
        "audit.num_reference_runs=0",
        f"execution.output={arguments.output.absolute()}",
        f"execution.device={arguments.device}",
        "execution.workers=1",
        *(["execution.threads=1"] if arguments.device == "cpu" or arguments.jobs > 1 else []),
        *arguments.settings,
    ]


def prepare_all(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Compute what all variants share; return the settings with the number of images per class."""
    common = common_settings(arguments)
    for stage in ("caption", "teach"):
        result = run(load_settings(overrides=[*common, "execution.name=shared"]), until=stage)
    card = DataCard.read(result.artifacts["prepare"])
    return (*common, f"generate.cardinality={arguments.images * len(card.class_names) / card.num_members!r}")


def tasks(arguments: argparse.Namespace, common: tuple[str, ...]) -> list[Task]:
    """Return one task per adapter; the unadapted generator has neither steps nor average."""
    variants = {name: VARIANTS[name] for name in arguments.variants} | {name: own for name, *own in arguments.add}
    found = [
        Task(variant=name, own=tuple(own), steps=steps, ema=ema, guidance=tuple(arguments.guidance), common=common)
        for (name, own), steps, ema in itertools.product(variants.items(), arguments.steps, arguments.ema)
    ]
    return list(dict.fromkeys(replace(task, steps="0", ema=0.0) if task.variant == "unadapted" else task for task in found))


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder, table or .npz file, or `digits`")
    parser.add_argument("--output", type=Path, default=Path("runs/adaptation"), help="run folders and store")
    parser.add_argument("--lines", type=Path, help="file to which the JSON lines are added; they are printed always")
    parser.add_argument("--model", default="embedded:generator")
    parser.add_argument("--captioner", default="embedded:captioner")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="variants at a time, a process each")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--add", nargs="+", action="append", default=[], help="NAME key=value ...: another variant")
    parser.add_argument("--steps", nargs="+", default=["500", "1500", "4000"], help="numbers, or auto")
    parser.add_argument("--ema", nargs="+", type=float, default=[0.0, 0.999])
    parser.add_argument("--guidance", nargs="+", type=float, default=[2.0])
    parser.add_argument("--images", type=int, default=20, help="per class")
    parser.add_argument("--list", action="store_true", help="print the variants and end")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], help="settings of every variant: key=value ...")
    return parser.parse_args()


def main() -> None:
    """Measure every variant and print its lines as they come."""
    arguments = parse()
    if arguments.list:
        print("\n".join(f"{name}: {' '.join(settings)}" for name, settings in VARIANTS.items()))
        return
    asked = tasks(arguments, prepare_all(arguments))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn) as pool:
        pending = {pool.submit(measure, task): task for task in asked}
        for future in as_completed(pending):
            if error := future.exception():  # the others go on
                print(f"{pending[future].name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                continue
            for line in future.result():
                text = json.dumps({"data": Path(arguments.data).stem, **line})
                print(text, flush=True)
                if arguments.lines:
                    with arguments.lines.open("a") as file:
                        file.write(text + "\n")


if __name__ == "__main__":
    main()
