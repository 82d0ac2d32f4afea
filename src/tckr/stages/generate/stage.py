"""Read captions and adapter, draw what is missing of the plan, write shards, plan.json and README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tckr.data.images import load_images
from tckr.data.shards import read_columns, write_shard, write_whole
from tckr.engine.step import StepContext
from tckr.models.diffusion.generator import Generator, Sampling, check_image_size
from tckr.models.diffusion.load import load_generator
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.draw import draw_shard
from tckr.stages.generate.plan import Plan, make_plan
from tckr.stages.generate.readme import data_card
from tckr.stages.generate.replay import replayed_shards


def run(config: GenerateConfig, context: StepContext) -> None:
    """Draw the synthetic set; whole shards found in `context.out` are kept."""
    adapter = json.loads((context.inputs["adapter"] / "adapter.json").read_text(encoding="utf-8"))
    plan = _plan(config, context, adapter)
    data = context.out / "data"
    missing = [(data / name, indices) for name, indices in plan.shards(config.shard_size) if not (data / name).exists()]
    if missing:
        done = plan.num_images - sum(len(indices) for _, indices in missing)
        generator = _load(context, adapter)
        sampling = Sampling(steps=config.steps, guidance_scale=config.guidance_scale, size=adapter["image_size"])
        with context.track(plan.num_images, "images", done) as advance:
            for path, indices in missing:
                columns = draw_shard(
                    generator,
                    [plan.image(index) for index in indices],
                    sampling=sampling,
                    batch_size=context.execution.inference_batch_size,
                    advance=advance,
                )
                write_shard(path, columns, class_names=plan.class_names)
    facts = {"num_images": plan.num_images, "num_classes": len(plan.class_names), "image_size": adapter["image_size"]}
    _write(context.out / "plan.json", json.dumps({**facts, "shard_size": config.shard_size}, indent=1))
    _write(context.out / "README.md", data_card(**facts))
    context.log("generated", **facts)


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


def _load(context: StepContext, adapter: dict[str, Any]) -> Generator:
    """Return the generator that the adapter was trained on, with the adapter merged (none after 0 steps)."""
    generator = load_generator(adapter["model"], context.execution.torch_device(), revision=adapter["revision"])
    check_image_size(generator, adapter["image_size"])
    if adapter["steps"] != 0:
        generator.load_lora(context.inputs["adapter"])
    return generator


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
