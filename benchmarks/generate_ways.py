"""The ways of generating a synthetic set that `generate.py` compares, and the check that their images are equal."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from torch.utils.flop_counter import FlopCounterMode

from tckr.data.shards import write_shard
from tckr.engine.execution import ExecutionConfig
from tckr.engine.step import StepContext, Workers
from tckr.models.diffusion.generator import Generator, Sampling
from tckr.models.embedded import resolve
from tckr.models.precision import is_bfloat16
from tckr.models.quiet import quiet_libraries
from tckr.stages.generate import stage
from tckr.stages.generate.assemble import Assembly
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.draw import Drawer, Recipe, choose_batch_size, draw_here
from tckr.stages.generate.plan import Plan, make_plan

CLASS_NAMES = [f"class {number}" for number in range(10)]
WAYS = ("plain", "product", "float32", "one", "loaded")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every way generates, and where."""

    model: str
    size: int
    config: GenerateConfig
    device: str
    settings: dict[str, Any]
    plain_batch: int
    plain_images: int
    folder: Path

    @property
    def on_gpu(self) -> bool:
        """Return whether images are generated on a GPU."""
        return self.device.startswith("cuda")

    @property
    def execution(self) -> ExecutionConfig:
        """Return the section of the settings."""
        return ExecutionConfig(device=self.device, **self.settings)

    def sampling(self) -> Sampling:
        """Return the stage's sampling settings, in the denoiser's own type."""
        return Sampling(steps=self.config.steps, guidance_scale=self.config.guidance_scale, size=self.size)

    def plan(self) -> Plan:
        """Return what to draw: as the stage plans it."""
        return make_plan(
            cardinality=self.config.cardinality,
            class_names=CLASS_NAMES,
            labels=np.arange(len(CLASS_NAMES)),
            captions=[f"a drawing, kind {number}" for number in range(len(CLASS_NAMES))],
            prompt_form="n: c",
            descriptions={},
            root_seed=0,
            redraw=[],
        )


def write_inputs(task: Task) -> dict[str, Path]:
    """Write the artifacts that the stage reads: captions, and an adapter of no steps."""
    adapter, captions = task.folder / "adapter", task.folder / "captions"
    for folder in (adapter, captions):
        folder.mkdir(exist_ok=True)
    facts = {"model": task.model, "revision": None, "rank": 4, "steps": 0}
    facts |= {"prompt_form": "n: c", "descriptions": {}, "image_size": task.size}
    (adapter / "adapter.json").write_text(json.dumps(facts))
    (captions / "classes.json").write_text(json.dumps(CLASS_NAMES))
    labels = np.arange(len(CLASS_NAMES))
    columns = {"record": labels, "label": labels, "caption": [f"a drawing, kind {label}" for label in labels]}
    write_shard(captions / "captions.parquet", columns)
    return {"adapter": adapter, "captions": captions}


def draw_with_stage(task: Task, config: GenerateConfig, workers: Workers | None) -> Path:
    """Run the stage into a new folder and return that."""
    out = Path(tempfile.mkdtemp(dir=task.folder))
    context = StepContext(
        inputs=write_inputs(task),
        out=out,
        scratch=out,
        seed=0,
        run=0,
        execution=task.execution,
        track=lambda total, unit, done=0: nullcontext(lambda amount: None),
        log=lambda event, **fields: print(event, fields) if event == "warning" else None,
        workers=workers,
    )
    stage.run(config, context)
    return out


class LoadedDrawer:
    """The stage's generation in this process; the generator is loaded, and compiled if requested, once."""

    def __init__(self, task: Task) -> None:
        bfloat16 = not task.on_gpu and is_bfloat16(task.config.precision, task.device)
        recipe = Recipe(
            model=task.model,
            revision=None,
            adapter=None,
            few_step_adapter=None,
            device=task.device,
            sampling=replace(task.sampling(), bfloat16=bfloat16),
            dtype=None,
            compiled=task.execution.compile,
        )
        generator = recipe.load()
        self._batch_size = task.execution.generation_batch_size or task.execution.inference_batch_size
        if task.on_gpu and not task.execution.generation_batch_size:
            self._batch_size = choose_batch_size(generator, recipe, min(task.config.shard_size, task.plan().num_images))
        print(f"loaded: batches of {self._batch_size}", flush=True)
        self._task, self._drawer = task, Drawer(generator, recipe, self._batch_size)

    def __call__(self) -> Path:
        """Generate the complete plan into Parquet shards; return the folder."""
        plan, out = self._task.plan(), Path(tempfile.mkdtemp(dir=self._task.folder))
        assembly = Assembly(out, plan.class_names)
        shards = plan.shards(self._task.config.shard_size)
        batches = (batch for shard in shards for batch in plan.batches(*shard, self._batch_size))
        draw_here(self._drawer, batches, assembly.add)
        return out


class PlainLoop:
    """What one writes with diffusers; the pipeline is loaded once."""

    def __init__(self, task: Task, dtype: torch.dtype) -> None:
        with quiet_libraries():
            self._pipeline = DiffusionPipeline.from_pretrained(resolve(task.model), dtype=dtype, safety_checker=None)
        self._pipeline.to(task.device).set_progress_bar_config(disable=True)
        self._task = task

    def __call__(self) -> Path:
        """Draw the plan's first images and save every one as PNG; return the folder."""
        task, plan = self._task, self._task.plan()
        out = Path(tempfile.mkdtemp(dir=task.folder))
        for start in range(0, task.plain_images, task.plain_batch):
            planned = [plan.image(index) for index in range(start, min(start + task.plain_batch, task.plain_images))]
            images = self._pipeline(
                [image.prompt for image in planned],
                num_inference_steps=task.config.steps,
                guidance_scale=task.config.guidance_scale,
                height=task.size,
                width=task.size,
                generator=[torch.Generator().manual_seed(image.seed) for image in planned],
            ).images
            for image, drawn in zip(planned, images, strict=True):
                drawn.save(out / f"{image.index:06d}.png")
        return out


def check_images(generator: Generator, task: Task, count: int) -> int:
    """Return by how many grey levels product and plain loop differ at most on the same `count` images in float32.

    Printed is also how far they move in bfloat16.
    """
    planned = [task.plan().image(index) for index in range(count)]
    conditioning, negative = generator.encode_prompts([image.prompt for image in planned]), generator.encode_prompts([""])
    seeds = [image.seed for image in planned]
    torch.backends.cudnn.allow_tf32 = False  # a GPU's convolutions would round their inputs, and kernels differ by more
    found = generator.decode(generator.denoise(conditioning, negative, seeds=seeds, sampling=task.sampling()))
    expected = _draw_plainly(generator, task, [image.prompt for image in planned], seeds)
    torch.backends.cudnn.allow_tf32 = True
    difference = int(np.abs(np.rint(expected * 255).astype(int) - found).max())
    print(f"{count} images differ from the plain pipeline's by at most {difference} grey levels", flush=True)
    rounded = generator.denoise(conditioning, negative, seeds=seeds, sampling=replace(task.sampling(), bfloat16=True))
    moved = np.abs(generator.decode(rounded).astype(int) - found)
    print(f"in bfloat16 they move by {moved.mean():.2f} grey levels on average, {(moved <= 1).mean():.1%} by at most one")
    return difference


def _draw_plainly(generator: Any, task: Task, prompts: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
    """Return the plain pipeline's images [B, H, W, 3] in [0, 1]."""
    found: np.ndarray = generator.pipeline(
        list(prompts),
        num_inference_steps=task.config.steps,
        guidance_scale=task.config.guidance_scale,
        height=task.size,
        width=task.size,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
    ).images
    return found


def denoiser_flops(generator: Generator, task: Task) -> float:
    """Return the floating-point operations of one call of the denoiser for one image."""
    conditioning = generator.encode_prompts([""])
    with FlopCounterMode(display=False) as counter:
        sampling = Sampling(steps=1, guidance_scale=1.0, size=task.size)
        generator.denoise(conditioning, conditioning, seeds=[0], sampling=sampling)
    return float(counter.get_total_flops())


def build_ways(task: Task, workers: Workers, names: Sequence[str]) -> dict[str, Callable[[], Path]]:
    """Return the ways of `names`; those that load a model once have loaded it."""
    exact = task.config.model_copy(update={"precision": "float32"})
    make: dict[str, Callable[[], Callable[[], Path]]] = {
        "plain": lambda: PlainLoop(task, torch.float16 if task.on_gpu else torch.float32),
        "product": lambda: lambda: draw_with_stage(task, task.config, workers),
        "float32": lambda: lambda: draw_with_stage(task, exact, workers),
        "one": lambda: lambda: draw_with_stage(task, task.config, None),
        "loaded": lambda: LoadedDrawer(task),
    }
    return {name: make[name]() for name in WAYS if name in names}
