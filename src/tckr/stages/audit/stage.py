"""Ask every model about every record, judge the answers, write `audit.json` and `scores.parquet`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tckr.data.card import DataCard, read_card, read_membership
from tckr.data.images import ImageSet, load_images
from tckr.data.lock import check_test_split
from tckr.data.shards import write_whole
from tckr.engine.step import StepContext
from tckr.models.classifiers import Classifier, class_columns, load_classifier, predict_logits
from tckr.stages.audit.config import AuditConfig
from tckr.stages.audit.evidence import SURFACES, Evidence, Predictions, RecordAnswers
from tckr.stages.audit.queries import record_answers
from tckr.stages.audit.signals import SIGNALS
from tckr.stages.audit.tables import write_scores
from tckr.stages.audit.verdict import judge, why_not_measured

CONTROLS = ("null", "positive")


def run(config: AuditConfig, context: StepContext) -> None:
    """Fill the artifact. It is whole even when the verdict is `audit invalid`: `valid` in audit.json says so."""
    evidence = collect(config, context)
    result = judge(config, evidence)
    write_scores(context.out / "scores.parquet", config, evidence)
    text = result.model_dump_json(indent=1) + "\n"
    write_whole(context.out / "audit.json", lambda path: path.write_text(text, encoding="utf-8"))
    if not result.valid:
        context.log("warning", message=result.verdict)


def collect(config: AuditConfig, context: StepContext) -> Evidence:
    """Return the answers of all models. This is the only place that opens the locked test split.

    Raises:
        UserError: the test split is not the one that `prepare` locked.
    """
    data = context.inputs["data"]
    card, membership = read_card(data), np.array(read_membership(data))
    check_test_split(data)
    test = load_images(data / "test", context.scratch)
    pool = load_images(data / "pool", context.scratch)
    labels = np.empty(len(pool), dtype=np.int64)
    labels[pool.ids] = pool.labels
    members = membership[: len(_runs(context, "teacher"))]
    measured = not why_not_measured(len(members) - 1, int((~members[0]).sum()))
    answers = pool_answers(config, context, card, pool) if measured else {}
    return Evidence(
        class_names=card.class_names,
        labels=labels,
        members=members,
        test_labels=test.labels,
        test={surface: predictions_on_test(context, card, f"{surface}.0", test) for surface in SURFACES},
        pool={surface: _stack(answers, _runs(context, surface)) for surface in SURFACES if measured},
        controls={name: answers[f"control.{name}"] for name in CONTROLS if measured},
    )


def pool_answers(config: AuditConfig, context: StepContext, card: DataCard, pool: ImageSet) -> dict[str, RecordAnswers]:
    """Return the answers of every input model about the pool, in order of record; finished models are kept in scratch."""
    models = [name for name in context.inputs if name != "data"]
    done = {name: context.scratch / f"{name}.npy" for name in models}
    finished = sum(path.exists() for path in done.values()) * len(pool)
    with context.track(len(models) * len(pool), "records", finished) as advance:
        for name, path in done.items():
            if not path.exists():
                answers = record_answers(
                    _load_model(context, name),
                    pool,
                    card.class_names,
                    SIGNALS["logit_confidence"],
                    shift=config.shift,
                    flip=config.flip,
                    batch_size=context.execution.inference_batch_size,
                    advance=advance,
                )
                write_whole(path, partial(_save, in_order_of_record(answers, pool.ids)))
    return {name: RecordAnswers(*_load(path)) for name, path in done.items()}


def in_order_of_record(answers: RecordAnswers, ids: np.ndarray) -> np.ndarray:
    """Return signals and correctness as float64 [2, N], column = record, of answers in the order of `ids`."""
    found = np.empty((2, len(ids)))
    found[0, ids], found[1, ids] = answers.signals, answers.correct
    return found


def predictions_on_test(context: StepContext, card: DataCard, name: str, test: ImageSet) -> Predictions:
    """Return what a target model says about the locked test split."""
    classifier = _load_model(context, name)
    logits = predict_logits(classifier, test.images, batch_size=context.execution.inference_batch_size)
    return Predictions.from_logits(logits[:, class_columns(classifier.class_names, card.class_names)])


def _load_model(context: StepContext, name: str) -> Classifier:
    return load_classifier(context.inputs[name] / "model").to(context.execution.torch_device())


def _runs(context: StepContext, surface: str) -> list[str]:
    """Return the names of this surface's inputs, run 0 first."""
    found = [name for name in context.inputs if name.startswith(f"{surface}.")]
    return [f"{surface}.{run}" for run in range(len(found))]


def _stack(answers: dict[str, RecordAnswers], names: list[str]) -> RecordAnswers:
    chosen = [answers[name] for name in names]
    return RecordAnswers(np.stack([each.signals for each in chosen]), np.stack([each.correct for each in chosen]))


def _save(array: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:  # a file object: numpy would add another suffix to a name
        np.save(file, array, allow_pickle=False)


def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    signals, correct = np.load(path, allow_pickle=False)
    return signals, correct.astype(bool)
