"""Read captions and adapter, generate the missing images of the plan, write shards, plan.json and README.md."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.synthetic import (
    DATA_FOLDER,
    ReplacedCopies,
    SyntheticFacts,
    count_candidates,
    count_replaced,
    read_synthetic_shard,
    synthetic_shards,
    write_synthetic_shard,
)
from tckr.artifacts.training import MODEL_FOLDER
from tckr.data.images import load_images
from tckr.disk import write_whole
from tckr.engine.step import StepContext
from tckr.errors import UserError
from tckr.membership.likeness import features_of_records
from tckr.models.classifiers import load_classifier
from tckr.models.diffusion.generator import Generator, Sampling
from tckr.models.diffusion.prompts import describe_cut
from tckr.models.memory import BatchLimit
from tckr.models.precision import is_bfloat16
from tckr.stages.generate.assemble import Assembly
from tckr.stages.generate.candidates import Judging
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.copying import CopySearch, prepare_search
from tckr.stages.generate.disowned import Disowning
from tckr.stages.generate.donors import copy_shards
from tckr.stages.generate.draw import Drawer, Drawn, Recipe, choose_batch_size, draw_batch, draw_here
from tckr.stages.generate.plan import Plan, make_plan
from tckr.stages.generate.readme import data_card
from tckr.stages.generate.replay import replayed_shards

MIN_BATCHES_PER_WORKER = 2
"""Minimum number of batches for worker processes, which need seconds to start; fewer are generated in this process."""

NUM_SHOWN = 64
"""Images that TensorBoard shows."""

FEWEST_RECORDS = 2
"""Minimum number of members, and of hold-out records, for a definition of near."""

MEMORY_PER_MODEL, WORKER_BYTES = 2, 10**9
"""Assumed memory of a worker: multiple of its weights, for loading and activations, plus bytes for libraries."""


def run(config: GenerateConfig, context: StepContext) -> None:
    """Generate the synthetic set; complete shards found in `context.out` are kept."""
    adapter = AdapterCard.read(context.inputs["adapter"])
    plan = _plan(config, context, adapter)
    recipe = _recipe(config, context, adapter, plan.class_names)
    facts = {"num_images": plan.num_images, "num_classes": len(plan.class_names), "image_size": adapter.image_size}
    precision = _precision(config, recipe)
    _refuse_other_precision(context.out, precision)
    context.became(**config.schedule(adapter.model)._asdict(), precision=precision)
    details = SyntheticFacts(**facts, shard_size=config.shard_size, precision=precision)
    details.write(context.out)  # first, so that an attempt on another machine knows the precision
    donors = [donor for donor in context.donors if _precision_of(donor) == precision and not config.redraws]
    copied = copy_shards(donors, plan, config.shard_size, context.out)
    if len(donors) < len(context.donors) and copied < plan.num_images:
        message = f"generated again in {precision}: the set from which images could be copied has another precision"
        context.log("warning", message=message)
    _draw(config, context, plan, recipe)
    _show(context)
    write_whole(context.out / "README.md", lambda partial: partial.write_text(data_card(**facts), encoding="utf-8"))
    if config.redraw_disowned:
        candidates = count_candidates(context.out, config.redraw_disowned)
        candidates.write(context.out)
        context.log("judged", **candidates.total)
    if config.redraw_copies:
        replaced = count_replaced(context.out, config.redraw_copies)
        replaced.write(context.out)
        if replaced.left:
            context.log("warning", message=_left_text(replaced))
    context.log("generated", **facts, copied=copied)


def _draw(config: GenerateConfig, context: StepContext, plan: Plan, recipe: Recipe) -> None:
    """Generate and write the missing shards; generation starts before all missing shards are listed."""
    data = context.out / DATA_FOLDER
    missing = (shard for shard in plan.shards(config.shard_size) if not (data / shard[0]).exists())
    first = next(missing, None)
    if first is None:
        return
    generator = recipe.load()  # loaded here in any case, so that errors are found before workers start
    if cut := describe_cut(generator, plan.prompts()):  # whether or not the prompts were used in training
        context.log("warning", message=cut)
    batch_size = _batch_size(context, generator, recipe, config.shard_size)
    num_workers = _num_workers(context, generator.num_bytes, -(-plan.num_images // batch_size))
    batches = (batch for shard in chain([first], missing) for batch in plan.batches(*shard, batch_size))
    assembly, limit = Assembly(context.out, plan.class_names), BatchLimit(batch_size)
    with context.track(plan.num_images, "images", _num_drawn(data, plan, config.shard_size)) as advance:

        def keep(drawn: Drawn) -> None:
            assembly.add(drawn)
            advance(len(drawn.pngs))
            if drawn.limit < limit.size:
                limit.size = drawn.limit
                context.log("warning", message=f"memory ran out: {drawn.limit} images at a time instead of {batch_size}")

        if context.workers is None or num_workers == 1:
            draw_here(Drawer(generator, recipe, batch_size), batches, keep)
        else:
            del generator
            ask = partial(draw_batch, recipe=recipe, batch_size=batch_size)
            for drawn in context.workers(ask, batches, num_workers):
                keep(drawn)
    context.became(images_per_pass=limit.size, processes=num_workers if context.workers else 1)


def _show(context: StepContext) -> None:
    """Give the first images of the set to the trackers."""
    if context.execution.trackers:
        images, _, _ = next(read_synthetic_shard(synthetic_shards(context.out)[0], NUM_SHOWN))
        context.show("synthetic images", images)


def _batch_size(context: StepContext, generator: Generator, recipe: Recipe, shard_size: int) -> int:
    chosen = context.execution.generation_batch_size
    if not chosen and recipe.device.startswith("cuda"):
        chosen = choose_batch_size(generator, recipe, shard_size)
    return chosen or context.execution.inference_batch_size


def _num_workers(context: StepContext, model_bytes: int, num_batches: int) -> int:
    """Return the number of generating processes: limited by memory, and 1 if a few batches do not justify their start.

    The number depends on the machine and the complete set, not on free memory or missing shards, so that a resumed run gives
    the same bits. Memory used by other programs is not considered: set execution.workers if they use much.
    """
    fitting = int(psutil.virtual_memory().total // (MEMORY_PER_MODEL * model_bytes + WORKER_BYTES))
    return context.execution.num_workers(max(1, min(fitting, num_batches // MIN_BATCHES_PER_WORKER)))


def _num_drawn(data: Path, plan: Plan, shard_size: int) -> int:
    """Return the number of images in complete shards; the last shard may be smaller."""
    return min(plan.num_images, shard_size * sum(1 for _ in data.glob("train-*.parquet")))


def replay(config: GenerateConfig, context: StepContext) -> None:
    """Write the members themselves as the synthetic set: the positive control of the audit, which memorizes all of them."""
    adapter = AdapterCard.read(context.inputs["adapter"])
    captions = CaptionTable.read(context.inputs["captions"])
    pool = load_images(context.inputs["data"] / "pool", context.scratch)
    for name, rows in replayed_shards(pool, captions, adapter, config.shard_size):
        write_synthetic_shard(context.out, name, rows, captions.class_names)


def _plan(config: GenerateConfig, context: StepContext, adapter: AdapterCard) -> Plan:
    if adapter.guarantee:  # besides the weights, images may depend only on class names and the noisy count
        names: Sequence[str] = adapter.guarantee.class_names
        private: dict[str, Any] = {"labels": np.arange(len(names)), "captions": [""] * len(names)}
        private |= {"num_members": adapter.guarantee.noisy_count}
    else:
        captions = CaptionTable.read(context.inputs["captions"])
        names, private = captions.class_names, {"labels": captions.labels, "captions": captions.texts}
    return make_plan(
        **private,
        cardinality=config.cardinality,
        per_class=config.per_class,
        class_names=names,
        prompt_form=adapter.prompt_form,
        descriptions=adapter.descriptions,
        root_seed=context.seed,
        redraw=config.redraw,
    )


def _recipe(config: GenerateConfig, context: StepContext, adapter: AdapterCard, class_names: Sequence[str]) -> Recipe:
    device = context.execution.torch_device()
    on_cuda = device.startswith("cuda")
    sampling = Sampling(
        **config.schedule(adapter.model)._asdict(),
        guidance_scale=config.guidance_scale,
        size=adapter.image_size,
        guidance_interval=config.guidance_interval,
        bfloat16=not on_cuda and is_bfloat16(config.precision, device),
    )
    return Recipe(
        model=adapter.model,
        revision=adapter.revision,
        adapter=context.inputs["adapter"] if adapter.has_weights else None,
        few_step_adapter=config.few_step_adapter,
        device=device,
        sampling=sampling,
        dtype=getattr(torch, config.precision) if on_cuda and config.precision != "auto" else None,
        compiled=context.execution.compile,
        grey=adapter.grey,
        judging=_judging(config, context, class_names),
    )


def _judging(config: GenerateConfig, context: StepContext, class_names: Sequence[str]) -> Judging | None:
    """Return the judges of the images; None if all images are kept."""
    if not config.redraws:
        return None
    disowning = None
    if config.redraw_disowned:
        names = tuple(class_names)
        disowning = Disowning(teacher=context.inputs["teacher"], class_names=names, redraws=config.redraw_disowned)
    return Judging(disowning=disowning, copying=_copy_search(config, context) if config.redraw_copies else None)


def _copy_search(config: GenerateConfig, context: StepContext) -> CopySearch:
    """Return the search for near-copies of this run's members.

    Raises:
        UserError: there are too few members or hold-out records to define near.
    """
    features = load_classifier(context.inputs["features"] / MODEL_FOLDER).to(context.execution.torch_device())
    batch_size = context.execution.inference_batch_size
    members, holdout = features_of_records(
        features, context.inputs["data"], context.run, batch_size=batch_size, cache=context.scratch
    )
    if min(len(members), len(holdout)) < FEWEST_RECORDS:
        raise UserError(
            f"generate.redraw_copies compares images with members and hold-out records; found {len(members)} and "
            f"{len(holdout)}; expected {FEWEST_RECORDS} of each: raise prepare.audit_holdout, or set "
            "generate.redraw_copies=0"
        )
    return prepare_search(context.inputs["features"], members, holdout, folder=context.scratch, redraws=config.redraw_copies)


def _left_text(replaced: ReplacedCopies) -> str:
    return (
        f"{replaced.left:,} images are near-copies of members after {replaced.redraws} further samples each; "
        f"{replaced.replaced:,} others were replaced. The audit flags the remaining ones: raise generate.redraw_copies, or "
        "adapt for fewer steps"
    )


def _precision(config: GenerateConfig, recipe: Recipe) -> str:
    """Return the precision in which images are generated on this machine.

    CUDA computes with other weights ("half": float16 or bfloat16, depending on the family of the generator) and rounds the
    products of float32 convolutions, so its images cannot be mixed with those of a CPU.
    """
    if not recipe.device.startswith("cuda"):
        return "bfloat16" if recipe.sampling.bfloat16 else "float32"
    return "half weights" if config.precision == "auto" else f"{config.precision} weights"


def _precision_of(folder: Path) -> str | None:
    facts = SyntheticFacts.read_if_there(folder)
    return facts.precision if facts else None


def _refuse_other_precision(out: Path, precision: str) -> None:
    """Raise a UserError if an earlier attempt on another machine generated images of `out` in another precision."""
    begun = _precision_of(out)
    if begun not in (None, precision) and synthetic_shards(out):
        raise UserError(
            f"this synthetic set was started in {begun}, but this machine would continue in {precision}; "
            f"finish it on a machine like the first, or delete {out} to generate it again"
        )
