"""What to generate, as arithmetic on the index: memory does not grow with the number of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tckr.artifacts.synthetic import shards
from tckr.data.seeds import derive_seed, image_seed
from tckr.errors import UserError
from tckr.models.diffusion.prompts import PromptForm, build_prompt
from tckr.stages.generate.allotment import Allotment, allot


@dataclass(frozen=True, kw_only=True)
class PlannedImage:
    """One image to draw."""

    index: int
    label: int
    prompt: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images to draw in one go, all of one shard: the unit of work that a process is given.

    Attributes:
        shard: file name.
        shard_images: images of the whole shard.
        images: those of this batch.
    """

    shard: str
    shard_images: int
    images: Sequence[PlannedImage]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A set of images: classes in turn, each cycling through its captions; a larger balanced set contains the smaller one.

    Attributes:
        allotment: how many images each class gets.
        captions: per class, the member captions in an order drawn from the root seed.
        attempts: index -> how many times the image is drawn again, each time with other noise; absent = not at all.
    """

    allotment: Allotment
    class_names: Sequence[str]
    captions: Sequence[Sequence[str]]
    prompt_form: PromptForm
    descriptions: Mapping[str, str]
    root_seed: int
    attempts: Mapping[int, int]

    @property
    def num_images(self) -> int:
        """Return the number of images."""
        return self.allotment.num_images

    def image(self, index: int) -> PlannedImage:
        """Return image `index` of the set."""
        turn, label = self.allotment.place(index)
        name, captions = self.class_names[label], self.captions[label]
        prompt = build_prompt(self.prompt_form, name, captions[turn % len(captions)], self.descriptions)
        seed = image_seed(self.root_seed, name, index, self.attempts.get(index, 0))
        return PlannedImage(index=index, label=label, prompt=prompt, seed=seed)

    def prompts(self) -> list[str]:
        """Return the distinct prompts of the set."""
        turns = [-(-(self.num_images - label) // len(self.class_names)) for label in range(len(self.class_names))]
        used = [(name, captions[:turn]) for name, captions, turn in zip(self.class_names, self.captions, turns, strict=True)]
        prompts = (build_prompt(self.prompt_form, name, text, self.descriptions) for name, texts in used for text in texts)
        return list(dict.fromkeys(prompts))

    def shards(self, shard_size: int) -> Iterator[tuple[str, range]]:
        """Return the file name of each shard and the indices in it, one by one."""
        return shards(self.num_images, shard_size)

    def batches(self, shard: str, indices: range, batch_size: int) -> Iterator[Batch]:
        """Yield the images of a shard in batches, in order."""
        for start in range(0, len(indices), batch_size):
            images = [self.image(index) for index in indices[start : start + batch_size]]
            yield Batch(shard=shard, shard_images=len(indices), images=images)


def make_plan(
    *,
    cardinality: float,
    per_class: str | Mapping[str, int] = "balanced",
    class_names: Sequence[str],
    labels: np.ndarray,
    captions: Sequence[str] | np.ndarray,
    prompt_form: PromptForm,
    descriptions: Mapping[str, str],
    root_seed: int,
    redraw: Sequence[int],
    num_members: int | None = None,
) -> Plan:
    """Return the plan for a private set with these labels (int64 [N]) and captions (N).

    The set has round(cardinality x N) images, N being `num_members` where it is given, but at least one per class, or as
    many as a table `per_class` says. An index that stands k times in `redraw` gets its k-th other noise.

    Raises:
        UserError: a class has no caption to draw from, a table `per_class` does not name the classes, or an index of
            `redraw` is not in the set.
    """
    by_class: list[list[str]] = [[] for _ in class_names]
    for label, caption in zip(labels, captions, strict=True):
        by_class[label].append(caption)
    empty = [name for name, texts in zip(class_names, by_class, strict=True) if not texts]
    if empty:
        raise UserError(
            f"{len(empty)} classes have no member image, first {empty[0]!r}; every class needs at least one caption; "
            "add images, or raise prepare.min_images_per_class to drop small classes"
        )
    allotment = allot(per_class, round(cardinality * (num_members or len(labels))), class_names, np.asarray(labels))
    num_images = allotment.num_images
    outside = [index for index in redraw if index >= num_images]
    if outside:
        raise UserError(
            f"generate.redraw names image {outside[0]}; the set has {num_images} images, 0 to {num_images - 1}; take the "
            "indices from the audit of this set, or leave generate.redraw empty"
        )
    return Plan(
        allotment=allotment,
        class_names=class_names,
        captions=[_shuffled(texts, root_seed, name) for name, texts in zip(class_names, by_class, strict=True)],
        prompt_form=prompt_form,
        descriptions=descriptions,
        root_seed=root_seed,
        attempts=Counter(redraw),
    )


def _shuffled(texts: list[str], root_seed: int, class_name: str) -> list[str]:
    """Return `texts` in random order: a set below 1x takes a fair part of them, whatever order the source had."""
    order = np.random.default_rng(derive_seed(root_seed, "captions", class_name)).permutation(len(texts))
    return [texts[i] for i in order]
