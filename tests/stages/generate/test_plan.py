"""The plan is arithmetic: balanced, cycling, nested, and as quick for a billion images as for ten."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from tckr.data.seeds import image_seed
from tckr.errors import UserError
from tckr.stages.generate.allotment import allot
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.plan import Plan, make_plan

LABELS = np.array([0, 0, 0, 1, 2, 2])
CAPTIONS = ["a0", "a1", "a2", "b0", "c0", "c1"]


def plan(cardinality: float = 1.0, **changes: object) -> Plan:
    data = {"class_names": ["a", "b", "c"], "labels": LABELS, "captions": CAPTIONS}
    settings = data | {"prompt_form": "c", "descriptions": {}, "root_seed": 4, "redraw": []}
    return make_plan(cardinality=cardinality, **(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("cardinality", "expected"), [(1.0, 6), (0.1, 3), (2.0, 12), (0.75, 4), (20, 120)])
def test_number_of_images(cardinality: float, expected: int) -> None:
    assert plan(cardinality).num_images == expected


def test_classes_take_turns_and_cycle_through_their_captions() -> None:
    images = [plan(3).image(index) for index in range(18)]
    assert [image.label for image in images] == [0, 1, 2] * 6
    for label, own in enumerate((CAPTIONS[:3], CAPTIONS[3:4], CAPTIONS[4:])):
        prompts = [image.prompt for image in images if image.label == label]
        assert prompts == (prompts[: len(own)] * 6)[:6]
        assert sorted(prompts[: len(own)]) == own


@pytest.mark.parametrize("cardinality", [0.1, 0.75, 1.0, 1.5, 20])
def test_the_prompts_of_a_set_are_those_of_its_images(cardinality: float) -> None:
    planned = plan(cardinality)
    assert sorted(planned.prompts()) == sorted({planned.image(index).prompt for index in range(planned.num_images)})


def test_larger_set_contains_the_smaller() -> None:
    small, large = plan(1), plan(2)
    assert [small.image(i) for i in range(6)] == [large.image(i) for i in range(6)]


@pytest.mark.parametrize(
    ("per_class", "cardinality", "expected"),
    [
        ("data", 1, [3, 1, 2]),
        ("data", 10, [30, 10, 20]),
        ("data", 100.5, [301, 101, 201]),
        ("data", 0.1, [1, 1, 1]),
        ({"c": 1, "a": 7, "b": 4}, 1, [7, 4, 1]),
    ],
)
def test_classes_get_as_many_images_as_requested(per_class: object, cardinality: float, expected: list[int]) -> None:
    found = plan(cardinality, per_class=per_class)
    assert found.num_images == sum(expected)
    images = [found.image(index) for index in range(found.num_images)]
    assert [Counter(image.label for image in images)[label] for label in range(3)] == expected
    for label, own in enumerate((CAPTIONS[:3], CAPTIONS[3:4], CAPTIONS[4:])):  # each cycles through its captions
        prompts = [image.prompt for image in images if image.label == label]
        assert sorted(prompts[: len(own)]) == own[: len(prompts)] if len(prompts) >= len(own) else True
        assert prompts == (prompts[: len(own)] * expected[label])[: expected[label]]
    assert {image.label for image in images[:3]} == {0, 1, 2}  # all take their first turn at once


def test_a_table_that_does_not_name_the_classes_is_an_error() -> None:
    with pytest.raises(UserError, match=r"a number for each of the 3 classes: it lacks 'c'"):
        plan(per_class={"a": 1, "b": 1})
    with pytest.raises(UserError, match=r"it names 'd', which is not a class"):
        plan(per_class={"a": 1, "b": 1, "c": 1, "d": 1})


def test_a_word_that_is_no_way_to_share_out_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected balanced, data, or a number for each class"):
        GenerateConfig(per_class="equal")


def test_many_classes_of_different_numbers_are_planned_at_once() -> None:
    names = [f"{number}" for number in range(20_000)]
    start = time.process_time()
    found = allot({name: number + 1 for number, name in enumerate(names)}, 0, names, np.array([0]))
    assert found.place(found.num_images - 1) == (19_999, 19_999)
    assert time.process_time() - start < 1


def test_seeds_are_the_images_identity() -> None:
    assert plan().image(4).seed == image_seed(4, "b", 4)
    assert len({plan(10).image(index).seed for index in range(60)}) == 60
    assert plan(root_seed=5).image(0).seed != plan().image(0).seed


def test_billion_images_are_planned_at_once() -> None:
    start = time.process_time()
    huge = plan(1e9 / 6)
    assert huge.num_images == 10**9
    assert huge.image(10**9 - 1).label == (10**9 - 1) % 3
    name, indices = next(iter(huge.shards(256)))
    assert (name, indices) == ("train-00000-of-3906250.parquet", range(256))
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize("shard_size", [1, 5, 6, 7, 100])
def test_shards_cover_every_index_once(shard_size: int) -> None:
    shards = list(plan(2).shards(shard_size))
    assert list(itertools.chain.from_iterable(indices for _, indices in shards)) == list(range(12))
    assert len({name for name, _ in shards}) == len(shards) == -(-12 // shard_size)


def test_balance_at_every_size() -> None:
    counts = Counter(plan(10 / 6).image(index).label for index in range(10))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_order_of_captions_follows_the_seed() -> None:
    many = {"labels": np.zeros(50, dtype=int), "captions": [str(i) for i in range(50)], "class_names": ["a"]}
    orders = [[plan(1, root_seed=seed, **many).image(i).prompt for i in range(50)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0], key=int)


def test_class_without_captions_is_a_user_error() -> None:
    with pytest.raises(UserError, match="'d'"):
        plan(class_names=["a", "b", "c", "d"])


def test_an_image_generated_again_keeps_everything_but_its_seed_and_every_other_image_is_untouched() -> None:
    before, after = plan(2), plan(2, redraw=[7, 2])
    for index in range(12):
        old, new = before.image(index), after.image(index)
        assert (old.index, old.label, old.prompt) == (new.index, new.label, new.prompt)
        assert (old.seed != new.seed) == (index in {2, 7}), index


def test_an_index_given_again_is_generated_from_yet_another_seed() -> None:
    seeds = [plan(redraw=[4] * times).image(4).seed for times in range(4)]
    assert len(set(seeds)) == 4
    assert seeds == [image_seed(4, "b", 4, attempt) for attempt in range(4)]


def test_redrawing_an_image_that_is_not_in_the_set_is_a_user_error() -> None:
    assert plan(redraw=[5]).num_images == 6
    with pytest.raises(UserError, match=r"contains index 6, but the set has 6 images, 0 to 5"):
        plan(redraw=[1, 6])
