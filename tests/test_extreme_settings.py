"""Settings at the bounds of what is accepted: plans and estimates are finite, and made before anything is computed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import numpy as np

from tckr.config import Settings, changed, load_settings
from tckr.costs.forecast import forecast
from tckr.costs.probe import Probe, probe_settings
from tckr.costs.reference_cost import Cost, Repeated, bill
from tckr.costs.stopwatch import Lap, Phase
from tckr.costs.widths import mean_width, numbers_to_compare, target_width
from tckr.disk import size_text
from tckr.errors import UserError
from tckr.html.numbers import rounded
from tckr.metrics.proportions import critical_value
from tckr.pipeline import pipeline
from tckr.stages.generate.allotment import allot
from tckr.stages.generate.plan import Plan, make_plan

NUMBER, SECONDS = 300, 2
MEMBERS = 10**9


def extremes(part: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    """Return the first and last accepted values of a setting."""
    if "anyOf" in part:
        return [value for other in part["anyOf"] for value in extremes(other, schema)]
    if "enum" in part:
        return list(part["enum"])
    if part["type"] in ("integer", "number"):
        low = part["minimum"] if "minimum" in part else following(part["type"], part["exclusiveMinimum"], 1)
        high = part["maximum"] if "maximum" in part else following(part["type"], part["exclusiveMaximum"], -1)
        return [low, high]
    return {"boolean": [False, True], "null": [None]}.get(part["type"], [])


def following(kind: str, value: float, way: int) -> float:
    """Return the number next to `value`, upwards (1) or downwards (-1)."""
    return value + way if kind == "integer" else math.nextafter(value, way * math.inf)


def every_extreme() -> dict[str, list[Any]]:
    """Return the name of every number, choice and switch -> its extreme values."""

    def inside(part: dict[str, Any], prefix: str) -> Iterator[tuple[str, list[Any]]]:
        for name, field in part["properties"].items():
            if "$ref" in field:
                yield from inside(schema["$defs"][field["$ref"].rsplit("/", 1)[1]], f"{prefix}{name}.")
            elif values := extremes(field, schema):
                yield f"{prefix}{name}", values

    schema = Settings.model_json_schema()
    return dict(inside(schema, ""))


def drawn(number: int, seed: int) -> list[Settings]:
    """Return settings of which about a third are at a bound, leaving out what rules about several settings refuse."""
    random, choices, base, found = Random(seed), every_extreme(), load_settings(), []
    while len(found) < number:
        changes: dict[str, Any] = {}
        for name in random.sample(list(choices), random.choice((1, 5, len(choices) // 3))):
            changes[name] = random.choice(choices[name])
        length = random.choice(
            ({"adapt.steps": None, "adapt.epochs": 5e-324}, {"adapt.steps": None, "adapt.epochs": 1e5}, {})
        )
        changes |= length or {"adapt.epochs": None, "adapt.steps": random.choice((0, 10**7))}
        try:
            found.append(changed(base, changes))
        except UserError:
            assert changes  # two settings that exclude each other
    return found


@cache
def all_settings() -> list[Settings]:
    """Return what the tests of this file share."""
    return drawn(NUMBER, seed=1)


def test_300_random_settings_reach_the_bounds_of_most():
    for name in ("generate.cardinality", "adapt.rank", "distill.epochs", "execution.gpus", "audit.loss_draws", "seed"):
        section, _, leaf = name.rpartition(".")
        values = {getattr(getattr(settings, section) if section else settings, leaf) for settings in all_settings()}
        assert set(every_extreme()[name]) <= values


def finite(*numbers: float) -> bool:
    return all(math.isfinite(number) and number >= 0 for number in numbers)


def test_estimates_at_the_bounds_are_finite_and_quick(tmp_path):
    phases = [Phase(unit, [(1.0, 1), (2.0, 2)], 2.0) for unit in ("images", "steps", "epochs")]
    lap = Lap(phases=phases, seconds=7.0, num_bytes=10**6, scratch_bytes=10**6)
    laps = dict.fromkeys(("caption", "adapt", "generate", "teach", "label", "distill"), lap)
    started = time.process_time()
    for settings in all_settings():
        found = forecast(settings.run_config(), MEMBERS, settings.generate.cardinality, Probe(laps=laps, num_members=16))
        for cost in found.values():
            assert finite(cost.seconds, cost.num_bytes, cost.scratch_bytes), settings
            assert len(" ".join(rounded(cost.seconds))) < 60
            assert len(size_text(cost.num_bytes)) < 60
        for control in (settings.null_control(), settings.memorizing(), settings.reference()):
            adapted = control.adapt.num_images(MEMBERS)
            assert 0 <= control.adapt.num_steps(adapted) < 10**16
            assert 1 <= control.distill.resolved(MEMBERS).epochs <= 10**7
        assert probe_settings(settings, tmp_path, ["a", "b"]).generate.cardinality == 1
    assert time.process_time() - started < NUMBER * SECONDS


def test_bills_and_widths_at_the_bounds_are_finite():
    cost = Cost(seconds=1e9, num_bytes=10**12, threads=1, measured=True)
    for settings in all_settings():
        for number in numbers_to_compare(settings.audit.num_reference_runs):
            workers, level = min(settings.execution.workers or 1, number), settings.audit.confidence
            threads = settings.execution.threads_for(workers)
            found = bill(Repeated(per_run=[cost], once=[cost]), number, workers=workers, threads=threads)
            assert finite(found.fastest, found.slowest, found.num_bytes)
            assert finite(mean_width(MEMBERS, MEMBERS, number, level), target_width(MEMBERS, MEMBERS, level))
        assert finite(critical_value(settings.audit.confidence))


def test_a_plan_of_images_at_the_bounds_takes_no_memory():
    """With 1e9 members and the largest cardinality it has 1e13 images."""
    for settings in all_settings():
        generate = settings.generate
        plan = Plan(
            allotment=allot("balanced", round(generate.cardinality * MEMBERS), ["a", "b"], np.array([0, 1])),
            class_names=["a", "b"],
            captions=[["x"], ["y"]],
            prompt_form="n: c",
            descriptions={},
            root_seed=settings.seed,
            attempts={},
        )
        assert 0 <= plan.image(plan.num_images - 1).seed < 2**63
        name, indices = next(plan.shards(generate.shard_size))
        assert len(indices) <= generate.shard_size
        assert len(name) < 60
        assert len(next(plan.batches(name, indices[:8], 20)).images) <= 8


def test_the_smallest_cardinality_generates_an_image_of_every_class():
    plan = make_plan(
        cardinality=5e-324, class_names=["a", "b"], labels=np.array([0, 1]), captions=["x", "y"], prompt_form="n",
        descriptions={}, root_seed=2**63 - 1, redraw=[],
    )  # fmt: skip
    assert plan.num_images == 2


def test_every_pipeline_is_planned():
    for settings in all_settings():
        started = time.process_time()
        assert len(pipeline(settings.run_config(), b"")) >= 9
        assert time.process_time() - started < SECONDS, settings
