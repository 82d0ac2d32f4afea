"""A set has one precision: it is not continued in another one, nor on another kind of device."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tckr.errors import UserError
from tckr.models.diffusion.generator import Sampling
from tckr.stages.generate import stage
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.draw import Recipe
from tests.stages.generate.tiny_sets import CONFIG, generate, grey_levels_apart
from tests.tiny_artifacts import Recorder, make_context, write_manifest
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)


def test_bfloat16_gives_other_bits_of_nearly_the_same_images(tmp_path: Path, inputs: dict[str, Path]) -> None:
    exact = generate(tmp_path / "exact", inputs)
    rounded = [
        generate(tmp_path / name, inputs, CONFIG.model_copy(update={"precision": "bfloat16"})) for name in ("one", "two")
    ]
    assert np.array_equal(rounded[0].images, rounded[1].images)
    assert grey_levels_apart(exact, rounded[0]) > 0
    assert np.abs(exact.images.astype(int) - rounded[0].images.astype(int)).mean() < 2


def test_a_set_is_not_continued_in_another_precision(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.model_copy(update={"precision": "auto"})
    for processor, native in (("old", False), ("new", True)):
        monkeypatch.setattr(stage, "is_bfloat16", lambda precision, device, native=native: native)
        with (
            pytest.raises(UserError, match=r"in float32, .*continue in bfloat16; .*delete .*out")
            if native
            else nullcontext()
        ):
            generate(tmp_path / "same", inputs, config)
        generate(tmp_path / processor, inputs, config)
        write_manifest(tmp_path / processor / "out")
    recorder = Recorder()
    context = make_context(tmp_path / "copy", inputs, recorder=recorder)
    stage.run(config, replace(context, donors=(tmp_path / "old" / "out",)))
    assert recorder.events[-1]["copied"] == 0
    assert "generated again in bfloat16" in recorder.events[-2]["message"]
    context = make_context(tmp_path / "other copy", inputs, recorder=recorder)
    told = len(recorder.events)
    stage.run(config, replace(context, donors=(tmp_path / "old" / "out", tmp_path / "new" / "out")))
    assert recorder.events[told:][0]["copied"] == 11  # and no warning: nothing was generated


def test_a_set_of_which_nothing_is_generated_yet_takes_another_precision(tmp_path: Path, inputs: dict[str, Path]) -> None:
    generate(tmp_path, inputs)
    shutil.rmtree(tmp_path / "out" / "data")
    generate(tmp_path, inputs, CONFIG.model_copy(update={"precision": "bfloat16"}))
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["precision"] == "bfloat16"


@pytest.mark.parametrize(
    ("precision", "on_cpu", "on_cuda"),
    [
        ("float32", "float32", "float32 weights"),
        ("bfloat16", "bfloat16", "bfloat16 weights"),
        ("auto", "float32", "half weights"),
    ],
)
def test_a_set_of_a_cpu_does_not_go_with_one_of_cuda(precision: str, on_cpu: str, on_cuda: str) -> None:
    sampling = Sampling(steps=1, guidance_scale=1.0, size=16, bfloat16=precision == "bfloat16")
    recipe = Recipe(
        model="", revision=None, adapter=None, few_step_adapter=None, device="cpu", sampling=sampling, dtype=None,
        compiled=False,
    )  # fmt: skip
    config = GenerateConfig(precision=precision)
    assert stage._precision(config, recipe) == on_cpu
    assert stage._precision(config, replace(recipe, device="cuda:1")) == on_cuda
