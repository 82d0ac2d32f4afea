"""The adapter artifact says how to use it, and only members reach the generator."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from tckr.data.shards import read_columns, write_shard
from tckr.errors import UserError
from tckr.stages.adapt import stage
from tckr.stages.adapt.config import AdaptConfig
from tests.tiny_artifacts import MEMBERS, Recorder, make_context, write_captions, write_private_set
from tests.tiny_models import ARRAY_WARNING, PROMPT_TOKENS

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    return {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}


def test_adapter_is_written_with_its_truth(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    context = make_context(tmp_path, inputs)
    stage.run(AdaptConfig(model=str(tiny_generator), rank=2, steps=3, batch_size=2), context)
    assert sorted(path.name for path in context.out.iterdir()) == [
        "adapter.json",
        "history.json",
        "pytorch_lora_weights.safetensors",
    ]
    assert json.loads((context.out / "adapter.json").read_text()) == {
        "model": str(tiny_generator),
        "revision": None,
        "rank": 2,
        "steps": 3,
        "prompt_form": "n: c",
        "descriptions": {},
        "image_size": 16,
    }
    assert [point["step"] for point in json.loads((context.out / "history.json").read_text())] == [1, 2, 3]
    weights = load_file(context.out / "pytorch_lora_weights.safetensors")
    assert all(2 in weight.shape for weight in weights.values())


def test_zero_steps_leave_the_model_alone(tmp_path: Path, inputs: dict[str, Path]) -> None:
    context = make_context(tmp_path, inputs)
    stage.run(AdaptConfig(model="no/model/needed", steps=0), context)
    assert sorted(path.name for path in context.out.iterdir()) == ["adapter.json", "history.json"]
    assert json.loads((context.out / "adapter.json").read_text())["steps"] == 0
    assert json.loads((context.out / "history.json").read_text()) == []


def test_hold_out_records_do_not_change_the_adapter(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blackened = write_private_set(tmp_path / "blackened")
    original = stage.load_images

    def without_holdout(folder: Path, cache: Path | None) -> object:
        pool = original(folder, cache)
        images = np.array(pool.images)
        images[~np.isin(pool.ids, MEMBERS[0])] = 0
        return type(pool)(images, pool.labels, pool.ids)

    weights = []
    for name in ("as it is", "blackened"):
        context = make_context(tmp_path / name, inputs | {"data": blackened})
        stage.run(AdaptConfig(model=str(tiny_generator), rank=2, steps=2, batch_size=4), context)
        weights.append(load_file(context.out / "pytorch_lora_weights.safetensors"))
        monkeypatch.setattr(stage, "load_images", without_holdout)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_captions_of_another_run_are_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    with pytest.raises(AssertionError, match="other members"):
        stage.run(AdaptConfig(steps=0), make_context(tmp_path, inputs, run=1))


def test_prompts_have_the_configured_form(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def spy(generator: object, images: object, rows: object, prompts: list[str], **_: object) -> None:
        seen["prompts"] = prompts
        raise UserError("enough")

    monkeypatch.setattr(stage, "encode_set", spy)
    texts = {"alpha": "first", "beta": "second", "gamma": "third"}
    config = AdaptConfig(model=str(tiny_generator), prompt_form="n: d", descriptions=texts)
    with pytest.raises(UserError, match="enough"):
        stage.run(config, make_context(tmp_path, inputs))
    assert seen["prompts"] == ["alpha: first", "beta: second", "gamma: third"] * 3
    with pytest.raises(UserError, match=r"missing: \['alpha', 'beta', 'gamma'\]"):
        stage.run(AdaptConfig(prompt_form="n: d"), make_context(tmp_path, inputs))


def test_prompts_that_are_cut_are_counted_once_and_never_printed(
    tmp_path: Path,
    inputs: dict[str, Path],
    tiny_generator: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for library in ("diffusers", "transformers"):
        monkeypatch.setattr(logging.getLogger(library), "propagate", True)  # to caplog
    captions = read_columns(inputs["captions"], ["record", "label", "caption"])
    texts = [f"{caption} " + "thin " * (40 if row < 2 else 1) for row, caption in enumerate(captions["caption"])]
    write_shard(inputs["captions"] / "captions.parquet", captions | {"caption": texts})
    recorder = Recorder()
    context = make_context(tmp_path, inputs, recorder=recorder)
    stage.run(AdaptConfig(model=str(tiny_generator), rank=2, steps=1, batch_size=2), context)
    warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
    assert warnings == [f"2 of 9 prompts are longer than {PROMPT_TOKENS} tokens and were cut"]
    assert caplog.records == []


def test_missing_model_is_a_user_error(tmp_path: Path, inputs: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"adapt\.model=embedded:generator"):
        stage.run(AdaptConfig(model=str(tmp_path / "missing")), make_context(tmp_path, inputs))


def test_interrupted_stage_gives_the_same_adapter(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    config = AdaptConfig(model=str(tiny_generator), rank=2, steps=3, batch_size=2)
    context = make_context(tmp_path, inputs)
    stage.run(config, context)
    first = load_file(context.out / "pytorch_lora_weights.safetensors")
    shutil.rmtree(context.out)  # killed after training, before the adapter was written
    context.out.mkdir()
    stage.run(config, context)
    again = load_file(context.out / "pytorch_lora_weights.safetensors")
    assert all(torch.equal(again[name], first[name]) for name in first)


def test_length_is_set_once() -> None:
    assert AdaptConfig().num_steps(10**9) == AdaptConfig().steps
    paper = AdaptConfig(steps=None, epochs=3, batch_size=4)
    assert paper.num_steps(50_000) == 37_500
    assert paper.num_steps(3) == 3  # 9 images in batches of 4
    for both_or_none in ({"steps": 5, "epochs": 1.0}, {"steps": None}):
        with pytest.raises(ValidationError, match=r"adapt.steps or adapt.epochs"):
            AdaptConfig(**both_or_none)  # type: ignore[arg-type]
