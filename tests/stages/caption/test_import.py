"""Captions from a file go to the rows of the data source they were made for; exported and imported they are the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tckr.cli import app
from tckr.config import load_settings
from tckr.data.shards import read_columns, write_shard
from tckr.data.source_rows import read_source_rows
from tckr.errors import UserError
from tckr.pipeline import pipeline
from tckr.running import run
from tckr.stages.caption import stage
from tckr.stages.caption.config import CaptionConfig
from tests.stages.prepare.pictures import png, prepared
from tests.tiny_artifacts import make_context
from tests.tiny_models import build_captioner

NAMES = ["cat", "dog"]


def write_source(file: Path) -> Path:
    """Write a table of 40 pictures of two classes, one broken and one repeated, each with a caption that names its row."""
    images = [png(row) for row in range(40)]
    images[3], images[7] = b"no picture", images[5]
    texts = [f"row {row}" for row in range(40)]
    write_shard(file, {"image": images, "label": np.arange(40) // 20, "caption": texts}, NAMES)
    return file


def said(out: Path) -> dict[int, str]:
    columns = read_columns(out, ["record", "caption"])
    return dict(zip(columns["record"].tolist(), columns["caption"].tolist(), strict=True))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "train.parquet")


@pytest.mark.parametrize("run_row", [0, 5, -1, -2])
def test_caption_i_goes_to_row_i_of_the_source(tmp_path: Path, source: Path, run_row: int) -> None:
    data = prepared(tmp_path / "prepare", source)
    context = make_context(tmp_path / "caption", {"data": data}, run=run_row)
    stage.run(CaptionConfig(file=str(source)), context)
    rows = read_source_rows(data).records.tolist()
    found = said(context.out)
    assert len(found) > 1
    assert found == {record: f"row {rows.index(record)}" for record in found}


def test_missing_captions_stop_the_step_unless_they_are_of_others(tmp_path: Path, source: Path) -> None:
    data = prepared(tmp_path / "prepare", source)
    rows = read_source_rows(data)
    context = make_context(tmp_path / "one", {"data": data})
    stage.run(CaptionConfig(file=str(source)), context)
    lines = [
        f"{name}: x" if record in said(context.out) else name for name, record in zip(*vars(rows).values(), strict=True)
    ]
    (tmp_path / "c.txt").write_text("\n".join(lines))
    config = CaptionConfig(file=str(tmp_path / "c.txt"))
    stage.run(config, make_context(tmp_path / "two", {"data": data}))
    with pytest.raises(UserError, match=r"no caption for \d+ of \d+ images that this step needs.*of class '(cat|dog)'"):
        stage.run(config, make_context(tmp_path / "three", {"data": data}, run=1))


def test_another_number_of_rows_is_an_error(tmp_path: Path, source: Path) -> None:
    data = prepared(tmp_path / "prepare", source)
    (tmp_path / "c.json").write_text(json.dumps({"cat": ["x"] * 20, "dog": ["x"] * 21}))
    with pytest.raises(UserError, match=r"41 captions for 40 labelled training rows.*dog 21 for 20"):
        stage.run(CaptionConfig(file=str(tmp_path / "c.json")), make_context(tmp_path / "c", {"data": data}))


@pytest.mark.parametrize(("form", "suffix"), [("grouped_by_class", "json"), ("original_order", "txt")])
def test_export_then_import_gives_the_same_artifact(tmp_path: Path, source: Path, form: str, suffix: str) -> None:
    model = build_captioner(tmp_path / "model")
    common = [f"prepare.source={source}", f"execution.output={tmp_path / 'runs'}", "execution.device=cpu"]
    common += ["prepare.image_size=16", "caption.max_new_tokens=6"]
    first = run(load_settings(overrides=[*common, "execution.name=first", f"caption.model={model}"]), "caption")
    file = tmp_path / f"captions.{suffix}"
    shown = CliRunner().invoke(app, ["captions", str(first.folder), "--format", form, "--output", str(file)])
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "of 40 rows" in shown.stdout
    assert "private" in shown.stdout
    before = first.artifacts["caption"]
    assert not any(text in shown.stdout for text in said(before).values())
    second = run(load_settings(overrides=[*common, "execution.name=second", f"caption.file={file}"]), "caption")
    after = second.artifacts["caption"]
    assert before != after
    for name in ("captions.parquet", "captions.json", "classes.json"):
        assert (before / name).read_bytes() == (after / name).read_bytes(), name


def test_a_run_without_captions_has_nothing_to_export(tmp_path: Path, source: Path) -> None:
    settings = load_settings(overrides=[f"prepare.source={source}", f"execution.output={tmp_path}", "execution.name=bare"])
    run(settings, "prepare")
    with pytest.raises(UserError, match="has no captions yet; make them with `tckr caption "):
        CliRunner().invoke(
            app, ["captions", str(tmp_path / "bare"), "--output", str(tmp_path / "c.json")], catch_exceptions=False
        )


def test_the_file_is_part_of_what_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def fingerprint() -> str:
        settings = load_settings(overrides=["caption.file=c.txt"])
        assert settings.caption.file == str(tmp_path / "c.txt")
        steps = {step.name: step for step in pipeline(settings.run_config(), b"")}
        return steps["caption"].fingerprint

    (tmp_path / "c.txt").write_text("0: a")
    first = fingerprint()
    (tmp_path / "c.txt").write_text("0: another")
    assert fingerprint() != first
    (tmp_path / "c.txt").write_text("0: a")
    assert fingerprint() == first
    (tmp_path / "c.txt").unlink()
    with pytest.raises(UserError, match=r"c\.txt cannot be read"):
        fingerprint()
