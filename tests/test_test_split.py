"""Nothing before the final evaluation can open the test split: neither by the wiring, nor through the engine."""

from __future__ import annotations

import hashlib
import itertools
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.mistakes import MOST
from tckr.config import RunConfig, changed, load_settings
from tckr.data.images import decode_image
from tckr.data.shards import list_shards
from tckr.engine import runner as runner_module
from tckr.engine.step import StepContext
from tckr.pipeline import STAGES, pipeline
from tckr.running import plan, run
from tests.conftest import short_memorizers
from tests.test_end_to_end import TINY

JUDGE, REPORT = "tckr.stages.audit.stage:run", "tckr.stages.report.stage:run"
SMALLER = {
    "audit.depth": "full",
    "audit.loss_draws": 1,
    "audit.shift": 0,
    "adapt.method": "lora",
    "adapt.steps": 1,
    "generate.steps": 1,
    "teach.epochs": 1,
    "distill.epochs": 1,
    "execution.workers": 1,
}


@pytest.mark.parametrize(("depth", "labels"), list(itertools.product(["teacher", "distill", "full"], ["soft", "online"])))
@pytest.mark.parametrize("references", [0, 2])
def test_one_step_opens_the_test_split_and_only_the_report_comes_after_it(depth, labels, references):
    audit = {"depth": depth, "num_reference_runs": references}
    steps = pipeline(RunConfig.model_validate({"audit": audit, "distill": {"labels": labels}}), b"")
    assert [(step.name, step.function, step.inputs["data"].name) for step in steps if step.opens] == [
        ("audit", JUDGE, "prepare")
    ]
    assert {step.name: step.seals for step in steps if step.seals} == {"prepare": ("test",)}
    after = [step.name for step in steps if "audit" in {source.name for source in step.inputs.values()}]
    assert after == ["report"]
    assert steps[-1].name == "report"


@dataclass(frozen=True)
class Reach:
    """What a stage function found when it began: pictures in all it was given, and the mode of every sealed file."""

    function: str
    pictures: set[str]
    opened: dict[str, Path]
    modes: set[int]


@pytest.fixture(scope="module")
def reached(tmp_path_factory) -> tuple[set[str], list[Reach]]:
    """Run everything once, at depth full; return the pictures of the test split, and each stage function's reach."""
    root = tmp_path_factory.mktemp("sealed")
    generator = np.random.default_rng(0)
    for name, number in itertools.product(("cat", "dog"), range(16)):
        (root / "pictures" / name).mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "pictures" / name / f"{number}.png")
    settings = load_settings(overrides=[f"prepare.source={root / 'pictures'}", f"execution.output={root}", *TINY])
    settings = changed(settings, SMALLER)
    reaches: list[Reach] = []
    original = runner_module.load_function

    def spying(path: str):
        def call(config: object, context: StepContext) -> None:
            reaches.append(reach(path, context, settings.execution.store))
            original(path)(config, context)

        return call

    with short_memorizers(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner_module, "load_function", spying)
        result = run(settings)
    assert len(reaches) == len(plan(settings)) + 1  # the first result, which looks at the validation split
    sealed = next(sealed_files(settings.execution.store)).parent
    for path in sealed.iterdir():
        path.chmod(0o400)
    test = set().union(*map(pictures, list_shards(sealed)))
    assert len(test) == DataCard.read(result.artifacts["prepare"]).num_test
    log = [json.loads(line) for line in (result.folder / "log.jsonl").read_text().splitlines()]
    opened = [(event["step"], event["sealed_by"], event["times"]) for event in log if event["event"] == "opened test"]
    assert opened == [("audit", "prepare", 1)]
    return test, reaches


def reach(function: str, context: StepContext, store: Path) -> Reach:
    """Look into every folder that a stage function gets."""
    given = [*context.inputs.values(), *context.opened.values(), context.out, context.scratch]
    files = {path for folder in given for path in folder.rglob("*.parquet") if has_images(path)}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in sealed_files(store)}
    return Reach(function, set().union(*map(pictures, files)), dict(context.opened), modes)


def has_images(path: Path) -> bool:
    return "image" in pq.read_schema(path).names


def pictures(file: Path) -> set[str]:
    return _pictures(file, (file.stat().st_mtime_ns, file.stat().st_size))


@cache
def _pictures(file: Path, state: tuple[int, int]) -> set[str]:
    """Return the digests of the pictures in `file`, which is read again when its `state` is another."""
    encoded = pq.read_table(file, columns=["image"]).column("image").combine_chunks().field("bytes").to_pylist()
    return {hashlib.sha256(decode_image(data).tobytes()).hexdigest() for data in encoded}


def sealed_files(store: Path) -> Iterator[Path]:
    return (path for path in (store / "sealed").rglob("*.parquet"))


def test_every_stage_function_ran(reached):
    functions = {reach.function for reach in reached[1]}
    assert "tckr.first.validation:run" in functions
    assert {function.split(".")[2] for function in functions if function.startswith("tckr.stages.")} == set(STAGES)
    assert {"tckr.stages.audit.stage:ask", "tckr.stages.generate.stage:replay", JUDGE} <= functions


def test_no_picture_of_the_test_split_is_in_anything_that_a_stage_function_gets_but_the_judging_one(reached):
    """The report, which comes last and trains nothing, gets those that the Student took for another class."""
    test, reaches = reached
    for found in reaches:
        seen = found.pictures & test
        assert seen == test if found.function == JUDGE else len(seen) <= MOST * (found.function == REPORT), found.function


def test_every_sealed_file_is_closed_while_any_other_stage_function_runs(reached):
    for found in reaches_after_prepare(reached[1]):
        assert found.modes == ({0o400} if found.function == JUDGE else {0}), found.function
        assert set(found.opened) == ({"data"} if found.function == JUDGE else set()), found.function


def reaches_after_prepare(reaches: list[Reach]) -> list[Reach]:
    assert reaches[0].function == "tckr.stages.prepare.stage:run"
    return reaches[1:]
