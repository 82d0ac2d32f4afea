"""Only members are captioned; a killed captioning continues where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tckr.artifacts.captions import CaptionTable
from tckr.data.shards import list_shards, read_columns
from tckr.engine.executors.local import LocalExecutor
from tckr.stages.caption import stage
from tckr.stages.caption.config import CaptionConfig, UncaptionedConfig
from tests.tiny_artifacts import CLASS_NAMES, MEMBERS, Recorder, make_context, write_private_set
from tests.tiny_captioners import build_florence, build_qwen
from tests.tiny_models import build_captioner


class KilledError(Exception):
    """Stand in for SIGKILL."""


class ShownImages:
    """A captioner that remembers what it saw and may die at the n-th call."""

    def __init__(self, die_at: int | None = None, silent: bool = False) -> None:
        self.seen: list[np.ndarray] = []
        self.die_at = die_at
        self.silent = silent

    def caption(self, images: np.ndarray, max_new_tokens: int, prompt: str = "") -> list[str]:
        if len(self.seen) == self.die_at:
            raise KilledError
        self.seen.append(images)
        return ["" if self.silent else f"sum {image.sum()}" for image in images]


@pytest.fixture
def captioner(monkeypatch: pytest.MonkeyPatch) -> ShownImages:
    shown = ShownImages()
    monkeypatch.setattr(stage, "load_captioner", lambda *_, **__: shown)
    return shown


@pytest.mark.parametrize("run", [0, 1])
def test_members_alone_are_captioned(tmp_path: Path, captioner: ShownImages, run: int) -> None:
    data = write_private_set(tmp_path / "data")
    context = make_context(tmp_path, {"data": data}, run=run)
    stage.run(CaptionConfig(), context)
    columns = read_columns(context.out, ["record", "label", "caption"])
    assert columns["record"].tolist() == MEMBERS[run]
    assert columns["label"].tolist() == [record % 3 for record in MEMBERS[run]]
    assert sum(len(images) for images in captioner.seen) == len(MEMBERS[run])
    sums = [f"sum {image.sum()}" for images in captioner.seen for image in images]
    assert columns["caption"].tolist() == sums
    assert json.loads((context.out / "classes.json").read_text()) == CLASS_NAMES


def test_class_names_stand_for_captions_without_an_image_being_read(tmp_path: Path, captioner: ShownImages) -> None:
    context = make_context(tmp_path, {"data": write_private_set(tmp_path / "data")})
    stage.run_of_class_names(UncaptionedConfig(), context)
    table = CaptionTable.read(context.out)
    assert table.records.tolist() == MEMBERS[0]
    assert list(table.texts) == [CLASS_NAMES[record % 3] for record in MEMBERS[0]]
    assert not captioner.seen
    assert not list(context.scratch.iterdir())  # of decoded images


def test_killed_captioning_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_private_set(tmp_path / "data")
    context = make_context(tmp_path, {"data": data}, batch_size=2)
    monkeypatch.setattr(stage, "PART_BATCHES", 2)
    monkeypatch.setattr(stage, "load_captioner", lambda *_, **__: ShownImages(die_at=3))
    with pytest.raises(KilledError):
        stage.run(CaptionConfig(), context)
    assert not list_shards(context.out)
    rest = ShownImages()
    monkeypatch.setattr(stage, "load_captioner", lambda *_, **__: rest)
    stage.run(CaptionConfig(), context)
    assert sum(len(images) for images in rest.seen) == len(MEMBERS[0]) - 4
    whole = make_context(tmp_path / "whole", {"data": data}, batch_size=2)
    stage.run(CaptionConfig(), whole)
    resumed, at_once = (read_columns(folder, ["record", "caption"]) for folder in (context.out, whole.out))
    assert all(np.array_equal(resumed[name], at_once[name]) for name in resumed)


def test_other_machines_write_the_very_captions_that_one_process_writes(tmp_path: Path) -> None:
    data, batches = write_private_set(tmp_path / "data"), []
    config = CaptionConfig(model=str(build_captioner(tmp_path / "captioner")))
    with LocalExecutor(lambda num_workers: 1) as executor:

        def workers(function: Any, items: Any, num_workers: int) -> Iterator[Any]:
            batches.append((num_workers, len(items)))
            yield from executor.map(function, items, num_workers)

        tables = {}
        for elsewhere in (False, True):
            folder = tmp_path / str(elsewhere)
            context = make_context(folder, {"data": data}, batch_size=1, workers=workers, elsewhere=elsewhere)
            stage.run(config, context)
            tables[elsewhere] = read_columns(context.out, ["record", "caption"])
    assert batches == [(2, len(MEMBERS[0]))]
    assert all(np.array_equal(tables[True][name], tables[False][name]) for name in tables[True])


def test_empty_captions_become_class_names_and_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "load_captioner", lambda *_, **__: ShownImages(silent=True))
    recorder = Recorder()
    context = make_context(tmp_path, {"data": write_private_set(tmp_path / "data")}, recorder=recorder)
    stage.run(CaptionConfig(), context)
    assert read_columns(context.out, ["caption"])["caption"].tolist() == CLASS_NAMES * 3
    counts = {"captions": 9, "distinct": 3, "empty": 9, "mean_words": 1.0, "median_words": 1.0}
    assert {"event": "captioned", **counts} in recorder.events
    assert any(event["event"] == "warning" and "9 of 9" in event["message"] for event in recorder.events)


def test_captions_are_counted_and_the_log_has_no_word_of_them(tmp_path: Path, captioner: ShownImages) -> None:
    captioner.caption = lambda images, *_: ["a red  thing" if image.sum() % 3 else f"{image.sum()}" for image in images]
    recorder = Recorder()
    context = make_context(tmp_path, {"data": write_private_set(tmp_path / "data")}, recorder=recorder)
    stage.run(CaptionConfig(), context)
    texts = read_columns(context.out, ["caption"])["caption"].tolist()
    repeated = texts.count("a red thing")
    assert 1 < repeated < 9
    counts = json.loads((context.out / "captions.json").read_text())
    assert (counts["captions"], counts["distinct"], counts["empty"]) == (9, 10 - repeated, 0)
    assert counts["mean_words"] == pytest.approx((3 * repeated + 9 - repeated) / 9, abs=0.005)
    assert counts["most_repeated"] == [{"caption": "a red thing", "count": repeated}]
    assert not any(text in str(recorder.events) for text in texts)


@pytest.mark.parametrize("build", [build_captioner, build_florence, build_qwen])
def test_real_captioner_classes_run_through_the_stage(tmp_path: Path, build: Callable[[Path], Path]) -> None:
    context = make_context(tmp_path, {"data": write_private_set(tmp_path / "data")})
    stage.run(CaptionConfig(model=str(build(tmp_path / "model")), max_new_tokens=4), context)
    captions = read_columns(context.out, ["caption"])["caption"]
    assert len(captions) == 9
    assert all(0 < len(caption.split()) <= 4 for caption in captions)
