"""label: read synthetic shards and the Teacher, write soft labels and the agreement of prompts and Teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tckr.artifacts.agreement import write_agreement
from tckr.artifacts.soft_labels import SOFT_LABELS_NAME, LabelRecipe
from tckr.artifacts.synthetic import synthetic_class_names, synthetic_shards
from tckr.artifacts.training import MODEL_FOLDER, TrainingSummary, read_history
from tckr.artifacts.voted_labels import VotedLabels
from tckr.data.seeds import derive_seed
from tckr.data.variation import ViewRecipe
from tckr.disk import write_whole
from tckr.engine.step import StepContext
from tckr.stages.label.agreement import count_agreement
from tckr.stages.label.config import LabelConfig
from tckr.stages.label.labelling import LabelTask, count_rows, join_shards, label_alone, label_by_prompt, label_shard
from tckr.stages.label.wording import describe_low

VIEWS_UNUSED = (
    "label.views={views} has no effect: labels are classes, which are the same for every view of an image, and the Student "
    "is trained on its own augmentations (distill.augment); set label.views=1, or privacy.labels=teacher"
)


def run(config: LabelConfig, context: StepContext) -> None:
    """Label every image of input `synthetic` with input `teacher`; finished shards are kept."""
    synthetic = context.inputs["synthetic"]
    class_names = synthetic_class_names(synthetic)
    recipe = recipe_of(config, context.seed)
    task = LabelTask(
        teacher=context.inputs["teacher"] / MODEL_FOLDER,
        device=context.execution.torch_device(),
        class_names=tuple(class_names),
        recipe=recipe,
        top_k=config.top_k,
        batch_size=context.execution.inference_batch_size,
    )
    targets = {shard: context.scratch / "labels" / shard.name for shard in synthetic_shards(synthetic)}
    done = sum(count_rows(target) for target in targets.values() if target.exists()) // config.views
    with context.track(sum(count_rows(shard) for shard in targets), "images", done) as advance:
        _label(task, {shard: target for shard, target in targets.items() if not target.exists()}, context, advance)
    labels = context.out / SOFT_LABELS_NAME
    write_whole(labels, lambda path: join_shards(list(targets.values()), path, recipe))
    agreement = count_agreement(labels, class_names)
    write_agreement(context.out, agreement)
    if message := describe_low(agreement, _validation_accuracy(context.inputs["teacher"])):
        context.log("warning", message=message)


def _label(task: LabelTask, missing: Mapping[Path, Path], context: StepContext, advance: Callable[[int], None]) -> None:
    """Label the shards that are missing: here, or where there are other machines a shard at a time on those."""
    num_workers = context.execution.num_workers(max(1, len(missing)))
    if context.spread is None or num_workers == 1:
        labeller = task.load()
        for shard, target in missing.items():
            label_shard(labeller, shard, target, advance)
    else:
        for count in context.spread(partial(label_alone, task=task), missing.items(), num_workers):
            advance(count)


def run_of_prompts(config: LabelConfig, context: StepContext) -> None:
    """Label every image of input `synthetic` with the class of its prompt, with probability 1 and without a Teacher.

    The images of input `voted`, if there is one, get the class that was chosen for them. Under a formal guarantee, a Teacher
    that was trained on private images without noise may not be queried.
    """
    if context.run == 0 and config.views > 1:
        context.log("warning", message=VIEWS_UNUSED.format(views=config.views))
    synthetic = context.inputs["synthetic"]
    shard = context.scratch / "labels.parquet"
    num_images = sum(count_rows(path) for path in synthetic_shards(synthetic))
    voted = VotedLabels.read(context.inputs["voted"]) if "voted" in context.inputs else None
    with context.track(num_images, "images") as advance:
        label_by_prompt(synthetic, shard, voted)
        advance(num_images)
    write_whole(context.out / SOFT_LABELS_NAME, lambda path: join_shards([shard], path, LabelRecipe()))


def recipe_of(config: LabelConfig, seed: int) -> LabelRecipe:
    """Return how labels are made, with the seed of the views, from which a Student makes the same views."""
    if config.views == 1:
        return LabelRecipe(temperature=config.temperature)
    views = ViewRecipe(num_views=config.views, seed=derive_seed(seed, "views"), ranges=config.augment)
    return LabelRecipe(temperature=config.temperature, views=views)


def _validation_accuracy(teacher: Path) -> float | None:
    """Return the Teacher's accuracy on private validation images in the selected epoch; None if it was not measured."""
    history, summary = read_history(teacher), TrainingSummary.read_if_there(teacher)
    return history[summary.best_epoch]["validation_accuracy"] if history and summary else None
