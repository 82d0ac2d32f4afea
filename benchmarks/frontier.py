"""Measure ways to generate that cost less: images per CPU second against what Teacher, distances and Students say of them.

    python benchmarks/frontier.py RUN ... --json FILE [--images 200] [--settings "steps=10" "solver=unipc steps=8"]
    python benchmarks/frontier.py RUN ... --json FILE --students 5 --settings "steps=10"

RUN is the folder of a run with the steps up to `teach`; its captions, adapter and Teacher are read, and it is not changed.
A setting changes settings of `generate`; `today` is the run's own. Two changes are not settings of TCKR: `half_decoder=true`
decodes in bfloat16, `cache=N` computes attention at every N-th step alone (diffusers' Pyramid Attention Broadcast).

Every setting generates the same plan with the same noise in chunks, in another order for each chunk, with one thread. These
numbers are printed for each run and setting:

    speed      images per second of user time, from prompt to PNG, to those of `today`: median over the chunks, range
    agreement  share of the images that the Teacher assigns to the class of the prompt, and the paired difference to `today`
               in points with a 95 % interval over images
    fid ...    distances to the validation split in the Teacher's features

With --students N, each setting instead gets N sets of --images images (0: as many as the run has), each with its own noise.
The Teacher labels them, and a Student learns from them as in the run. Printed is its accuracy on the validation split, and
the paired difference to `today` in points, with a 95 % t-interval over the N pairs. The test split stays sealed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import PyramidAttentionBroadcastConfig
from diffusers.hooks import HookRegistry, apply_pyramid_attention_broadcast
from scipy.stats import t as student_t

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.training import MODEL_FOLDER
from tckr.config import Settings, load_settings
from tckr.data.images import decode_image, load_images
from tckr.engine.execution import ExecutionConfig
from tckr.engine.step import StepContext
from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.fidelity import measure_fidelity
from tckr.models.classifiers import class_columns, load_classifier, predict_logits
from tckr.models.classifiers.features import predict_features
from tckr.models.precision import forward_precision
from tckr.stages.distill import stage as distill
from tckr.stages.generate import stage as generate
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.draw import Drawer
from tckr.stages.generate.plan import Batch
from tckr.stages.label import stage as label

TODAY = "today"
PUBLISHED = "steps=20 solver=default spacing=default"
SETTINGS = (
    *(PUBLISHED, PUBLISHED.replace("20", "10"), "spacing=default", "solver=default", "steps=5", "steps=7"),
    *("guidance_scale=1", "guidance_interval=[0.2,0.8]", "half_decoder=true", "cache=2"),
)
CHUNK, BATCH = 25, 25
MEASURES = ("fid", "kid", "precision", "coverage")


@dataclass(frozen=True)
class Setting:
    """A way to generate: settings of the stage, and what is no setting of it."""

    name: str
    config: GenerateConfig
    half_decoder: bool = False
    cache: int = 0

    @classmethod
    def parse(cls, text: str, own: GenerateConfig) -> Setting:
        """Return what a text like `steps=8 cache=2` means for a run; `today` changes nothing."""
        changes = dict(part.split("=", 1) for part in text.split()) if text != TODAY else {}
        asked = {name: json.loads(value) if value[0] in "[0123456789t" else value for name, value in changes.items()}
        besides = {name: asked.pop(name) for name in ("half_decoder", "cache") if name in asked}
        return cls(text, GenerateConfig.model_validate(own.model_dump() | asked), **besides)


@dataclass(frozen=True)
class Run:
    """A finished run that is only read."""

    folder: Path

    @cached_property
    def settings(self) -> Settings:
        """Return its settings."""
        return load_settings(self.folder / "config.yaml")

    @cached_property
    def inputs(self) -> dict[str, Path]:
        """Return the artifacts that generation and labelling read."""
        folders = {"adapter": "adapt", "captions": "caption", "data": "prepare", "teacher": "teach"}
        return {name: (self.folder / "artifacts" / step).resolve() for name, step in folders.items()}

    @cached_property
    def class_names(self) -> list[str]:
        """Return the classes."""
        return list(DataCard.read(self.inputs["data"]).class_names)

    @cached_property
    def num_images(self) -> int:
        """Return how many images the run would generate."""
        return len(CaptionTable.read(self.inputs["captions"]).texts)

    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels of the validation split, in random order."""
        found = load_images(self.inputs["data"] / "validation", None)
        order = np.random.default_rng(0).permutation(len(found.labels))
        return np.asarray(found.images)[order], np.asarray(found.labels)[order]


def context_of(inputs: Mapping[str, Path], out: Path, seed: int) -> StepContext:
    """Return where a stage works, in this process."""
    return StepContext(
        inputs=inputs,
        out=out,
        scratch=out,
        seed=seed,
        run=0,
        execution=ExecutionConfig(device="cpu", workers=1, threads=1),
        track=lambda total, unit, done=0: nullcontext(lambda amount: None),
        log=lambda event, **fields: None,
        workers=None,
    )


def drawer_of(run: Run, setting: Setting) -> Drawer:
    """Return the stage's own drawer with the setting applied."""
    context = context_of(run.inputs, run.folder, 0)
    recipe = generate._recipe(setting.config, context, AdapterCard.read(run.inputs["adapter"]), run.class_names)
    generator: Any = recipe.load()
    if setting.half_decoder:
        generator.decode = partial(half_decoded, generator.decode)
    if setting.cache:
        skip_attention(generator.denoiser, setting.cache)
        generator.denoise = partial(cached, generator.denoise, generator.denoiser)
    return Drawer(generator, recipe, BATCH)


def half_decoded(decode: Any, latents: torch.Tensor) -> np.ndarray:
    """Return what `decode` returns, in bfloat16."""
    with forward_precision(bfloat16=True, device="cpu"):
        return np.asarray(decode(latents))


def skip_attention(denoiser: Any, every: int) -> None:
    """Make `denoiser` compute attention at every `every`-th step alone."""
    skip = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=every,
        cross_attention_block_skip_range=every,
        current_timestep_callback=lambda: 500,  # always inside of the steps at which it may skip
    )
    apply_pyramid_attention_broadcast(denoiser, skip)


def cached(denoise: Any, denoiser: Any, *arguments: Any, **named: Any) -> torch.Tensor:
    """Return what `denoise` returns, and forget the stored attention."""
    found: torch.Tensor = denoise(*arguments, **named)
    HookRegistry.check_if_exists_or_initialize(denoiser).reset_stateful_hooks(recurse=True)
    return found


def batches_of(run: Run, count: int) -> list[Batch]:
    """Return the first `count` images of the run's plan with seed 0."""
    context = context_of(run.inputs, run.folder, 0)
    larger = run.settings.generate.model_copy(update={"cardinality": 1 + count / run.num_images})
    plan = generate._plan(larger, context, AdapterCard.read(run.inputs["adapter"]))
    return list(plan.batches("all", range(count), CHUNK))


@dataclass
class Generated:
    """What a setting generated: user seconds of each chunk, and the images."""

    seconds: list[float]
    images: list[np.ndarray]


def generated(run: Run, settings: Sequence[Setting], batches: Sequence[Batch]) -> dict[str, Generated]:
    """Return what each setting generates."""
    drawers = {setting.name: drawer_of(run, setting) for setting in settings}
    found = {name: Generated([], []) for name in drawers}
    for drawer in drawers.values():
        drawer.draw(replace(batches[0], images=batches[0].images[:2]))  # the first pass is slower
    names = list(drawers)
    for number, batch in enumerate(batches):
        first = number * len(names) // len(batches)
        for name in names[first:] + names[:first]:
            began = os.times().user
            pngs = drawers[name].draw(batch).pngs
            found[name].seconds.append(os.times().user - began)
            found[name].images += [decode_image(png) for png in pngs]
    return found


def measure(run: Run, settings: Sequence[Setting], count: int) -> list[dict[str, Any]]:
    """Return a line per setting."""
    batches = batches_of(run, count)
    labels = np.array([planned.label for batch in batches for planned in batch.images])
    found = generated(run, settings, batches)
    teacher = load_classifier(run.inputs["teacher"] / MODEL_FOLDER)
    columns = class_columns(teacher.class_names, run.class_names)
    reference = predict_features(teacher, run.validation()[0], batch_size=BATCH)
    lines, own = [], {}
    for name, made in found.items():
        images = np.stack(made.images)
        own[name] = predict_logits(teacher, images, batch_size=BATCH)[:, columns].argmax(axis=1) == labels
        ratios = [before / now for before, now in zip(found[TODAY].seconds, made.seconds, strict=True)]
        fidelity = measure_fidelity(reference, predict_features(teacher, images, batch_size=BATCH), 0.95)
        lines.append(
            {"run": run.folder.name, "setting": name, "images": count, "per_cpu_second": count / sum(made.seconds)}
            | {"speed": [statistics.median(ratios), min(ratios), max(ratios)], "agreement": float(own[name].mean())}
            | {"to_today": paired(own[name].astype(float) - own[TODAY])}
            | {measure: value_of(getattr(fidelity, measure)) for measure in MEASURES}
        )
    return lines


def value_of(found: Measured) -> float:
    """Return the value of an estimate; NaN if there is none."""
    return found.value if isinstance(found, Estimate) else math.nan


def paired(differences: Sequence[float] | np.ndarray) -> list[float]:
    """Return the mean of paired differences, and the ends of its 95 % t-interval, in points."""
    values = 100 * np.asarray(differences, dtype=float)
    if len(values) < 2:
        return [float(values.mean()), -math.inf, math.inf]
    half = student_t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return [float(values.mean()), float(values.mean() - half), float(values.mean() + half)]


def student_accuracy(run: Run, setting: Setting, count: int, seed: int) -> float:
    """Return the accuracy on the validation split of a Student of one set."""
    images, labels = run.validation()
    config = setting.config.model_copy(update={"cardinality": (count or run.num_images) / run.num_images})
    with tempfile.TemporaryDirectory() as folder:
        made = {name: Path(folder) / name for name in ("synthetic", "labels", "student")}
        for out in made.values():
            out.mkdir()
        generate.run(config, context_of(run.inputs, made["synthetic"], seed))
        inputs = run.inputs | {"synthetic": made["synthetic"], "labels": made["labels"]}
        label.run(run.settings.label, context_of(inputs, made["labels"], seed))
        distill.run(run.settings.distill, context_of(inputs, made["student"], seed))
        student = load_classifier(made["student"] / MODEL_FOLDER)
    logits = predict_logits(student, images, batch_size=BATCH)[:, class_columns(student.class_names, run.class_names)]
    return float((logits.argmax(axis=1) == labels).mean())


def students(run: Run, settings: Sequence[Setting], count: int, number: int) -> list[dict[str, Any]]:
    """Return a line per setting; seed by seed, so that all pairs are whole."""
    found: dict[str, list[float]] = {setting.name: [] for setting in settings}
    for seed in range(number):
        for setting in settings:
            found[setting.name].append(student_accuracy(run, setting, count, seed))
            print(
                f"{run.folder.name}, {setting.name}, seed {seed}: {found[setting.name][-1]:.3f}", file=sys.stderr, flush=True
            )
    return [
        {"run": run.folder.name, "setting": name, "images": count or run.num_images, "students": accuracies}
        | {"student": statistics.mean(accuracies), "to_today": paired(np.subtract(accuracies, found[TODAY]))}
        for name, accuracies in found.items()
    ]


def print_line(line: Mapping[str, Any]) -> None:
    """Print one line of the table."""
    difference = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*line["to_today"])
    if "student" in line:
        text = f"Student {line['student']:.3f}  {difference}"
    else:
        speed = "{:.2f} [{:.2f}, {:.2f}]".format(*line["speed"])
        distances = "  ".join(f"{name} {line[name]:.3f}" for name in MEASURES)
        text = f"{line['per_cpu_second']:7.2f}  {speed:20} {line['agreement']:.3f}  {difference:22} {distances}"
    print(f"{line['run']:9} {line['setting']:36} {text}", flush=True)


def main() -> None:
    """Print a table per run, and write all lines as JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS))
    parser.add_argument("--images", type=int, default=200, help=f"a multiple of {CHUNK}")
    parser.add_argument("--students", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[dict[str, Any]] = []
    for run in map(Run, arguments.runs):
        settings = [Setting.parse(text, run.settings.generate) for text in (TODAY, *arguments.settings)]
        if arguments.students:
            found = students(run, settings, arguments.images, arguments.students)
        else:
            found = measure(run, settings, arguments.images)
        for line in found:
            print_line(line)
        lines += found
        if arguments.json:
            arguments.json.write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
