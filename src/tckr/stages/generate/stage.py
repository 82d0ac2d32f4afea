"""Read captions and adapter, draw what is missing of the plan, write shards, plan.json and README.md."""

from __future__ import annotations

import json
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tckr.data.images import load_images
from tckr.data.shards import read_columns, write_shard, write_whole
from tckr.engine.step import StepContext
from tckr.models.diffusion.generator import Sampling
from tckr.stages.generate.assemble import Assembly
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.donors import copy_shards
from tckr.stages.generate.draw import Drawer, Recipe, draw_batch, draw_here
from tckr.stages.generate.plan import Batch, Plan, make_plan
from tckr.stages.generate.readme import data_card
from tckr.stages.generate.replay import replayed_shards

MIN_BATCHES_PER_WORKER = 2
"""A worker needs seconds to start; fewer batches are drawn here."""


def run(config: GenerateConfig, context: StepContext) -> None:
    """Draw the synthetic set; whole shards found in `context.out` are kept."""
    adapter = json.loads((context.inputs["adapter"] / "adapter.json").read_text(encoding="utf-8"))
    plan = _plan(config, context, adapter)
    copied = copy_shards(context.donors, plan, config.shard_size, context.out)
    _draw(config, context, plan, _recipe(config, context, adapter))
    facts = {"num_images": plan.num_images, "num_classes": len(plan.class_names), "image_size": adapter["image_size"]}
    _write(context.out / "plan.json", json.dumps({**facts, "shard_size": config.shard_size}, indent=1))
    _write(context.out / "README.md", data_card(**facts))
    context.log("generated", **facts, copied=copied)


def _draw(config: GenerateConfig, context: StepContext, plan: Plan, recipe: Recipe) -> None:
    """Draw and write the shards that are missing; the first is drawn before the last is looked for."""
    data = context.out / "data"
    missing = (shard for shard in plan.shards(config.shard_size) if not (data / shard[0]).exists())
    first = next(missing, None)
    if first is None:
        return
    batch_size = context.execution.inference_batch_size
    batches = (batch for shard in chain([first], missing) for batch in plan.batches(*shard, batch_size))
    generator = recipe.load()
    num_workers = _num_workers(context, -(-plan.num_images // batch_size))
    assembly = Assembly(data, plan.class_names)
    with context.track(plan.num_images, "images", _num_drawn(data, plan, config.shard_size)) as advance:

        def keep(batch: Batch, pngs: list[bytes]) -> None:
            assembly.add(batch, pngs)
            advance(len(pngs))

        if context.workers is None or num_workers == 1:
            draw_here(Drawer(generator, recipe.sampling), batches, keep)
        else:
            del generator  # loaded for what is wrong with it to be found before workers start
            for batch, pngs in context.workers(partial(draw_batch, recipe=recipe), batches, num_workers):
                keep(batch, pngs)


def _num_workers(context: StepContext, num_batches: int) -> int:
    """Return the processes that draw; like the batches, they depend on the whole set, so that resuming keeps the bits."""
    return context.execution.num_workers(max(1, num_batches // MIN_BATCHES_PER_WORKER))


def _num_drawn(data: Path, plan: Plan, shard_size: int) -> int:
    """Return the images in whole shards; the last shard may be smaller."""
    return min(plan.num_images, shard_size * sum(1 for _ in data.glob("train-*.parquet")))


def replay(config: GenerateConfig, context: StepContext) -> None:
    """Write the members themselves as the synthetic set: the positive control of the audit, a memorizer of them all."""
    adapter = json.loads((context.inputs["adapter"] / "adapter.json").read_text(encoding="utf-8"))
    captions = context.inputs["captions"]
    class_names = json.loads((captions / "classes.json").read_text(encoding="utf-8"))
    shards = replayed_shards(
        load_images(context.inputs["data"] / "pool", context.scratch),
        read_columns(captions, ["record", "label", "caption"]),
        class_names,
        prompt_form=adapter["prompt_form"],
        descriptions=adapter["descriptions"],
        shard_size=config.shard_size,
    )
    for name, columns in shards:
        write_shard(context.out / "data" / name, columns, class_names=class_names)


def _plan(config: GenerateConfig, context: StepContext, adapter: dict[str, Any]) -> Plan:
    captions = context.inputs["captions"]
    columns = read_columns(captions, ["label", "caption"])
    return make_plan(
        cardinality=config.cardinality,
        class_names=json.loads((captions / "classes.json").read_text(encoding="utf-8")),
        labels=columns["label"],
        captions=columns["caption"],
        prompt_form=adapter["prompt_form"],
        descriptions=adapter["descriptions"],
        root_seed=context.seed,
        redraw=config.redraw,
    )


def _recipe(config: GenerateConfig, context: StepContext, adapter: dict[str, Any]) -> Recipe:
    return Recipe(
        model=adapter["model"],
        revision=adapter["revision"],
        adapter=context.inputs["adapter"] if adapter["steps"] != 0 else None,
        device=context.execution.torch_device(),
        sampling=Sampling(steps=config.steps, guidance_scale=config.guidance_scale, size=adapter["image_size"]),
    )


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
