"""A small sweep: shared steps once, smaller sets copied, a failing variant stops no other, a killed sweep continues."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tckr.artifacts.synthetic import CopiedImages, SyntheticFacts
from tckr.config import load_settings, load_sweep
from tckr.data.shards import list_shards, read_columns
from tckr.engine.folders import Folder, Kind, text_fill
from tckr.engine.observer import Silent
from tckr.engine.secret import read_secret
from tckr.errors import UserError
from tckr.running import run
from tckr.sweep.grid import read_grids
from tckr.sweep.sweeping import SweepPlan, plan_sweep, run_sweeps, steps_of, sweep_folder
from tckr.sweep.table import read_table
from tests.foreign import seen

CLASSES = {"circle": (200, 30, 30), "square": (30, 30, 200)}
GRIDS = [
    {"generate.cardinality": [0.5, 1.5], "seed": [0, 1]},
    {"generate.cardinality": [0.5], "seed": [0], "adapt.prompt_form": ["n: d"]},  # fails: there are no descriptions
]
ONE_SEED = [{"generate.cardinality": [0.5, 1.5], "seed": [0]}, GRIDS[1]]
FAILING = "cardinality-0.5_seed-0_prompt_form-n--d"
TINY = [
    "audit.num_reference_runs=0",
    "adapt.steps=0",
    "generate.steps=1",
    "generate.shard_size=8",
    "teach.epochs=1",
    "distill.epochs=1",
    "execution.workers=1",
    "execution.threads=1",
    "execution.device=cpu",
    "execution.name=tiny",
]


class Recorder(Silent):
    """Note what is computed; end like Ctrl-C after some steps."""

    def __init__(self, stop_after: int = 10_000) -> None:
        self.computed: list[str] = []
        self.variants: list[str] = []
        self._stop_after = stop_after

    def finished(self, step, manifest, reused) -> None:
        if not reused:
            self.computed.append(step.name)
        if len(self.computed) >= self._stop_after:
            raise KeyboardInterrupt

    def variant_finished(self, name, row) -> None:
        self.variants.append(name)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for name, colour in CLASSES.items():
        (root / name).mkdir()
        for index in range(24):
            pixels = np.clip(np.array(colour) + generator.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def plan(pictures, tmp_path_factory) -> Callable[..., SweepPlan]:
    def make(output: Path | None = None, grids: list[dict[str, list]] = GRIDS) -> SweepPlan:
        output = output or tmp_path_factory.mktemp("out")
        settings = load_settings(overrides=[f"prepare.source={pictures}", f"execution.output={output}", *TINY])
        return plan_sweep(settings, read_grids(grids, "the test"))

    return make


@pytest.fixture(scope="module")
def finished(plan):
    made, recorder = plan(), Recorder()
    return made, run_sweeps([made], recorder)[0], recorder


def test_a_variant_that_fails_is_in_the_table_and_loses_no_other(finished):
    made, result, recorder = finished
    assert list(result.failures) == [FAILING]
    assert "adapt.descriptions" in result.failures[FAILING]
    rows = read_table(made.folder / "sweep.parquet")
    assert [row["state"] for row in rows] == ["complete"] * 4 + ["failed"]
    assert "adapt.descriptions" in rows[-1]["failure"]
    assert sorted(recorder.variants) == sorted(row["variant"] for row in rows[:-1])


def test_the_table_has_the_swept_settings_of_every_variant_and_what_was_measured(finished):
    made, _, _ = finished
    rows = read_table(made.folder / "sweep.parquet")
    assert [row["generate.cardinality"] for row in rows] == [0.5, 0.5, 1.5, 1.5, 0.5]
    assert [row["adapt.prompt_form"] for row in rows] == ["n: c"] * 4 + ["n: d"]
    for row in rows[:-1]:
        assert row["student_accuracy_low"] <= row["student_accuracy"] <= row["student_accuracy_high"]
        assert 0 <= row["teacher_validation_accuracy"] <= 1
        assert row["student_auc"] is None
        assert row["num_images"] == round(row["generate.cardinality"] * row["num_members"])
        assert row["seconds"] == pytest.approx(
            sum(row[name] for name in row if name.startswith("seconds_")) - row["seconds_added"], abs=0.1
        )
        assert (made.folder / row["report"]).is_file()


def test_what_variants_share_is_computed_once_and_counted_once_as_added(finished):
    made, result, recorder = finished
    assert len(recorder.computed) == len(set(recorder.computed))
    assert sum("/adapt" in name for name in recorder.computed) == 2  # one per seed; the failing variant has none
    measured = sum(json.loads(path.read_text())["seconds"] for path in made.base.execution.store.rglob("manifest.json"))
    assert sum(row["seconds_added"] for row in result.rows if row["state"] == "complete") == pytest.approx(measured, abs=0.2)


def test_the_smaller_set_is_copied_from_the_larger_bit_for_bit(finished):
    made, _, _ = finished
    small, large = (made.folder / f"cardinality-{size}_seed-0" / "artifacts" / "generate" for size in ("0.5", "1.5"))
    num_images = SyntheticFacts.read(small).num_images
    assert CopiedImages.read(small).images == num_images
    assert CopiedImages.read_if_there(large) is None
    for name in ("index", "prompt", "seed"):
        whole = read_columns(large / "data", [name])[name]
        assert read_columns(small / "data", [name])[name].tolist() == whole[:num_images].tolist()
    assert list_shards(small / "data")


def test_a_second_call_computes_nothing(finished, plan):
    made, result, _ = finished
    recorder = Recorder()
    again = run_sweeps([plan(made.base.execution.output)], recorder)[0]
    assert recorder.computed == []
    assert again.rows == result.rows


def test_a_variant_is_a_run_of_its_own(finished):
    made, _, _ = finished
    folder = made.folder / "cardinality-0.5_seed-1"
    settings = load_settings(folder / "config.yaml")
    assert settings.execution.folder == folder
    recorder = Recorder()
    run(settings, observer=recorder)
    assert recorder.computed == ["validate"]  # the first result, which a run shows and a sweep does not


def test_an_interrupted_sweep_goes_on_and_ends_as_if_nothing_had_happened(finished, plan, tmp_path, monkeypatch):
    made, result, _ = finished
    secret = read_secret(made.base.execution.store)
    monkeypatch.setattr("tckr.engine.secret.draw_secret", lambda: secret)  # else the other store would draw other splits
    stopped = Recorder(stop_after=9)
    with pytest.raises(KeyboardInterrupt):
        run_sweeps([plan(tmp_path, ONE_SEED)], stopped)
    rest = Recorder()
    again = run_sweeps([plan(tmp_path, ONE_SEED)], rest)[0]
    assert len(stopped.computed) == 9 <= len(rest.computed)
    assert not set(stopped.computed) & set(rest.computed)
    same = [name for name in result.rows[0] if not name.startswith("seconds")]
    assert [[row.get(name) for name in same] for row in again.rows] == [
        [row.get(name) for name in same] for row in result.rows if row["seed"] == 0
    ]


def test_the_pages_show_every_variant_and_the_frontier(finished):
    made, _, _ = finished
    page, text = (made.folder / name for name in ("sweep.html", "sweep.md"))
    assert "No knee" in text.read_text() or "is the knee" in text.read_text()
    assert "4 complete, 1 failed" in text.read_text()
    assert 'href="cardinality-0.5_seed-0/report/report.html"' in page.read_text()
    assert (made.folder / "accuracy-0.svg").read_text().startswith("<svg")


def test_the_sweeps_file_reads_back_to_the_same_sweep(finished):
    made, _, _ = finished
    file = made.folder / "sweep.yaml"
    again = plan_sweep(load_settings(file, sweep=True), read_grids(load_sweep(file), str(file)))
    assert [step.fingerprint for step in steps_of([again])] == [step.fingerprint for step in steps_of([made])]
    with pytest.raises(UserError, match="tckr sweep"):
        load_settings(file)


def test_a_folder_of_a_run_or_of_other_data_is_refused(plan, tmp_path):
    made = plan(tmp_path / "run")
    Folder(made.folder, Kind.RUN).make()
    with pytest.raises(UserError, match="folder for another purpose: run, not sweep"):
        run_sweeps([made], Recorder())
    made = plan(tmp_path / "other data")
    Folder(made.folder, Kind.SWEEP).put({"sweep.yaml": text_fill("prepare: {source: digits}")})
    with pytest.raises(UserError, match="contains a sweep on digits"):
        run_sweeps([made], Recorder())


def test_a_variant_may_be_run_while_its_sweep_is_not_and_the_other_way_round(finished, plan):
    made, _, _ = finished
    output = made.base.execution.output
    with sweep_folder(made, Recorder()).held(), pytest.raises(UserError, match=f"process {os.getpid()} on .* uses"):
        run(made.variants[0].settings)
    with sweep_folder(made, Recorder()).joined(), pytest.raises(UserError, match="give another --name"):
        run_sweeps([plan(output)], Recorder())


def test_foreign_files_in_the_folder_of_a_sweep_or_a_variant_are_left_alone(plan, tmp_path):
    made = plan(tmp_path)
    for folder in (made.folder, made.variants[-1].settings.execution.folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.html").write_text("my notes")
        before = seen(tmp_path)
        with pytest.raises(UserError, match=r"contains report\.html but no \.tckr\.json"):
            run_sweeps([made], Recorder())
        assert seen(tmp_path) == before
        (folder / "report.html").unlink()
        Folder(made.folder, Kind.SWEEP).make()


def test_sweeps_that_run_together_share_steps_and_have_a_table_each(finished):
    made, _, _ = finished
    other = made.base.model_copy(update={"execution": made.base.execution.model_copy(update={"name": "other"})})
    two = [made, plan_sweep(other, [{"seed": [0], "generate.cardinality": [0.5], "distill.label_smoothing": [0.1, 0.2]}])]
    recorder = Recorder()
    first, second = run_sweeps(two, recorder)
    assert {name.split("/")[0] for name in recorder.computed} == {"other"}
    assert {name.rsplit("/")[-1] for name in recorder.computed} == {
        "distill",
        "distill.images_alone",
        "audit",
        "report",
        "validate",
    }
    assert [len(first.rows), len(second.rows)] == [5, 2]
    assert len(read_table(second.folder / "sweep.parquet")) == 2
