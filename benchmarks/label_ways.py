"""How labels reach the Student (`distill.labels`, `label.views`): stored for each image, for several views, or online.

    python -m benchmarks.label_ways RUN [RUN ...] --seeds 0 1 2 3 4 [--ways views4 views16 online]

Each RUN is the folder of a finished run. Its synthetic images and its Teacher are used again; labels and Students are made
anew by the stages, with each seed and way. Accuracy is measured on the private records of the pool that the run is not
trained on; the test split stays sealed. Printed for each run and way: the mean accuracy over seeds, the CPU seconds of
labels and Student, and the difference from `soft` seed by seed with a 95 % t-interval, which holds for these images, this
Teacher and these records; at the end the mean over runs, with a t-interval over runs.
Finished Students are kept in `--output`, so a second call computes what is missing.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy import stats

from tckr.artifacts.membership import read_members
from tckr.artifacts.synthetic import synthetic_class_names
from tckr.artifacts.training import MODEL_FOLDER
from tckr.config import Settings, load_settings
from tckr.data.images import ImageSet, load_images
from tckr.engine.execution import ExecutionConfig
from tckr.engine.step import StepContext
from tckr.models.classifiers import class_columns, load_classifier, predict_logits
from tckr.stages.distill import stage as distill_stage
from tckr.stages.label import stage as label_stage

SETTINGS_NAME = "config.yaml"


def settings_of(run: Path, way: str) -> Settings:
    """Return the settings of the finished run, with the labels of this way: soft, online, or views and their number."""
    views = int(way.removeprefix("views")) if way.startswith("views") else 1
    labels = "online" if way == "online" else "soft"
    return load_settings(run / SETTINGS_NAME, overrides=[f"label.views={views}", f"distill.labels={labels}"])


def trained(run: Path, way: str, seed: int, folder: Path) -> dict[str, float]:
    """Make labels and a Student below `folder`, and return its accuracy in [0, 1] and the CPU seconds."""
    settings, inputs = settings_of(run, way), {name: run / "artifacts" / name for name in ("generate", "teach")}
    begin = time.process_time()
    labels, student = folder / "labels", folder / "student"
    given = {"synthetic": inputs["generate"], "teacher": inputs["teach"]}
    label_stage.run(settings.label, context(given, labels, seed))
    distill_stage.run(settings.distill, context(given | {"labels": labels}, student, seed))
    seconds = time.process_time() - begin
    return {"accuracy": accuracy_on(student, run, synthetic_class_names(inputs["generate"])), "seconds": seconds}


def context(inputs: dict[str, Path], out: Path, seed: int) -> StepContext:
    """Return a context that keeps everything below `out` and shows nothing."""
    scratch = out.with_name(f"{out.name}-scratch")
    for folder in (out, scratch):
        folder.mkdir(parents=True)
    return StepContext(
        inputs=inputs,
        out=out,
        scratch=scratch,
        seed=seed,
        run=0,
        execution=ExecutionConfig(threads=1, workers=1),
        track=lambda total, unit, done=0: nullcontext(lambda amount: None),
        log=lambda event, **fields: None,
    )


def accuracy_on(student: Path, run: Path, class_names: list[str]) -> float:
    """Return the Student's accuracy on the private records that the run is not trained on."""
    unseen = unseen_records(run)
    model = load_classifier(student / MODEL_FOLDER)
    logits = predict_logits(model, unseen.images, batch_size=256)[:, class_columns(model.class_names, class_names)]
    return float((logits.argmax(axis=1) == unseen.labels).mean())


def unseen_records(run: Path) -> ImageSet:
    """Return the records of the pool that are no members of the run."""
    prepared = run / "artifacts" / "prepare"
    pool = load_images(prepared / "pool", None)
    return pool.select(np.setdiff1d(pool.ids, read_members(prepared, 0)))


def interval(values: list[float]) -> str:
    """Return the mean with a 95 % t-interval."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else float("nan")
    return f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"


def found(run: Path, way: str, seed: int, output: Path) -> dict[str, float]:
    """Return what is stored in `output` of this Student; make it first if there is nothing."""
    path = output / f"{run.parent.name}-{run.name}-{way}-{seed}.json"
    if not path.exists():
        with TemporaryDirectory(dir=output) as folder:
            path.write_text(json.dumps(trained(run, way, seed, Path(folder))), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def main() -> None:
    """Print a row for each run and way, and the mean differences over runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--ways", nargs="+", default=["views4", "views16", "online"], help="compared with soft")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--output", type=Path, default=Path("label-ways"), help="folder of the results")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    ways = ["soft", *given.ways]
    gained: dict[str, list[float]] = {way: [] for way in ways}
    print("| run | way | accuracy | CPU s | points more than soft |\n|---|---|---|---|---|")
    for run in given.runs:
        results = {way: [found(run, way, seed, given.output) for seed in given.seeds] for way in ways}
        for way, each in results.items():
            more = [100 * (one["accuracy"] - soft["accuracy"]) for one, soft in zip(each, results["soft"], strict=True)]
            gained[way].append(float(np.mean(more)))
            accuracy, seconds = (float(np.mean([one[name] for one in each])) for name in ("accuracy", "seconds"))
            name = f"{run.parent.name}/{run.name}"
            print(f"| {name} | {way} | {accuracy:.4f} | {seconds:.0f} | {interval(more)} |", flush=True)
    for way in ways[1:]:
        print(f"{way} - soft, mean over {len(gained[way])} runs: {interval(gained[way])} points")


if __name__ == "__main__":
    main()
