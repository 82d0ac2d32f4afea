"""Read member images and captions, train the adapter or use the given one, write it with adapter.json and history.json."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import read_members, split_of
from tckr.artifacts.training import write_history
from tckr.data.groups import units_of
from tckr.data.images import load_images, without_colour
from tckr.data.seeds import derive_seed
from tckr.engine.step import StepContext
from tckr.errors import UserError
from tckr.membership.refutation import describe_delta_of
from tckr.models.diffusion.generator import Generator
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator
from tckr.models.diffusion.prompts import build_prompt, describe_cut
from tckr.models.memory import free_device_memory
from tckr.models.precision import is_bfloat16
from tckr.privacy.mean_images import refuse_small_classes
from tckr.privacy.refusals import refuse_few_units
from tckr.privacy.units import Units
from tckr.stages.adapt.central import TOO_FEW, central_images, learn_central_images
from tckr.stages.adapt.config import AdaptConfig, PrivateAdaptConfig
from tckr.stages.adapt.encode import EncodedSet, encode_set, read_encoded
from tckr.stages.adapt.gradients import Passes
from tckr.stages.adapt.private import Mechanism
from tckr.stages.adapt.promise import mechanism_of, promise
from tckr.stages.adapt.subset import subset_rows
from tckr.stages.adapt.train import Course, Losses, loss_history, train_adapter
from tckr.training.process_group import BeginAgain, Team, Tell, team_size, train_together

PRIVATE_PASS = 32
"""Gradients of single images that are held at once, if each is clipped."""

TRAINED_ELSEWHERE = (
    "adapt.lora: this adapter was trained elsewhere, and on which images is not known here. The audit compares members and "
    "non-members of this run, so its results for the adapter, and for what the adapter brings into the synthetic images, "
    "say nothing about the images the adapter was trained on."
)


def run(config: AdaptConfig, context: StepContext) -> None:
    """Adapt the generator to the captioned members; with 0 steps, only write adapter.json, which names the plain model."""
    card = DataCard.read(context.inputs["data"])
    config.refuse_data(card)
    captions = CaptionTable.read(context.inputs["captions"])
    assert np.array_equal(captions.records, read_members(context.inputs["data"], context.run)), "captions of other members"
    rows = subset_rows(captions.labels, config.fraction, context.seed)
    guarantee, mechanism, num_steps = None, None, config.num_steps(len(rows))
    if isinstance(config, PrivateAdaptConfig):
        # noise that two runs have in common could be subtracted: each run samples its own
        context = replace(context, seed=derive_seed(context.seed, "private", context.fingerprint))
        units = Units(units_of(context.inputs["data"], captions.records[rows], config.privacy.unit))
        guarantee = promise(config, len(units), context.seed, card.class_names)
        mechanism, num_steps = mechanism_of(guarantee, units), guarantee.steps
        refuse_small_classes(config.privacy, guarantee.central_noise, guarantee.noisy_count, card.image_size)
        if context.run == 0:
            refuse_few_units(config.privacy, guarantee.noisy_count)
            if message := describe_delta_of(guarantee):
                context.log("warning", message=message)
    method: Literal["full", "lora"] = "full" if config.trains_all else "lora"
    if not config.lora:
        bfloat16 = is_bfloat16(config.precision, context.execution.torch_device(), training=True)
        trained = {"method": method, "precision": "bfloat16" if bfloat16 else "float32"} if num_steps else {}
        context.became(steps=num_steps, **trained)
    losses = Losses(steps=np.array([]), checks=np.array([]))
    if config.lora:
        _take(config.lora, config, context)
    elif num_steps:
        losses = _train(config, context, captions.take(rows), num_steps, mechanism)
    write_history(context.out, loss_history(losses))
    AdapterCard(
        model=config.model,
        revision=config.revision,
        method=method,
        rank=None if config.lora or config.trains_all else config.rank,
        steps=None if config.lora else num_steps,
        prompt_form=config.prompt_form,
        descriptions=config.descriptions,
        image_size=card.image_size,
        grey=card.grey,
        guarantee=guarantee,
    ).write(context.out)
    context.log("adapted", steps=num_steps, images=len(rows) if num_steps else 0)


def _take(lora: Path, config: AdaptConfig, context: StepContext) -> None:
    """Write the adapter `lora`, whatever its layout, like a trained one; it must fit the generator."""
    if context.run == 0:
        context.log("warning", message=TRAINED_ELSEWHERE)
    generator = load_generator(config.model, "cpu", revision=config.revision)
    generator.rewrite_lora(lora, config.lora_scale, context.out)
    generator.load_lora(context.out)  # this compares the change of every weight with the file


def _train(
    config: AdaptConfig, context: StepContext, captions: CaptionTable, num_steps: int, mechanism: Mechanism | None
) -> Losses:
    """Encode the members, train and save the adapter; return the losses."""
    device, sharded = context.execution.torch_device(), context.execution.sharded
    course = Course(
        num_steps=num_steps,
        seed=context.seed,
        device=device,
        checkpoint=context.scratch / "checkpoint.safetensors",
        compiled=context.execution.compile and not sharded,
        sharded=sharded,
    )
    start = _start(config, context, captions, course, mechanism) if mechanism else None
    generator = load_generator(config.model, device, revision=config.revision, denoiser_stays=sharded)
    encoded = _encode(generator, config, context, captions)
    validation = _encode_validation(generator, config, context, captions) if config.selection == "best" else None
    size = 1 if mechanism else team_size(context.execution.gpus, config.batch_size, device, context.gang)
    reloads = size > 1 or device.startswith("cuda")  # where the encoders may have been in float16
    if reloads:
        del generator
        free_device_memory()  # which the processes that train need, or this one for the same weights in another precision
    with context.track(num_steps, "steps") as advance:

        def hear(told: int | tuple[int, dict[str, float]]) -> None:
            advance(told) if isinstance(told, int) else context.note(told[0], **told[1])

        if size > 1:
            share = partial(_train_share, config=config, course=course, cache=context.scratch, checked=bool(validation))
            train_together(size, share, device, hear, gang=context.gang)
        if sharded:
            course = replace(course, device="cpu")  # which is left to do: read the adapter and write it
        if reloads:
            generator = _load_to_train(config, course)
        per_pass = (PRIVATE_PASS, mechanism.noise_draws) if mechanism else (-(-config.batch_size // size), 1)
        passes = Passes.kept(context.scratch, *per_pass)
        losses = train_adapter(  # after several processes: reads what they ended with
            generator,
            encoded,
            config,
            course,
            passes=passes,
            validation=validation,
            mechanism=mechanism,
            start=start,
            advance=advance if size == 1 else _ignore,
            note=context.note,
        )
    if mechanism:
        _refuse_useless(generator, config)
    else:
        _refuse_divergence(losses.steps, config)
    context.log("passes", images=passes.images, recomputed=passes.recomputed, processes=size)
    context.became(images_per_pass=passes.images, activations_recomputed=passes.recomputed, processes=size)
    if config.trains_all:
        generator.save_weights(context.out)
    else:
        generator.save_lora(context.out)
    return losses


def _start(
    config: AdaptConfig, context: StepContext, captions: CaptionTable, course: Course, mechanism: Mechanism
) -> torch.Tensor | None:
    """Return the weights after training on noisy mean images of the classes; None if there are none."""
    if mechanism.central_noise is None:
        return None
    images = load_images(context.inputs["data"] / split_of(context.run), context.scratch)
    means, classes = central_images(
        images.images,
        images.rows_of(captions.records),
        np.asarray(captions.labels),
        mechanism.units,
        num_classes=len(captions.class_names),
        noise_multiplier=mechanism.central_noise,
        rng=np.random.default_rng(derive_seed(context.seed, "adapt", "central", "noise")),
    )
    if context.run == 0 and (few := len(captions.class_names) - len(classes)):
        context.log("warning", message=f"privacy.central_images: {few} of {len(captions.class_names)} classes {TOO_FEW}")
    if not len(classes):
        return None
    if DataCard.read(context.inputs["data"]).grey:
        means = np.stack([without_colour(image) for image in means])
    names = [captions.class_names[label] for label in classes]
    weights = learn_central_images(
        _load_to_train(config, course),
        means,
        [build_prompt(config.prompt_form, name, name, config.descriptions) for name in names],
        config,
        course,
        cache=context.scratch / "central",
        batch_size=context.execution.inference_batch_size,
    )
    free_device_memory()  # of a generator that learned them; the private images have their own
    return weights


def _refuse_divergence(losses: np.ndarray, config: AdaptConfig) -> None:
    """Raise if a loss is not a number: from that step on, the adapter is not a number either."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise UserError(
            f"training diverged: the loss of step {bad[0] + 1} of {len(losses)} is {losses[bad[0]]} at "
            f"adapt.learning_rate={config.learning_rate:g}; lower it"
        )


def _refuse_useless(generator: Generator, config: AdaptConfig) -> None:
    """Raise if a weight is not a number. Weights have noise; losses have none, so they may not decide about a release."""
    weights = [weights for weights in generator.denoiser.parameters() if weights.requires_grad]
    if not all(bool(each.isfinite().all()) for each in weights):
        raise UserError(
            f"training diverged: weights of the adapter are not numbers at adapt.learning_rate={config.learning_rate:g}; "
            "lower it. The budget is spent: a new run spends it again"
        )


def _train_share(team: Team, tell: Tell, *, config: AdaptConfig, course: Course, cache: Path, checked: bool) -> None:
    """Be one of several processes that train; everything it needs is in files of the stage's own process."""
    course = replace(course, device=team.device(course.device))
    passes = Passes.kept(cache, -(-config.batch_size // team.size))
    validation = read_encoded(cache / "validation") if checked and (team.rank == 0 or course.sharded) else None
    generator = _load_to_train(config, course)
    try:
        train_adapter(
            generator,
            read_encoded(cache),
            config,
            course,
            passes=passes,
            validation=validation,
            team=team,
            advance=tell,
            note=lambda number, **values: tell((number, values)),
        )
    except BeginAgain:
        passes.keep(cache)
        raise


def _ignore(amount: int) -> None:
    """Do nothing."""


def _load_to_train(config: AdaptConfig, course: Course) -> LatentDiffusion:
    """Return the generator in its precision for training: float32 on a CPU or if its weights are trained, else as set.

    If it is to be sharded, it stays in the memory of the machine.
    """
    device = course.device
    half = not config.trains_all and device.startswith("cuda") and is_bfloat16(config.precision, device, training=True)
    dtype = torch.bfloat16 if half else torch.float32
    return load_generator(config.model, "cpu" if course.sharded else device, dtype, config.revision)


def _encode(generator: Generator, config: AdaptConfig, context: StepContext, captions: CaptionTable) -> EncodedSet:
    """Encode the images and prompts of `captions` once, into files of the scratch folder."""
    images = load_images(context.inputs["data"] / split_of(context.run), context.scratch)
    prompts = _prompts(config, captions)
    if cut := describe_cut(generator, prompts):
        context.log("warning", message=cut)
    with context.track(len(prompts), "images") as advance:
        return encode_set(
            generator,
            images.images,
            images.rows_of(captions.records),
            prompts,
            flip=config.horizontal_flip,
            batch_size=context.execution.inference_batch_size,
            cache=context.scratch,
            advance=advance,
        )


def _encode_validation(
    generator: Generator, config: AdaptConfig, context: StepContext, captions: CaptionTable
) -> EncodedSet:
    """Encode the validation images, each with the prompt of a member of its class; no other prompts are used."""
    images = load_images(context.inputs["data"] / "validation", context.scratch)
    prompts, members = _prompts(config, captions), np.asarray(captions.labels)
    rows = [np.flatnonzero(members == label) for label in range(len(captions.class_names))]
    told = [row for row, label in enumerate(images.labels) if len(rows[label])]
    return encode_set(
        generator,
        images.images,
        np.array(told),
        [prompts[rows[label][row % len(rows[label])]] for row, label in zip(told, images.labels[told], strict=True)],
        flip=False,
        batch_size=context.execution.inference_batch_size,
        cache=context.scratch / "validation",
    )


def _prompts(config: AdaptConfig, captions: CaptionTable) -> list[str]:
    return [
        build_prompt(config.prompt_form, captions.class_names[label], text, config.descriptions)
        for label, text in zip(captions.labels, captions.texts, strict=True)
    ]
