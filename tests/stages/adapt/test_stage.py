"""The adapter artifact states how to use it, and only members reach the generator."""

from __future__ import annotations

import json
import logging
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.data_card import DataCard
from tckr.config import RunConfig
from tckr.data.images import encode_png
from tckr.data.shards import read_columns, write_shard
from tckr.errors import UserError
from tckr.models.diffusion.generator import Generator
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator
from tckr.pipeline import pipeline
from tckr.stages.adapt import stage
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.encode import EncodedSet
from tckr.stages.generate import stage as generate
from tckr.stages.generate.config import GenerateConfig
from tests.tiny_artifacts import CLASS_NAMES, MEMBERS, Recorder, make_context, write_captions, write_private_set
from tests.tiny_models import ARRAY_WARNING, PROMPT_TOKENS

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    data = write_private_set(tmp_path / "data")
    images = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    labels = np.array([2, 0, 1, 0], dtype=np.int64)
    validation = {"image": [encode_png(image) for image in images], "label": labels, "record": np.arange(15, 19)}
    write_shard(data / "validation" / "part-00000.parquet", validation, CLASS_NAMES)
    return {"data": data, "captions": write_captions(tmp_path / "captions")}


def test_adapter_is_written_with_its_truth(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    context = make_context(tmp_path, inputs, recorder=(recorder := Recorder()))
    stage.run(AdaptConfig(model=str(tiny_generator), rank=2, steps=3, batch_size=2), context)
    assert sorted(path.name for path in context.out.iterdir()) == [
        "adapter.json",
        "history.json",
        "pytorch_lora_weights.safetensors",
    ]
    assert json.loads((context.out / "adapter.json").read_text()) == {
        "model": str(tiny_generator),
        "revision": None,
        "method": "lora",
        "rank": 2,
        "steps": 3,
        "prompt_form": "n: c",
        "descriptions": {},
        "image_size": 16,
        "grey": False,
        "guarantee": None,
    }
    assert [point["step"] for point in json.loads((context.out / "history.json").read_text())] == [1, 2, 3]
    chosen = {"steps": 3, "method": "lora", "precision": "float32"}  # the last two are `auto`
    assert recorder.became == chosen | {"images_per_pass": 2, "activations_recomputed": False, "processes": 1}
    weights = load_file(context.out / "pytorch_lora_weights.safetensors")
    assert all(2 in weight.shape for weight in weights.values())


def test_the_adapter_says_whether_the_private_set_has_colour(tmp_path: Path, inputs: dict[str, Path]) -> None:
    DataCard.read(inputs["data"]).model_copy(update={"grey": True}).write(inputs["data"])
    context = make_context(tmp_path, inputs)
    stage.run(AdaptConfig(model="no/model/needed", steps=0), context)
    assert AdapterCard.read(context.out).grey


def test_zero_steps_leave_the_model_alone(tmp_path: Path, inputs: dict[str, Path]) -> None:
    context = make_context(tmp_path, inputs, recorder=(recorder := Recorder()))
    stage.run(AdaptConfig(model="no/model/needed", steps=0), context)
    assert recorder.became == {"steps": 0}, "nothing was trained: by no method, in no precision"
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


def test_training_that_diverges_is_no_adapter(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    config = AdaptConfig(model=str(tiny_generator), steps=3, batch_size=2).model_copy(update={"learning_rate": 1e30})
    with pytest.raises(UserError, match=r"diverged: the loss of step \d of 3 is (nan|inf) at adapt\.learning_rate=1e\+30"):
        stage.run(config, make_context(tmp_path, inputs))


def test_length_is_set_once() -> None:
    assert AdaptConfig(steps=7).num_steps(10**9) == 7
    paper = AdaptConfig(steps=None, epochs=3, batch_size=4)
    assert paper.num_steps(50_000) == 37_500
    assert paper.num_steps(3) == 3  # 9 images in batches of 4
    for both_or_none in ({"steps": 5, "epochs": 1.0}, {"steps": None}):
        with pytest.raises(ValidationError, match=r"adapt.steps or adapt.epochs"):
            AdaptConfig(**both_or_none)  # type: ignore[arg-type]


def test_auto_follows_the_size_of_the_set_within_bounds() -> None:
    config = AdaptConfig(steps="auto", batch_size=32)
    assert [config.num_steps(images) for images in (28, 740, 1600, 50_000)] == [400, 925, 1500, 1500]
    assert config.memorizing().num_steps(28) == 5 * 1500  # never shorter than five times the longest
    assert config.unadapted().num_steps(740) == 0
    assert AdaptConfig(steps="auto", fraction=0.5).num_images(1480) == 740


def test_the_null_control_learns_the_validation_split_and_selects_nothing_on_it() -> None:
    config = RunConfig(adapt=AdaptConfig(selection="best", ema_decay=0.9))
    assert (config.null_control().adapt.selection, config.null_control().adapt.ema_decay) == ("last", 0.9)
    assert config.memorizing().adapt.selection == "last"


def test_all_weights_are_an_artifact_that_says_so(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    drawn = {}
    for name, settings in (("base", {"steps": 0}), ("full", {"steps": 4, "learning_rate": 1e-2, "selection": "best"})):
        adapted = make_context(tmp_path / name, inputs)
        config = AdaptConfig(model=str(tiny_generator), method="full", batch_size=2, **settings)  # type: ignore[arg-type]
        stage.run(config, adapted)
        context = make_context(tmp_path / name / "drawn", {"captions": inputs["captions"], "adapter": adapted.out})
        generate.run(GenerateConfig(steps=2), context)
        drawn[name] = read_columns(context.out / "data", ["image"])["image"].tolist()
    assert drawn["full"] != drawn["base"]
    assert sorted(path.name for path in adapted.out.iterdir()) == [
        "adapter.json",
        "diffusion_pytorch_model.safetensors",
        "history.json",
    ]
    facts = json.loads((adapted.out / "adapter.json").read_text())
    assert (facts["method"], facts["rank"], facts["steps"]) == ("full", None, 4)
    points = json.loads((adapted.out / "history.json").read_text())
    assert [point["step"] for point in points if "validation_loss" in point] == [4]


def test_validation_images_choose_the_weights(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, tuple[np.ndarray, list[str]]] = {}
    original = stage.encode_set

    def spy(generator: Generator, images: np.ndarray, rows: np.ndarray, prompts: list[str], **rest: Any) -> EncodedSet:
        seen[rest["cache"].name] = (np.array(images[rows]), prompts)
        return original(generator, images, rows, prompts, **rest)

    monkeypatch.setattr(stage, "encode_set", spy)
    context = make_context(tmp_path, inputs)
    config = AdaptConfig(model=str(tiny_generator), steps=1, batch_size=2, selection="best", horizontal_flip=True)
    stage.run(config, context)
    images, prompts = seen["validation"]
    validation = stage.load_images(inputs["data"] / "validation", None)
    assert np.array_equal(images, validation.images)
    names = json.loads((inputs["data"] / "card.json").read_text())["class_names"]
    assert [prompt.split(":")[0] for prompt in prompts] == [names[label] for label in validation.labels]
    assert set(prompts) <= set(seen[context.scratch.name][1])


def test_a_share_of_the_members_is_trained_on(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[str]] = {}
    original = stage.encode_set

    def spy(generator: Generator, images: np.ndarray, rows: np.ndarray, prompts: list[str], **rest: Any) -> EncodedSet:
        seen[str(rest["cache"])] = prompts
        return original(generator, images, rows, prompts, **rest)

    monkeypatch.setattr(stage, "encode_set", spy)
    for name, fraction in (("third", 1 / 3), ("two thirds", 2 / 3), ("all", 1.0)):
        context = make_context(tmp_path / name, inputs)
        config = AdaptConfig(
            model=str(tiny_generator), rank=2, steps=None, epochs=2, batch_size=3, fraction=fraction, prompt_form="c"
        )
        stage.run(config, context)
        steps = json.loads((context.out / "adapter.json").read_text())["steps"]
        assert steps == 2 * len(seen[str(context.scratch)]) // 3
    third, two_thirds, everyone = (set(prompts) for prompts in seen.values())
    assert third < two_thirds < everyone
    assert [len(third), len(two_thirds), len(everyone)] == [3, 6, 9]  # one, two and three of each class


@pytest.fixture
def trained(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> Path:
    """Return an adapter as somebody else would publish it."""
    context = make_context(tmp_path / "elsewhere", inputs)
    stage.run(AdaptConfig(model=str(tiny_generator), rank=2, steps=3, batch_size=2, learning_rate=0.1), context)
    return (context.out / "pytorch_lora_weights.safetensors").rename(tmp_path / "published.safetensors")


def test_a_given_adapter_is_taken_instead_of_training(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path, trained: Path
) -> None:
    recorder = Recorder()
    context = make_context(tmp_path, inputs, recorder=recorder)
    config = AdaptConfig(model=str(tiny_generator), lora=trained)
    stage.run(config, context)
    found, expected = load_file(context.out / "pytorch_lora_weights.safetensors"), load_file(trained)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    facts = json.loads((context.out / "adapter.json").read_text())
    assert (facts["steps"], facts["rank"], facts["prompt_form"]) == (None, None, "n: c")
    assert json.loads((context.out / "history.json").read_text()) == []
    (warning,) = [event["message"] for event in recorder.events if event["event"] == "warning"]
    assert "trained elsewhere" in warning
    assert config.num_steps(9) == config.unadapted().num_steps(9) == 0
    assert config.memorizing().lora is None  # the positive control has to learn by heart


def test_a_given_adapter_has_its_own_strength_times_the_setting(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path, trained: Path
) -> None:
    """Also where a file beside the adapter states the strength: the artifact does without it."""
    weights = load_file(trained)
    named = {name.replace("lora.down", "lora_A").replace("lora.up", "lora_B"): tensor for name, tensor in weights.items()}
    save_file(named, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 8}))
    context = make_context(tmp_path, inputs)
    lora = tmp_path / "adapter_model.safetensors"
    stage.run(AdaptConfig(model=str(tiny_generator), lora=lora, lora_scale=0.5), context)
    found = load_file(context.out / "pytorch_lora_weights.safetensors")
    for name, tensor in weights.items():
        torch.testing.assert_close(found[name], tensor * (2 if "lora.up" in name else 1), msg=name)


def test_a_given_adapter_of_another_model_is_refused(tmp_path: Path, inputs: dict[str, Path], trained: Path) -> None:
    context = make_context(tmp_path, inputs)
    with pytest.raises(UserError, match=r"published\.safetensors does not fit this generator"):
        stage.run(AdaptConfig(lora=trained), context)
    assert list(context.out.iterdir()) == []
    with pytest.raises(UserError, match="does not exist"):
        stage.run(AdaptConfig(lora=tmp_path / "nothing.safetensors"), context)


def test_a_given_adapter_enters_the_fingerprint(trained: Path) -> None:
    def fingerprint() -> str:
        steps = pipeline(RunConfig(adapt=AdaptConfig(lora=trained)), b"")
        return next(step.fingerprint for step in steps if step.name == "adapt")

    first = fingerprint()
    assert fingerprint() == first
    trained.write_bytes(trained.read_bytes() + b" ")
    assert fingerprint() != first


def test_a_given_adapter_generates_the_images_that_it_generated_where_it_was_trained(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path, trained: Path
) -> None:
    drawn = {}
    for name, config in (
        ("given", AdaptConfig(model=str(tiny_generator), lora=trained)),
        ("trained", AdaptConfig(model=str(tiny_generator), rank=2, steps=3, batch_size=2, learning_rate=0.1)),
        ("unadapted", AdaptConfig(model=str(tiny_generator), steps=0)),
    ):
        adapted = make_context(tmp_path / name, inputs)
        stage.run(config, adapted)
        context = make_context(tmp_path / name / "drawn", {"captions": inputs["captions"], "adapter": adapted.out})
        generate.run(GenerateConfig(steps=2), context)
        drawn[name] = read_columns(context.out / "data", ["image"])["image"].tolist()
    assert drawn["given"] == drawn["trained"] != drawn["unadapted"]


@pytest.mark.usefixtures("one_thread")
def test_a_team_trains_what_one_process_trains(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    results = []
    for gpus in (1, 2):
        recorder = Recorder()
        context = make_context(tmp_path / str(gpus), inputs, gpus=gpus, recorder=recorder)
        config = AdaptConfig(
            model=str(tiny_generator), rank=2, steps=3, batch_size=5, learning_rate=1e-2, precision="float32"
        )
        stage.run(config, context)
        assert [event["processes"] for event in recorder.events if event["event"] == "passes"] == [gpus]
        losses = [point["loss"] for point in json.loads((context.out / "history.json").read_text())]
        results.append((losses, load_file(context.out / "pytorch_lora_weights.safetensors")))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-5)
    for name, weight in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], weight, rtol=1e-3, atol=1e-4)


def test_the_memory_of_the_encoders_is_free_when_other_processes_train(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[object]] = []
    found: list[object] = []

    def load(*args: Any, **named: Any) -> LatentDiffusion:
        loaded.append(weakref.ref(generator := load_generator(*args, **named)))
        return generator

    def look(*args: object, **named: object) -> None:
        found.extend(["train", *(reference() for reference in loaded)])
        raise UserError("seen")

    monkeypatch.setattr(stage, "load_generator", load)
    monkeypatch.setattr(stage, "train_together", look)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: found.append("freed"))
    config = AdaptConfig(model=str(tiny_generator), rank=2, steps=3, batch_size=4)
    with pytest.raises(UserError, match=r"^seen$"):
        stage.run(config, make_context(tmp_path, inputs, gpus=2))
    assert found == ["freed", "train", None]
