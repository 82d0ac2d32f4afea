"""teach: read the members of one run, train the Teacher or the Teachers of an ensemble, write their checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tckr.data.card import read_card
from tckr.data.seeds import derive_seed
from tckr.engine.step import StepContext
from tckr.models.classifiers.ensemble import MEMBER
from tckr.stages.teach.config import TeachConfig
from tckr.stages.teach.records import read_records
from tckr.training.artifact import MODEL_FOLDER, save_training
from tckr.training.batches import TrainingData
from tckr.training.checkpoint import read_state
from tckr.training.fit import fit, new_classifier
from tckr.training.losses import CrossEntropy


def run(config: TeachConfig, context: StepContext) -> None:
    """Train one or several classifiers on the member records of row `context.run`; input `data`.

    One Teacher is in `model/`; the members of an ensemble are in `model/member-1`, `model/member-2`, ... and what is
    written beside `model/` is about the first of them.
    """
    data = context.inputs["data"]
    class_names = read_card(data).class_names
    records = read_records(data, context.scratch, config, context.run)
    scratches = scratch_folders(context.scratch, config.num_teachers)
    finished = sum(len(read_state(scratch).history) for scratch in scratches)
    with context.track(config.epochs * config.num_teachers, "epochs", finished) as advance:
        for member, scratch in enumerate(scratches, start=1):
            _train(
                config,
                context,
                class_names=class_names,
                records=records,
                member=member,
                scratch=scratch,
                advance=advance,
            )


def scratch_folders(scratch: Path, num_teachers: int) -> list[Path]:
    """Return the folder for the checkpoints of each Teacher's training."""
    if num_teachers == 1:
        return [scratch]
    folders = [scratch / f"{MEMBER}{member}" for member in range(1, num_teachers + 1)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return folders


def member_seed(seed: int, member: int) -> int:
    """Return the root seed of Teacher 1, 2, ...; the first is the one that would be there alone."""
    return seed if member == 1 else derive_seed(seed, "teacher", member)


def _train(
    config: TeachConfig,
    context: StepContext,
    *,
    class_names: list[str],
    records: tuple[TrainingData, TrainingData | None],
    member: int,
    scratch: Path,
    advance: Callable[[int], None],
) -> None:
    """Train Teacher `member`; one that was finished before a kill is read from its checkpoint."""
    name = config.models()[member - 1]
    revision = config.revision if name == config.model else None
    seed = member_seed(context.seed, member)
    one = config.model_copy(update={"model": name, "revision": revision})
    model = new_classifier(one, class_names, derive_seed(seed, "initialise"))
    result = fit(
        model,
        *records,
        CrossEntropy(config.label_smoothing),
        config,
        seed=seed,
        device=context.execution.torch_device(),
        scratch=scratch,
        on_epoch=lambda record: advance(1),
        compiled=context.execution.compile,
    )
    folder = MODEL_FOLDER if config.num_teachers == 1 else f"{MODEL_FOLDER}/{MEMBER}{member}"
    if member == 1:
        save_training(context.out, model, result, folder)
    else:
        model.save(context.out / folder)
    context.log("trained", epochs=len(result.history), best_epoch=result.best_epoch, num_train=result.num_train)
