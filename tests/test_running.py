"""A run's folder shows what is complete for its settings, belongs to one data source, and may be moved."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tckr import running
from tckr.cli.captions import captions
from tckr.cli.settings import settings_from
from tckr.cli.status import _print_work
from tckr.config import load_settings, run_name
from tckr.engine.observer import Silent
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.process import worker_context
from tests.engine.fakes import FakeConfig, step
from tests.engine.processes import start_process
from tests.engine.runs_at_once import make_runs, steps
from tests.tiny_generators import build_family


@pytest.fixture
def fake(monkeypatch):
    """Replace the pipeline by three small steps; the value is a setting of the last."""

    def steps(value: int):
        first = step("prepare")
        second = step("generate", source=first)
        return [first, second, step("report", FakeConfig(value=value), source=second)]

    def use(value: int) -> None:
        monkeypatch.setattr(running, "pipeline", lambda config, secret: steps(value))

    monkeypatch.setattr(running, "REPORT_FILES", ("sum.txt",))
    use(1)
    return use


def settings(tmp_path: Path, *overrides: str):
    return load_settings(overrides=[f"execution.output={tmp_path}", "execution.device=cpu", *overrides])


def links(folder: Path) -> set[str]:
    return {path.name for path in (folder / "artifacts").iterdir()}


def test_a_partial_command_keeps_the_links_to_what_is_complete(fake, tmp_path):
    folder = running.run(settings(tmp_path)).folder
    running.run(settings(tmp_path), until="prepare")
    assert links(folder) == {"prepare", "generate", "report"}
    assert (folder / "report").is_dir()


def test_a_report_that_was_changed_is_refused_and_stops_nothing_else(fake, tmp_path):
    folder = running.run(settings(tmp_path)).folder
    for file in (folder / "artifacts" / "report").resolve().iterdir():
        if file.name != "manifest.json":
            file.unlink()
    running.run(settings(tmp_path), until="generate")
    assert not (folder / "report").exists()
    with pytest.raises(UserError, match=r"is missing; expected .* Restore the file, or delete"):
        running.run(settings(tmp_path))


def test_a_report_of_other_settings_is_removed(fake, tmp_path):
    folder = running.run(settings(tmp_path)).folder
    fake(2)
    running.run(settings(tmp_path), until="generate")
    assert links(folder) == {"prepare", "generate"}
    assert not (folder / "report").exists()


def test_a_copy_of_a_run_folder_without_its_links_is_refused(fake, tmp_path):
    folder = running.run(settings(tmp_path)).folder
    copy = shutil.copytree(folder, tmp_path / "copy", symlinks=False)
    with pytest.raises(UserError, match="copy of a run"):
        running.run(settings(tmp_path, f"execution.name={copy.name}"))


def test_a_folder_with_a_run_on_other_data_is_refused(fake, tmp_path):
    for side in "ab":
        (tmp_path / side / "train").mkdir(parents=True)
    running.run(settings(tmp_path, f"prepare.source={tmp_path / 'a/train'}", "execution.name=train"))
    with pytest.raises(UserError, match="give another --name"):
        running.run(settings(tmp_path, f"prepare.source={tmp_path / 'b/train'}", "execution.name=train"))


@pytest.mark.parametrize("seeds", [(0, 1), (0, 0)])
def test_of_two_processes_in_one_run_folder_one_is_refused_or_comes_after_the_other(tmp_path, seeds):
    context, num_rounds = worker_context(), 10
    meet, outcomes = context.Barrier(2), context.Queue()
    both = [start_process(make_runs, tmp_path, seed, num_rounds, meet, outcomes) for seed in seeds]
    ended = [outcomes.get(timeout=600) for _ in range(2 * num_rounds)]
    for process in both:
        process.join()
    refusals = [why for _, _, why in ended if why]
    assert all(re.match(r"(process \d+ on .+|another process) uses .*run\. ", why) for why in refusals), refusals
    for number in range(num_rounds):
        done = [seed for place, seed, why in ended if place == number and not why]
        folder = tmp_path / str(number) / "run"
        saved = load_settings(folder / "config.yaml").seed
        assert saved in done
        for one in steps(saved):
            assert (folder / "artifacts" / one.name).readlink().name == one.fingerprint[:20]
        report = Store(tmp_path / str(number) / "store").folder(steps(saved)[-1])
        assert (folder / "report" / "sum.txt").read_text() == (report / "sum.txt").read_text()


def test_a_local_source_is_kept_as_an_absolute_path(monkeypatch, tmp_path):
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_settings(overrides=["prepare.source=pictures"]).prepare.source == str(tmp_path / "pictures")
    assert load_settings(overrides=["prepare.source=owner/name"]).prepare.source == "owner/name"


@pytest.mark.parametrize(
    "setting",
    ["caption.model", "adapt.model", "teach.model", "distill.model", "audit.fidelity_model", "generate.few_step_adapter"],
)
def test_a_local_model_is_kept_as_an_absolute_path(monkeypatch, tmp_path, setting):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    section, name = setting.split(".")
    names = {
        "model": str(tmp_path / "model"),
        "owner/name": "owner/name",
        "~no such user/x": "~no such user/x",
        "x" * 300: "x" * 300,
    }
    for given, kept in names.items():
        assert getattr(getattr(load_settings(overrides=[f"{setting}={given}"]), section), name) == kept
    assert running.plan(load_settings(overrides=["prepare.source=digits", f"{setting}={'x' * 300}"]))  # no name breaks it
    others = load_settings(overrides=["teach.other_models=[model, owner/name]", "teach.num_teachers=3"]).teach.other_models
    assert others == [str(tmp_path / "model"), "owner/name"]


def test_captions_of_what_is_no_run_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not a run folder"):
        captions(tmp_path / "nowhere", tmp_path / "captions.json")


def test_a_run_without_a_name_is_called_after_its_config_file(tmp_path):
    file = tmp_path / "my birds.yaml"
    file.write_text("seed: 3")
    assert load_settings(file).execution.name == "my-birds" == run_name("my birds")
    file.write_text("execution: {name: given}")
    assert load_settings(file).execution.name == "given"


@pytest.mark.parametrize("value", [".inf", ".nan"])
def test_numbers_without_an_end_are_refused(value):
    with pytest.raises(UserError, match=r"generate\.cardinality"):
        load_settings(overrides=[f"generate.cardinality={value}"])


def test_an_empty_config_is_an_error_and_no_run_on_the_digits(tmp_path):
    (tmp_path / "mine.yaml").write_text("# prepare: ...\n")
    with pytest.raises(UserError, match="is empty"):
        load_settings(tmp_path / "mine.yaml")


@pytest.mark.parametrize("data", [".", "../birds", "./beaks/.."])
def test_a_run_is_named_after_the_folder_that_dots_stand_for(data, tmp_path, monkeypatch):
    (tmp_path / "birds" / "beaks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "birds")
    assert settings_from(None, data, "embedded", None, None).execution.name == "birds"


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["adapt.min_snr_gamma=5"], "adapt.min_snr_gamma=null"),
        (["generate.solver=lcm"], "no solver 'lcm'"),
        (["adapt.lora={tmp}/missing.safetensors"], "missing.safetensors does not exist"),
        (["generate.few_step_adapter=missing.safetensors"], "missing.safetensors does not exist"),
        (["caption.model={tmp}/missing"], "there is no folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(tmp_path, overrides, problem):
    model = build_family("sd3", tmp_path / "sd3")
    overrides = [text.format(tmp=tmp_path) for text in overrides]
    with pytest.raises(UserError, match=problem):
        running.run(settings(tmp_path / "runs", f"adapt.model={model}", *overrides))
    assert not (tmp_path / "runs").exists()


def test_an_error_about_several_settings_does_not_print_all_settings(tmp_path):
    with pytest.raises(UserError, match=r"^setting adapt: set either adapt\.steps or adapt\.epochs"):
        settings(tmp_path, "adapt.epochs=2")
    with pytest.raises(UserError, match=r"found \[0\.5, 0\.2\]; expected 0 <= start < stop"):
        settings(tmp_path, "generate.guidance_interval=[0.5,0.2]")


def test_the_progress_of_a_run_can_be_read_while_it_runs(fake, tmp_path, capsys):
    chosen, seen = settings(tmp_path), []

    class Asking(Silent):
        def finished(self, step, manifest, reused) -> None:
            if step.name == "prepare":
                _print_work(chosen.execution.folder)
                seen.append(capsys.readouterr().out)

    running.run(chosen, observer=Asking())
    (said,) = seen
    assert f"at work  process {os.getpid()} on " in said
    assert "stage 2 of 3 (generate), 1 of 3 steps, " in said
    assert "not known yet (0 s ago)" in said
    _print_work(chosen.execution.folder)
    assert not capsys.readouterr().out
