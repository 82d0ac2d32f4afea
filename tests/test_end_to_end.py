"""The complete product, small: from a folder of images to the report, with the embedded models and the real code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from benchmarks.attack_report import run_gains
from PIL import Image
from transformers import AutoModelForImageClassification

from tckr.config import changed, load_settings
from tckr.engine.observer import Silent
from tckr.engine.store import Store
from tckr.running import plan, run
from tckr.sharing.allowed_files import LEAVES
from tckr.sharing.copying import copy_allowed
from tests.conftest import short_memorizers
from tests.sharing.test_copying import every_byte

CLASSES = {"Rote Kreise": (200, 30, 30), "blue/squares": (30, 30, 200), "árbol verde": (20, 140, 40)}
MARKER = "zoe_winter"
TINY = [
    "audit.num_reference_runs=2",
    "audit.loss_draws=2",
    "adapt.steps=2",
    "adapt.batch_size=8",
    "generate.steps=2",
    "generate.shard_size=7",
    "teach.epochs=3",
    "distill.epochs=3",
    "generate.redraw=[4]",
    "execution.workers=2",
    "execution.threads=1",
]


class Recorder(Silent):
    """Record which steps were computed, which were already complete, and what the run's folder shows at that time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.computed: list[str] = []
        self.reused: list[str] = []
        self.folder, self.pages, self.links = folder, {}, {}

    def finished(self, step, manifest, reused) -> None:
        (self.reused if reused else self.computed).append(step.name)
        if self.folder:
            page = self.folder / "report" / "report.html"
            self.pages[step.name] = page.read_text(encoding="utf-8") if page.is_file() else ""
            self.links[step.name] = {path.name for path in self.folder.glob("artifacts/*")}


@pytest.fixture(scope="module", autouse=True)
def _short_memorizers() -> Iterator[None]:
    with short_memorizers():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Write 3 classes of 30 noisy coloured pictures of different sizes."""
    root = tmp_path_factory.mktemp("home") / MARKER
    root.mkdir()
    generator = np.random.default_rng(0)
    for name, colour in CLASSES.items():
        target = root / name.replace("/", "-")
        target.mkdir()
        for index in range(30):
            size = int(generator.integers(20, 60)), int(generator.integers(20, 60)), 3
            pixels = np.clip(np.array(colour) + generator.normal(0, 30, size), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(target / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """Run everything once; return settings, result and what was computed."""
    output = tmp_path_factory.mktemp("out")
    settings = load_settings(
        overrides=[f"prepare.source={folder}", f"execution.output={output}", *TINY, f"execution.name={MARKER}"]
    )
    recorder = Recorder(settings.execution.folder)
    return settings, run(settings, observer=recorder), recorder


def test_a_folder_becomes_a_report(finished):
    _, result, recorder = finished
    report = json.loads((result.folder / "report" / "report.json").read_text())
    page = (result.folder / "report" / "report.html").read_text(encoding="utf-8")
    assert report
    assert "Rote Kreise" in page
    assert "árbol verde" in page
    assert {"prepare", "generate", "distill", "audit", "report", "teach.1", "distill.2", "teach.null"} <= set(
        recorder.computed
    )


def test_the_first_result_is_shown_before_any_reference_run_is_done_and_counts_them_until_the_report_is_there(finished):
    _, result, recorder = finished
    order, first = recorder.computed, recorder.pages["validate"]
    alone = max(order.index(name) for name in ("adapt", "generate"))  # nothing of the audit comes before these
    assert all("." not in name for name in order[:alone])
    assert order.index("validate") < min(order.index(name) for name in ("signals.1", "signals.2"))
    assert not recorder.pages["distill"]
    assert "Audit running: 0 of 2 reference runs are done." in first
    assert "do not share this page" in first
    assert first.count('alt="synthetic Rote Kreise, ') == 8
    assert re.search(r"accuracy on \d+ validation images</td><td>\d\.\d\d \[", first)
    counted = [recorder.pages[name] for name in order if name in ("signals.1", "signals.2")]
    assert [f"Audit running: {number} of 2" in page for number, page in enumerate(counted, 1)] == [True, True]
    assert "Audit running" not in (result.folder / "report" / "report.html").read_text(encoding="utf-8")


def test_a_finished_artifact_is_linked_while_the_run_goes_on(finished):
    _, _, recorder = finished
    for name in ("prepare", "generate", "distill"):
        assert name in recorder.links[name]
    assert "audit" not in recorder.links["distill"]


def test_a_second_run_computes_nothing(finished):
    settings, _, first = finished
    recorder = Recorder()
    run(settings, observer=recorder)
    assert recorder.computed == []
    assert sorted(recorder.reused) == sorted(first.computed)


def test_the_synthetic_set_opens_as_a_hugging_face_data_set(finished, tmp_path):
    _, result, _ = finished
    opened = datasets.load_dataset(str(result.artifacts["generate"]), split="train", cache_dir=str(tmp_path))
    card = json.loads((result.artifacts["prepare"] / "card.json").read_text())
    assert len(opened) == card["num_members"]
    assert opened.features["label"].names == card["class_names"]
    assert opened[0]["image"].size == (32, 32)


def test_the_student_opens_as_a_transformers_classifier(finished):
    _, result, _ = finished
    student = AutoModelForImageClassification.from_pretrained(result.artifacts["distill"] / "model")
    assert list(student.config.label2id) == ["Rote Kreise", "blue-squares", "árbol verde"]


def test_a_changed_setting_recomputes_that_stage_and_what_follows(finished):
    settings, _, _ = finished
    other, recorder = changed(settings, {"distill.epochs": 4, "execution.name": "other"}), Recorder()
    run(other, "distill", observer=recorder)
    assert recorder.computed == ["distill"]
    store = Store(settings.execution.store)
    missing = {step.name for step in plan(other) if not store.has(step)}
    assert {name.split(".")[0] for name in missing} == {"distill", "signals", "audit", "report"}
    assert missing >= {"distill.1", "distill.2", "signals.0", "signals.null"}


def test_what_may_leave_names_no_path_user_run_prompt_or_replaced_image(finished, tmp_path):
    settings, result, _ = finished
    private = "".join((result.artifacts[stage] / "manifest.json").read_text() for stage in ("prepare", "generate"))
    captions = pq.read_table(result.artifacts["caption"] / "captions.parquet").column("caption").to_pylist()
    for stage in LEAVES:
        copy_allowed(stage, result.artifacts[stage], tmp_path / stage)
    shared = every_byte(tmp_path)
    assert MARKER in private
    assert "redraw" in private
    for word in (
        MARKER,
        str(settings.execution.output),
        'redraw"',
        "manifest.json",
        *{text for text in captions if len(text) > 9},
    ):
        assert word not in shared, word
    assert len(list(tmp_path.rglob("*.*"))) >= 7


def test_the_report_of_a_small_run_tells_no_member_and_its_exact_audit_tells_all(finished, tmp_path):
    _, result, _ = finished
    shared = list(run_gains(result.folder, result.folder / "report" / "report.json"))
    assert [one.name for one in shared] == ["curve", "rates", "classes"]
    for one in shared:
        assert one.gain.low <= 0 <= one.gain.high, one
        assert one.certain == 0
    exact = json.loads((result.folder / "report" / "report.json").read_text())
    exact["audit"] = json.loads((result.artifacts["audit"] / "audit.json").read_text())
    (tmp_path / "exact.json").write_text(json.dumps(exact))
    walked = next(run_gains(result.folder, tmp_path / "exact.json"))
    assert walked.attack.value > 0.98
    assert walked.gain.low > 0


def test_no_pickle_is_written(finished):
    settings, _, _ = finished
    suffixes = {path.suffix for path in settings.execution.store.rglob("*") if path.is_file() and path.name != "secret"}
    assert suffixes <= {".json", ".parquet", ".npy", ".safetensors", ".csv", ".html", ".md", ".jsonl", ".key"}
