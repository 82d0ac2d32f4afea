"""Two steps: `ask` queries one run about every record, or only canaries; `run` judges the answers of all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import read_canaries, read_membership
from tckr.artifacts.mistakes import write_mistakes
from tckr.artifacts.split_lock import check_test_split
from tckr.artifacts.synthetic import load_synthetic
from tckr.artifacts.training import MODEL_FOLDER
from tckr.data.groups import groups_of_pool
from tckr.data.images import ImageSet, load_images
from tckr.engine.step import StepContext
from tckr.membership.collection import assemble, collect_canaries, relative_to_base, runs_of
from tckr.membership.config import MIN_REFERENCE_RUNS
from tckr.membership.evidence import IMAGES_ALONE, Evidence, Predictions
from tckr.membership.likeness import features_of, features_of_pool, members_and_holdout
from tckr.membership.queries.answers import read_answers, write_answers
from tckr.membership.queries.questions import QUESTIONS, Answers
from tckr.membership.refutation import refutation_text, try_to_refute
from tckr.membership.scorers.quantile_regression import Spread
from tckr.membership.scores import write_scores
from tckr.membership.verdict import judge
from tckr.membership.wording import verdict_text
from tckr.metrics.copies import FeatureSet, measure_copies
from tckr.metrics.results import CopiesResult, FidelityResult
from tckr.models.classifiers import AnyClassifier, class_columns, load_classifier, predict_logits
from tckr.models.classifiers.features import predict_features
from tckr.models.encoder import load_encoder
from tckr.stages.audit.asking import Asking, ask_alone, in_order
from tckr.stages.audit.config import AuditConfig, CanarySignalConfig, SignalConfig
from tckr.stages.audit.fidelity import compare_with_members
from tckr.surfaces import CLASSIFIERS

RUN = "signals."
"""Prefix of the name of an input with the answers of a run."""


def ask(config: SignalConfig, context: StepContext) -> None:
    """Query one run with each signal that its own artifacts can answer; finished queries are kept in scratch."""
    asking = Asking(
        folders=tuple(context.inputs.items()),
        settings=config,
        device=context.execution.torch_device(),
        batch_size=context.execution.inference_batch_size,
        cache=context.scratch,
        only_canaries=isinstance(config, CanarySignalConfig),
    )
    asked = asking.open(lambda amount: advance(amount))  # here: other processes find the decoded images
    looks = {name: QUESTIONS[name].looks(config) * len(asked.records) for name in asking.questions}
    missing = [name for name in looks if not asking.file(name).exists()]
    num_workers = context.execution.num_workers(max(1, len(missing)))
    with context.track(sum(looks.values()), "looks", sum(looks.values()) - sum(looks[name] for name in missing)) as advance:
        if context.spread is None or num_workers == 1:
            for name in missing:
                asking.ask(name, asked)
        else:
            for name in context.spread(partial(ask_alone, asking=asking), missing, num_workers):
                advance(looks[name])
    write_answers(context.out, asking.answers(), asked.records.ids)


def run(config: AuditConfig, context: StepContext) -> None:
    """Write the verdict. The artifact is complete even if the verdict is `audit invalid` (`verdict.state` in audit.json)."""
    data = context.inputs["data"]
    canaries, has_references = read_canaries(data), f"{RUN}1" in context.inputs
    runs = {
        name.removeprefix(RUN): read_answers(path, len(canaries), complete=has_references)
        for name, path in context.inputs.items()
        if name.startswith(RUN)
    }
    answers = relative_to_base(runs)
    membership = np.array(read_membership(data)[: max(1, len(runs_of(answers)))])
    groups = groups_of_pool(data, membership.shape[1])
    features = pool_features(context) if len(membership) > MIN_REFERENCE_RUNS else None
    known = {"groups": groups, "features": None if features is None else features.vectors}
    evidence = collect(config, context, answers, membership=membership, canaries=canaries, **known)
    found = None if features is None else copies(config, context, features)
    likeness = fidelity(config, context, membership[0], canaries == 0)
    planted = collect_canaries(config, answers, membership, canaries, groups) if canaries.any() else None
    track = partial(context.track, unit="attacks")
    result = judge(config, evidence, found, planted, likeness, track=track, spread=_spread(context))
    guarantee = AdapterCard.read(context.inputs["adapter"]).guarantee if "adapter" in context.inputs else None
    if guarantee:
        refutation = try_to_refute(guarantee, planted, config.confidence, coin_of_group=groups is not None)
        result = result.model_copy(update={"guarantee": refutation})
    write_scores(context.out / "scores.parquet", config, evidence)
    result.write(context.out)
    if not result.valid:
        context.log("warning", message=verdict_text(result.verdict))
    if result.guarantee and result.refuted:
        context.log("warning", message=refutation_text(result.guarantee))


def _spread(context: StepContext) -> Spread | None:
    """Return how to compute things in the step's processes; None if there is only this one."""
    workers, num_workers = context.workers, context.execution.num_workers
    if workers is None or num_workers(2) == 1:
        return None
    return lambda function, items: workers(function, items, num_workers(len(items)))


def pool_features(context: StepContext) -> FeatureSet:
    """Return the pool's features in order of record, from a classifier that was trained on none of the records."""
    model, batch_size = _classifier(context, "features"), context.execution.inference_batch_size
    return features_of_pool(model, context.inputs["data"], batch_size=batch_size, cache=context.scratch)


def collect(
    config: AuditConfig,
    context: StepContext,
    answers: Mapping[str, Answers],
    *,
    membership: np.ndarray,
    canaries: np.ndarray,
    groups: np.ndarray | None,
    features: np.ndarray | None,
) -> Evidence:
    """Return the evidence about all records except canaries. Only this function reads the locked test split.

    Raises:
        UserError: the test split is not the one that `prepare` locked.
    """
    data = context.inputs["data"]
    sealed = context.opened["data"] / "test"
    check_test_split(sealed, data)
    test = load_images(sealed, context.scratch)
    tested = [*CLASSIFIERS, *({IMAGES_ALONE} & set(context.inputs))]
    predictions = {name: predictions_on_test(context, name, test) for name in tested}
    write_mistakes(context.out, test, predictions["student"].classes, predictions["student"].confidences)
    return assemble(
        config,
        answers,
        class_names=DataCard.read(data).class_names,
        labels=in_order(load_images(data / "pool", context.scratch)).labels,
        membership=membership,
        canaries=canaries,
        groups=groups,
        test_labels=test.labels,
        test=predictions,
        features=features,
    )


def copies(config: AuditConfig, context: StepContext, pool: FeatureSet) -> CopiesResult:
    """Return how often the target's synthetic images are near-copies, by a model that was trained on none of the records."""
    images = load_synthetic(context.inputs["synthetic"], context.scratch)
    synthetic = features_of(_classifier(context, "features"), images, context.execution.inference_batch_size)
    inside, outside = members_and_holdout(pool, context.inputs["data"], context.run)
    return measure_copies(synthetic, inside, outside, confidence=config.confidence)


def fidelity(config: AuditConfig, context: StepContext, members: np.ndarray, ordinary: np.ndarray) -> FidelityResult:
    """Return the similarity of synthetic images and, for comparison, of hold-out records to members."""
    device, batch_size = context.execution.torch_device(), context.execution.inference_batch_size
    encode: Callable[..., np.ndarray]
    if config.fidelity_model:
        encode = partial(load_encoder(config.fidelity_model, device).features, batch_size=batch_size)
    else:
        encode = partial(predict_features, _classifier(context, "teacher"), batch_size=batch_size)
    pool = in_order(load_images(context.inputs["data"] / "pool", context.scratch))
    synthetic = load_synthetic(context.inputs["synthetic"], context.scratch)
    inside, outside = np.flatnonzero(members & ordinary), np.flatnonzero(~members & ordinary)
    return compare_with_members(
        lambda images, rows: encode(images, rows=rows),
        config.fidelity_model or "Teacher",
        members=(pool.images, inside, pool.labels[inside]),
        synthetic=(synthetic.images, np.arange(len(synthetic)), synthetic.labels),
        holdout=(pool.images, outside, pool.labels[outside]),
        seed=context.seed,
        confidence=config.confidence,
    )


def predictions_on_test(context: StepContext, name: str, test: ImageSet) -> Predictions:
    """Return the predictions of a target model on the locked test split."""
    classifier = _classifier(context, name)
    columns = class_columns(classifier.class_names, DataCard.read(context.inputs["data"]).class_names)
    logits_TK = predict_logits(classifier, test.images, batch_size=context.execution.inference_batch_size)[:, columns]
    return Predictions.from_logits(logits_TK, test.labels)


def _classifier(context: StepContext, name: str) -> AnyClassifier:
    return load_classifier(context.inputs[name] / MODEL_FOLDER).to(context.execution.torch_device())
