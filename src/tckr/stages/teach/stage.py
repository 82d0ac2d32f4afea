"""teach: read the members of one run, train the Teacher or the Teachers of an ensemble, write their checkpoints.

Under a formal guarantee, another Teacher is trained with noise to label synthetic images, or Teachers on disjoint parts of
the members vote on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.guarantee import Guarantee
from tckr.artifacts.membership import read_members, split_of
from tckr.artifacts.synthetic import load_synthetic, synthetic_class_names
from tckr.artifacts.training import MODEL_FOLDER
from tckr.artifacts.voted_labels import VotedLabels
from tckr.data.groups import units_of
from tckr.data.images import ImageSet, load_images
from tckr.data.seeds import derive_seed
from tckr.engine.step import StepContext
from tckr.models.classifiers import class_columns
from tckr.models.classifiers.ensemble import MEMBER
from tckr.privacy.units import Units
from tckr.stages.teach.balance import is_uneven, log_shares
from tckr.stages.teach.config import DpTeachConfig, TeachConfig, VotingConfig
from tckr.stages.teach.dp_sgd import Lessons, continue_with_noise
from tckr.stages.teach.records import labelled, read_records
from tckr.stages.teach.votes import NO_VOTE, divide, histograms, noisy_choices
from tckr.stages.teach.voting import VOTES, Poll
from tckr.stages.teach.wording import describe_silent, describe_small
from tckr.training.artifact import save_training
from tckr.training.batches import TrainingData
from tckr.training.checkpoint import read_state
from tckr.training.data_parallel import fit_together
from tckr.training.early_stopping import EpochRecord
from tckr.training.fit import Task, fit, new_classifier
from tckr.training.losses import CrossEntropy


def run(config: TeachConfig, context: StepContext) -> None:
    """Train one or several classifiers on the member records of row `context.run`; input `data`.

    A single Teacher is in `model/`; the members of an ensemble are in `model/member-1`, `model/member-2`, ... and the other
    files describe the first of them.
    """
    scratches = scratch_folders(context.scratch, config.num_teachers)
    finished = sum(len(read_state(scratch).history) for scratch in scratches)
    with context.track(config.epochs * config.num_teachers, "epochs", finished) as advance:
        for member, scratch in enumerate(scratches, start=1):
            _train(config, context, member=member, scratch=scratch, advance=advance)


def run_of_votes(config: VotingConfig, context: StepContext) -> None:
    """Label the first images of input `synthetic` by noisy votes of Teachers on disjoint parts of the members in `data`.

    The guarantee of input `adapter` states the noise. Only the chosen classes are written; votes stay in the scratch folder,
    which is deleted.
    """
    guarantee = AdapterCard.read(context.inputs["adapter"]).guarantee
    assert guarantee is not None
    assert guarantee.votes is not None
    images = load_images(context.inputs["data"] / split_of(context.run), context.scratch)
    poll, parts = _poll(config, context, images, guarantee.votes.images), _parts(context, images, guarantee)
    for message in describe_small(guarantee, len(poll.voted)):
        context.log("warning", message=message)
    with context.track(len(parts), "teachers", len(list(context.scratch.glob(VOTES)))) as advance:
        votes = poll.votes(parts, context.scratch, advance)
    # noise that two runs have in common could be subtracted: each run samples its own
    noise_seed = derive_seed(context.seed, "noise of votes", context.fingerprint)
    chosen = noisy_choices(histograms(votes, len(poll.class_names)), guarantee.votes.noise, noise_seed)
    order = synthetic_class_names(context.inputs["synthetic"])
    labels = class_columns(order, poll.class_names)[chosen]
    VotedLabels(indices=poll.voted.ids, labels=labels).write(context.out, order)
    num_silent = int((votes == NO_VOTE).all(axis=1).sum())
    context.log("voted", images=len(labels), teachers=len(parts), silent=num_silent)
    if message := describe_silent(num_silent, len(parts)):
        context.log("warning", message=message)


def run_of_dp_teacher(config: DpTeachConfig, context: StepContext) -> None:
    """Train a Teacher on input `synthetic` and the classes of its prompts, then with noise on the members in `data`.

    The guarantee of input `adapter` states sampling and noise.
    """
    guarantee = AdapterCard.read(context.inputs["adapter"]).guarantee
    assert guarantee is not None
    assert guarantee.teacher is not None
    # noise that two runs have in common could be subtracted: each run samples its own
    seed, device = derive_seed(context.seed, "DP Teacher", context.fingerprint), context.execution.torch_device()
    images = load_images(context.inputs["data"] / split_of(context.run), context.scratch)
    records = read_members(context.inputs["data"], context.run)
    model = new_classifier(config, guarantee.class_names, derive_seed(seed, "initialise"))
    first = Task(model, _synthetic(context, guarantee.class_names), None, CrossEntropy(config.label_smoothing), config)
    lessons = Lessons(
        data=labelled(images, images.rows_of(records)),
        units=Units(units_of(context.inputs["data"], records, guarantee.unit)),
        inputs=guarantee.teacher,
        expected=guarantee.teacher.sampling_rate * guarantee.noisy_count,
        seed=seed,
    )
    scratches = [context.scratch / name for name in ("synthetic", "noisy")]
    for scratch in scratches:
        scratch.mkdir(exist_ok=True)
    finished = sum(len(read_state(scratch).history) for scratch in scratches)
    with context.track(config.epochs + lessons.num_epochs, "epochs", finished) as advance:
        fit(first, seed=seed, device=device, scratch=scratches[0], on_epoch=lambda record: advance(1))
        result = continue_with_noise(
            model, lessons, config, device=device, scratch=scratches[1], on_epoch=lambda record: advance(1)
        )
    save_training(context.out, model, result)


def _synthetic(context: StepContext, class_names: Sequence[str]) -> TrainingData:
    """Return the synthetic images with the classes of their prompts, as positions in `class_names`."""
    synthetic = load_synthetic(context.inputs["synthetic"], context.scratch)
    classes = class_columns(synthetic_class_names(context.inputs["synthetic"]), class_names)
    rows = np.arange(len(synthetic))
    return TrainingData(synthetic.images, rows, np.argsort(classes)[synthetic.labels])


def _poll(config: VotingConfig, context: StepContext, images: ImageSet, num_voted: int) -> Poll:
    """Return the vote of Teachers that learn from `images` on the first `num_voted` synthetic images."""
    synthetic = load_synthetic(context.inputs["synthetic"], context.scratch)
    return Poll(
        config=config,
        members=images,
        voted=synthetic.select(np.sort(synthetic.ids)[:num_voted]),
        class_names=DataCard.read(context.inputs["data"]).class_names,
        seed=derive_seed(context.seed, "votes"),
        device=context.execution.torch_device(),
        batch_size=context.execution.inference_batch_size,
        log=context.log,
    )


def _parts(context: StepContext, images: ImageSet, guarantee: Guarantee) -> list[np.ndarray]:
    """Return the rows of `images` that each Teacher learns from."""
    assert guarantee.votes is not None
    records = read_members(context.inputs["data"], context.run)
    seed, units = derive_seed(context.seed, "parts"), units_of(context.inputs["data"], records, guarantee.unit)
    return divide(images, images.rows_of(records), units, num_parts=guarantee.votes.teachers, seed=seed)


def scratch_folders(scratch: Path, num_teachers: int) -> list[Path]:
    """Return the folder for the checkpoints of each Teacher's training."""
    if num_teachers == 1:
        return [scratch]
    folders = [scratch / f"{MEMBER}{member}" for member in range(1, num_teachers + 1)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return folders


def member_seed(seed: int, member: int) -> int:
    """Return the root seed of Teacher 1, 2, ...; the first has the seed of a single Teacher."""
    return seed if member == 1 else derive_seed(seed, "teacher", member)


def _train(
    config: TeachConfig,
    context: StepContext,
    *,
    member: int,
    scratch: Path,
    advance: Callable[[int], None],
) -> None:
    """Train Teacher `member`; one that was finished before a kill is read from its checkpoint."""
    name = config.models()[member - 1]
    revision = config.revision if name == config.model else None
    seed = member_seed(context.seed, member)
    one = config.model_copy(update={"model": name, "revision": revision})
    data, device = context.inputs["data"], context.execution.torch_device()
    make_task = partial(_task, config=one, data=data, cache=context.scratch, run=context.run, seed=seed)
    task = make_task(device)
    if member == 1:
        context.became(image_size=task.model.spec.input_size[0])

    def tell(record: EpochRecord) -> None:
        advance(1)
        context.note(record.epoch, **record.numbers("" if member == 1 else f"teacher_{member}/"))

    result = fit_together(
        task,
        make_task,
        gpus=context.execution.gpus if context.run == 0 else 1,
        seed=seed,
        device=device,
        scratch=scratch,
        log=context.log,
        on_epoch=tell,
        compiled=context.execution.compile,
        gang=context.gang,
    )
    folder = MODEL_FOLDER if config.num_teachers == 1 else f"{MODEL_FOLDER}/{MEMBER}{member}"
    if member == 1:
        save_training(context.out, task.model, result, folder)
    else:
        task.model.save(context.out / folder)
    context.log("trained", epochs=len(result.history), best_epoch=result.best_epoch, num_train=result.num_train)


def _task(device: str, *, config: TeachConfig, data: Path, cache: Path, run: int, seed: int) -> Task:
    """Return the training task of one Teacher; every process that trains it calls this."""
    members, validation = read_records(data, cache, config, run)
    model = new_classifier(config, DataCard.read(data).class_names, derive_seed(seed, "initialise"))
    labels, num_classes = np.asarray(members.targets), len(model.class_names)
    balanced = config.balance > 0 and is_uneven(labels, num_classes)
    loss = CrossEntropy(config.label_smoothing, config.balance * log_shares(labels, num_classes) if balanced else None)
    return Task(model, members, validation, loss, config, balanced=balanced)
