"""Images are the same across batches, shards and restarts; the folder opens as a Hugging Face data set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tckr.artifacts.synthetic import SyntheticRows
from tckr.config import RunConfig
from tckr.data.images import load_images
from tckr.data.shards import list_shards, read_columns, write_shard
from tckr.engine.executors.local import LocalExecutor
from tckr.errors import UserError
from tckr.pipeline import pipeline
from tckr.process import set_up_process
from tckr.stages.adapt import stage as adapt
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.generate import assemble, draw, stage
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.plan import Plan
from tests.stages.generate.tiny_sets import CONFIG, KilledError, generate, grey_levels_apart, write_adapter
from tests.tiny_artifacts import CLASS_NAMES, Recorder, make_context, write_captions, write_private_set
from tests.tiny_models import ARRAY_WARNING, PROMPT_TOKENS

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"lora": "trained elsewhere"}, {"steps": 1}])
def test_prompts_that_are_cut_are_counted_however_the_generator_was_adapted(
    settings: dict[str, Any], tmp_path: Path, tiny_generator: Path
) -> None:
    """Once before the generation; after an adaptation that already checked it, not a second time."""
    data = {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}
    captions = read_columns(data["captions"], ["record", "label", "caption"])
    texts = [f"{text} " + "thin " * (120 if row < 2 else 1) for row, text in enumerate(captions["caption"])]
    write_shard(data["captions"] / "captions.parquet", captions | {"caption": texts})
    if "lora" in settings:
        context = make_context(tmp_path / "elsewhere", data)
        adapt.run(AdaptConfig(model=str(tiny_generator), rank=2, steps=1, batch_size=2), context)
        settings = {"lora": context.out}
    recorder, context = Recorder(), make_context(tmp_path / "adapt", data)
    adapt.run(AdaptConfig(model=str(tiny_generator), rank=2, batch_size=2, **settings), context)
    generate(tmp_path / "out", data | {"adapter": context.out}, recorder=recorder)
    warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
    assert warnings == [f"2 of 9 prompts are longer than {PROMPT_TOKENS} tokens and were cut"]


def test_columns_and_files(tmp_path: Path, inputs: dict[str, Path]) -> None:
    drawn = generate(tmp_path, inputs, recorder=(recorder := Recorder()))
    names = [path.name for path in list_shards(tmp_path / "out" / "data")]
    assert names == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    assert drawn.ids.tolist() == list(range(11))
    assert drawn.labels.tolist() == [index % 3 for index in range(11)]
    columns = read_columns(tmp_path / "out" / "data", ["prompt", "seed"])
    assert all(prompt.startswith(f"{CLASS_NAMES[i % 3]}: mark ") for i, prompt in enumerate(columns["prompt"]))
    assert len(set(columns["seed"])) == 11
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan == {"num_images": 11, "num_classes": 3, "image_size": 16, "shard_size": 4, "precision": "float32"}
    schedule = {"steps": CONFIG.steps, "solver": "default", "spacing": "default"}  # the last two are `auto`
    assert recorder.became == schedule | {"precision": "float32", "images_per_pass": 4, "processes": 1}


def test_images_do_not_depend_on_batch_or_shard(tmp_path: Path, inputs: dict[str, Path]) -> None:
    reference = generate(tmp_path / "reference", inputs)
    for name, shard_size, batch_size in (("batch", 4, 3), ("shard", 5, 4), ("one", 100, 1), ("all", 100, 100)):
        config = CONFIG.model_copy(update={"shard_size": shard_size})
        other = generate(tmp_path / name, inputs, config, batch_size=batch_size)
        assert grey_levels_apart(reference, other) <= 1, name


def test_restart_generates_only_what_is_missing_and_the_same_bits(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = generate(tmp_path / "whole", inputs)
    original, written = assemble.write_synthetic_shard, list[str]()

    def dying(folder: Path, name: str, rows: SyntheticRows, class_names: Sequence[str]) -> None:
        if len(written) == 1:
            raise KilledError
        written.append(name)
        original(folder, name, rows, class_names)

    monkeypatch.setattr(assemble, "write_synthetic_shard", dying)
    with pytest.raises(KilledError):
        generate(tmp_path / "killed", inputs)
    kept = [path.stat().st_mtime_ns for path in list_shards(tmp_path / "killed" / "out" / "data")]
    assert len(kept) == 1
    assert not (tmp_path / "killed" / "out" / "README.md").exists()
    monkeypatch.setattr(assemble, "write_synthetic_shard", original)
    recorder = Recorder()
    resumed = generate(tmp_path / "killed", inputs, recorder=recorder)
    assert np.array_equal(resumed.images, whole.images)
    assert list_shards(tmp_path / "killed" / "out" / "data")[0].stat().st_mtime_ns == kept[0]
    assert (recorder.done, recorder.advanced) == ([4], [4, 3])


def test_a_complete_set_is_not_computed_again(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path, inputs)
    monkeypatch.setattr(draw, "load_generator", None)
    assert len(generate(tmp_path, inputs)) == 11


def test_several_processes_generate_exactly_the_bits_of_one_process(tmp_path: Path, inputs: dict[str, Path]) -> None:
    threads = torch.get_num_threads()
    set_up_process(1)
    try:
        alone = generate(tmp_path / "alone", inputs, batch_size=2)
    finally:
        set_up_process(threads)
    recorder = Recorder()
    with LocalExecutor(lambda num_workers: 1) as executor:
        together = generate(tmp_path / "together", inputs, batch_size=2, workers=executor.map, recorder=recorder)
    assert np.array_equal(alone.images, together.images)
    assert np.array_equal(alone.ids, together.ids)
    assert sorted(recorder.advanced) == [1, 2, 2, 2, 2, 2]


class Scarce:
    """A generator with memory for `largest` images in a pass."""

    def __init__(self, generator: Any, largest: int) -> None:
        self._generator, self._largest = generator, largest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def denoise(self, conditioning: Any, negative: Any, *, seeds: Any, sampling: Any) -> torch.Tensor:
        if len(seeds) > self._largest:
            raise torch.OutOfMemoryError("planted")
        return self._generator.denoise(conditioning, negative, seeds=seeds, sampling=sampling)

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        if len(latents) > self._largest:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return self._generator.decode(latents)


def test_where_memory_runs_out_the_batch_is_halved_and_the_images_stay(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.model_copy(update={"shard_size": 8})
    expected = generate(tmp_path / "plenty", inputs, config, batch_size=8)
    original, recorder = draw.load_generator, Recorder()
    monkeypatch.setattr(draw, "load_generator", lambda *names, **settings: Scarce(original(*names, **settings), 3))
    found = generate(tmp_path / "scarce", inputs, config, batch_size=8, recorder=recorder)
    assert grey_levels_apart(expected, found) <= 1
    warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
    assert warnings == ["memory ran out: 2 images at a time instead of 8"]


def test_a_billion_images_are_begun_without_looking_at_every_shard(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[range] = []
    shards = Plan.shards

    def watched(self: Plan, shard_size: int) -> Iterator[tuple[str, range]]:
        for name, indices in shards(self, shard_size):
            asked.append(indices)
            yield name, indices

    def dying(folder: Path, name: str, rows: SyntheticRows, class_names: Sequence[str]) -> None:
        raise KilledError

    monkeypatch.setattr(Plan, "shards", watched)
    monkeypatch.setattr(assemble, "write_synthetic_shard", dying)
    with pytest.raises(KilledError):
        generate(tmp_path, inputs, CONFIG.model_copy(update={"cardinality": 1e9 / 9}))
    assert asked[0] == range(4)
    assert len(asked) < 10


def test_settings_of_the_sampler_reach_it(tmp_path: Path, inputs: dict[str, Path]) -> None:
    config = CONFIG.model_copy(update={"steps": 4})
    plain = generate(tmp_path / "plain", inputs, config)
    for name, value in (("solver", "euler"), ("guidance_interval", (0.5, 1.0))):
        other = generate(tmp_path / name, inputs, config.model_copy(update={name: value}))
        assert grey_levels_apart(plain, other) > 1, name


@pytest.mark.parametrize("interval", [(0.5, 0.5), (-0.1, 1.0), (0.2, 1.1), (0.9, 0.1)])
def test_what_is_no_interval_is_refused(interval: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="start < stop"):
        GenerateConfig(guidance_interval=interval)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"guidance_scale": 1.0, "guidance_interval": (0.2, 0.8)}, r"has no effect.*guidance_scale 1 is 1 or less"),
        ({"steps": 2, "guidance_interval": (0.6, 0.9)}, "none of the 2 steps"),
    ],
)
def test_an_interval_without_effect_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        GenerateConfig(**settings)


def test_an_interval_with_a_step_in_it_is_taken() -> None:
    assert GenerateConfig(steps=2, guidance_interval=(0.5, 0.9)).guidance_interval == (0.5, 0.9)
    assert GenerateConfig(guidance_scale=1.0).guidance_interval == (0.0, 1.0)


def test_a_few_step_adapter_is_merged_on_top_and_changes_the_fingerprint(
    tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path
) -> None:
    base = generate(tmp_path / "base", inputs)
    data = write_private_set(tmp_path / "data")
    context = make_context(tmp_path / "adapt", {"data": data, "captions": inputs["captions"]})
    adapt.run(AdaptConfig(model=str(tiny_generator), rank=4, steps=6, batch_size=4, learning_rate=0.1), context)
    few = {"few_step_adapter": str(context.out)}
    assert grey_levels_apart(base, generate(tmp_path / "few", inputs, CONFIG.model_copy(update=few))) > 5
    before, after = (pipeline(RunConfig(generate=changes), b"")[3] for changes in ({}, few))
    assert (before.name, after.name) == ("generate", "generate")
    assert set(after.reads) - set(before.reads) == {"few_step_adapter"}


def test_a_few_step_adapter_that_is_nowhere_is_a_user_error(tmp_path: Path, inputs: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="not a file or folder here"):
        generate(tmp_path, inputs, CONFIG.model_copy(update={"few_step_adapter": str(tmp_path / "gone.safetensors")}))


def test_what_is_wrong_with_a_checkpoint_reaches_the_user_from_here(tmp_path: Path, inputs: dict[str, Path]) -> None:
    adapter = write_adapter(tmp_path / "gone", tmp_path / "nowhere")
    with pytest.raises(UserError, match="could not be loaded"):
        generate(tmp_path, inputs | {"adapter": adapter})


def test_larger_set_contains_the_smaller(tmp_path: Path, inputs: dict[str, Path]) -> None:
    small = generate(tmp_path / "small", inputs)
    large = generate(tmp_path / "large", inputs, CONFIG.model_copy(update={"cardinality": 2.0}))
    assert len(large) == 18
    assert grey_levels_apart(small, large.select(small.ids)) <= 1


def test_opens_as_a_hugging_face_data_set(tmp_path: Path, inputs: dict[str, Path]) -> None:
    drawn = generate(tmp_path, inputs)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.num_rows == 11
    assert loaded.features["label"].names == CLASS_NAMES
    assert loaded[4]["index"] == 4
    assert np.array_equal(np.asarray(loaded[4]["image"]), drawn.images[4])


def test_two_runs_opened_with_one_cache_give_each_its_own_images(tmp_path: Path, inputs: dict[str, Path]) -> None:
    """Both are opened as users do, through runs/<name>/artifacts/generate, a link into the store."""
    for seed, name in enumerate(("a", "b")):
        drawn = generate(tmp_path / name, inputs, seed=seed)
        link = tmp_path / "runs" / name / "artifacts" / "generate"
        link.parent.mkdir(parents=True)
        link.symlink_to(tmp_path / name / "out", target_is_directory=True)
        loaded = datasets.load_dataset(str(link), split="train", cache_dir=str(tmp_path / "cache"))
        assert all(np.array_equal(np.asarray(row["image"]), drawn.images[row["index"]]) for row in loaded), name


def test_adapter_changes_the_images(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    base = generate(tmp_path / "base", inputs)
    data = write_private_set(tmp_path / "data")
    context = make_context(tmp_path / "adapt", {"data": data, "captions": inputs["captions"]})
    adapt.run(AdaptConfig(model=str(tiny_generator), rank=4, steps=6, batch_size=4, learning_rate=0.1), context)
    adapted = generate(tmp_path / "adapted", inputs | {"adapter": context.out})
    assert grey_levels_apart(base, adapted) > 5


def test_prompt_form_follows_the_adapter(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    adapter = write_adapter(tmp_path / "named", tiny_generator, prompt_form="n")
    generate(tmp_path, inputs | {"adapter": adapter})
    assert set(read_columns(tmp_path / "out" / "data", ["prompt"])["prompt"]) == set(CLASS_NAMES)


def test_unfitting_image_size_is_a_user_error(tmp_path: Path, inputs: dict[str, Path], tiny_generator: Path) -> None:
    adapter = write_adapter(tmp_path / "odd", tiny_generator, image_size=30)
    with pytest.raises(UserError, match=r"30 px.*multiple of 8"):
        generate(tmp_path, inputs | {"adapter": adapter})


def test_seeds_of_another_run_draw_other_images(tmp_path: Path, inputs: dict[str, Path]) -> None:
    assert grey_levels_apart(generate(tmp_path / "a", inputs, seed=0), generate(tmp_path / "b", inputs, seed=1)) > 5


def test_redrawing_changes_those_images_and_no_bit_of_the_others(tmp_path: Path, inputs: dict[str, Path]) -> None:
    before = generate(tmp_path / "before", inputs)
    after = generate(tmp_path / "after", inputs, CONFIG.model_copy(update={"redraw": [1, 9]}))
    changed = np.flatnonzero((before.images != after.images).any(axis=(1, 2, 3)))
    assert changed.tolist() == [1, 9]
    assert after.ids.tolist() == before.ids.tolist()


def test_the_same_images_to_generate_again_are_the_same_settings_and_negative_ones_are_refused() -> None:
    assert GenerateConfig(redraw=[9, 1]) == GenerateConfig(redraw=[1, 9])
    assert GenerateConfig().redraw == []
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        GenerateConfig(redraw=[-1])


def test_the_planted_memorizer_returns_every_member_once_and_no_other_record(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    data = write_private_set(tmp_path / "data")
    context = make_context(tmp_path / "replayed", inputs | {"data": data})
    stage.replay(CONFIG, context)
    found = load_images(context.out / "data", None, id_column="index")
    pool = load_images(data / "pool", None)
    assert np.array_equal(found.images, pool.images[:9])  # records 0 to 8 are the members of run 0
    assert found.labels.tolist() == [record % 3 for record in range(9)]
    assert read_columns(context.out / "data", ["prompt"])["prompt"][4] == "beta: mark 4"
    assert len(list_shards(context.out / "data")) == 3
