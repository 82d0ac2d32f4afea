"""The command line: strict settings, clear messages, exit statuses, plans without computing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tckr.cli import main
from tckr.cli.release import split_arguments
from tckr.config import PRESETS, load_settings, settings_text
from tckr.errors import UserError
from tests.stages.prepare.pictures import write_classes


def call(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Run the command line in this process; return exit status, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["tckr", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def test_an_unknown_setting_names_the_one_that_was_meant(monkeypatch, capsys):
    status, _, err = call(monkeypatch, capsys, "demo", "generate.guidance_scal=3", "--dry-run")
    assert status == 2
    assert err.strip() == "error: unknown setting generate.guidance_scal. Did you mean generate.guidance_scale?"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run"], "give --data FOLDER"),
        (["run", "nowhere.yaml"], "no config file at nowhere.yaml"),
        (["run", "--data", "digits", "generate"], "no config file at generate"),
        (["run", "--data", "digits", "=3"], "section.setting=value"),
        (["run", "--data", "digits", "generate.cardinality=lots"], "setting generate.cardinality: found 'lots'"),
        (["run", "--data", "digits", "generate.cardinality=-1"], "greater than 0"),
        (["run", "--data", "digits", "generate=3"], "generate is a section"),
        (["run", "--data", "digits", "--until", "nowhere", "--dry-run"], "unknown stage 'nowhere'"),
        (
            ["run", "--data", "digits", "--preset", "huge"],
            "unknown preset 'huge'; expected one of embedded, demo, small_photos, dp, paper",
        ),
        (["run", "."], "a folder of images is given with --data FOLDER"),
        (["demo", "runs/demo"], "tckr demo takes only settings"),
        (["run", "--data", "digits", "generate.redraw=[" + "1," * 300 + "x]"], "setting generate.redraw"),
        (["run", "--data", "digits", "preset=paper"], "choose a preset with --preset NAME"),
        (["run", "--data", "digits", "--output", "here", "execution.output=there"], "remove one of them"),
        (["run", "--data", "no/such/folder", "--dry-run"], "no/such/folder"),
        (["status", "no/such/run"], "is not a run folder"),
    ],
)
def test_a_problem_the_user_can_fix_is_one_message_with_status_2(monkeypatch, capsys, tmp_path, arguments, expected):
    monkeypatch.chdir(tmp_path)
    status, _, err = call(monkeypatch, capsys, *arguments)
    assert status == 2
    assert err.startswith("error: ")
    assert expected in err
    assert "Traceback" not in err


@pytest.mark.parametrize("text", ["name: 1\nname: 2", "adapt:\n  {name: 1, name: 2}"])
def test_a_key_that_a_file_gives_twice_is_refused_with_its_line(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"(?s)'name' is given twice.*line 2, column"):
        load_settings(tmp_path / "mine.yaml")


def test_a_setting_that_gives_a_key_twice_is_refused():
    with pytest.raises(UserError, match="'steps' is given twice"):
        load_settings(overrides=["adapt={steps: 1, steps: 2}"])


def test_a_section_may_start_from_another_one(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "teach: &one {epochs: 3}\ndistill: {<<: *one, <<: *one, epochs: 4}", encoding="utf-8"
    )
    settings = load_settings(tmp_path / "mine.yaml")
    assert (settings.teach.epochs, settings.distill.epochs) == (3, 4)


def test_a_preset_that_differs_from_that_of_the_file_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("preset: demo", encoding="utf-8")
    with pytest.raises(UserError, match=r"found --preset paper, but .*mine.yaml starts from preset demo"):
        load_settings(tmp_path / "mine.yaml", "paper")


@pytest.mark.parametrize("command", [["run"], ["status"], ["captions", "--output", "captions.json"]])
def test_the_folder_of_several_runs_is_no_run_folder(monkeypatch, capsys, tmp_path, command):
    (tmp_path / "sweep" / "seed=1").mkdir(parents=True)
    (tmp_path / "sweep" / "seed=1" / "config.yaml").write_text(settings_text(load_settings(preset="demo")))
    status, _, err = call(monkeypatch, capsys, *command, str(tmp_path / "sweep"))
    assert status == 2
    assert "it contains runs, e.g." in err


def test_a_run_folder_takes_no_preset(monkeypatch, capsys, tmp_path):
    (tmp_path / "config.yaml").write_text(settings_text(load_settings(preset="demo")))
    status, _, err = call(monkeypatch, capsys, "run", str(tmp_path), "--preset", "paper", "--dry-run")
    assert status == 2
    assert "remove --preset" in err


def test_a_preset_of_the_command_line_is_that_of_a_file_without_one(tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 3", encoding="utf-8")
    settings = load_settings(tmp_path / "mine.yaml", "demo")
    assert (settings.seed, settings.prepare.source) == (3, "digits")


def test_a_dry_run_lists_the_steps_and_writes_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, _ = call(monkeypatch, capsys, "demo", "--dry-run", "audit.num_reference_runs=2")
    assert status == 0
    assert "0 of 31 steps are complete" in out
    assert list(tmp_path.iterdir()) == []


def test_a_run_stops_at_the_named_stage_and_status_shows_it(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, _ = call(monkeypatch, capsys, "prepare", "--data", "digits")
    assert status == 0
    assert (tmp_path / "runs/digits/artifacts/prepare/card.json").is_file()
    status, out, _ = call(monkeypatch, capsys, "status")
    assert status == 0
    assert "complete" in out
    assert "missing" in out
    status, out, err = call(monkeypatch, capsys, "run", "runs/digits", "--until", "prepare")
    assert "already complete" in err
    assert out.split() == ["artifacts", str(tmp_path / "runs/digits/artifacts")]
    assert "outdated" not in call(monkeypatch, capsys, "status")[1]
    assert "outdated  prepare: computed before" in call(monkeypatch, capsys, "run", "runs/digits", "seed=5", "--dry-run")[1]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_saved_config_reads_back_to_the_same_settings(tmp_path, preset):
    settings = load_settings(preset=preset, overrides=["seed=3", "execution.name=x"])
    (tmp_path / "config.yaml").write_text(settings_text(settings))
    assert load_settings(tmp_path / "config.yaml") == settings
    assert Path(settings.execution.folder) == Path("runs/x")


def saved(folder: Path, source: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"prepare: {{source: '{source}'}}\nexecution: {{output: elsewhere, name: other}}")
    return folder


def test_status_takes_place_and_name_from_the_folder_of_the_newest_run_and_names_the_others(monkeypatch, capsys, tmp_path):
    saved(tmp_path / "a", "/no/such/folder")
    saved(tmp_path / "b", "digits")
    os.utime(tmp_path / "a" / "config.yaml", (1, 1))
    status, out, err = call(monkeypatch, capsys, "status", "--output", str(tmp_path))
    assert status == 0
    assert f"{tmp_path / 'b'}(digits)" in "".join(out.split())  # a long path is broken into lines
    assert "elsewhere" not in out
    assert err.splitlines() == [
        f"{tmp_path / 'b'}, the newest of 2 runs",
        f"other runs, newest first: {tmp_path / 'a'}",
    ]


@pytest.mark.parametrize("command", [["report"], ["status"], ["release", "--to", "out", "--license", "other"]])
def test_a_command_without_a_run_takes_the_newest(monkeypatch, capsys, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        saved(tmp_path / "runs" / name, "digits")
    os.utime(tmp_path / "runs" / "old" / "config.yaml", (1, 1))
    _, out, err = call(monkeypatch, capsys, *command)
    assert err.startswith("runs/new, the newest of 2 runs\n")
    assert "old" not in out
    (tmp_path / "runs" / "old" / "log.jsonl").touch()  # somebody worked in it
    os.utime(tmp_path / "runs" / "new" / "config.yaml", (2, 2))
    assert "runs/old, the newest" in call(monkeypatch, capsys, *command)[2]


@pytest.mark.parametrize("command", [["status"], ["report"], ["audit"], ["release", "--to", "out"]])
def test_without_any_run_a_command_says_how_to_make_one(monkeypatch, capsys, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    status, _, err = call(monkeypatch, capsys, *command)
    assert status == 2
    assert err.startswith("error: no run below runs; start one with `tckr demo`")


def test_a_run_is_found_by_its_name(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "runs" / "mine", "digits")
    assert "mine is not finished" in call(monkeypatch, capsys, "report", "--name", "mine")[2]
    status, _, err = call(monkeypatch, capsys, "audit", "--name", "yours", "--dry-run")
    assert (status, err) == (2, "error: no run called 'yours' below runs; found 'mine'\n")


def test_report_computes_the_report_alone(monkeypatch, capsys, tmp_path):
    folder = saved(tmp_path / "mine", "digits")
    status, _, err = call(monkeypatch, capsys, "report", str(folder))
    assert status == 2
    assert re.search(
        r"mine is not finished for its settings: \d+ of \d+ steps are missing, the first is prepare; compute", err
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_parts_of_a_release_may_stand_among_its_arguments(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "runs" / "labels", "digits")
    assert split_arguments(["labels", "student"]) == (Path("runs/labels"), ["labels", "student"])
    assert split_arguments(["runs/labels", "student"]) == (Path("runs/labels"), ["student"])
    with pytest.raises(UserError, match="give one run"):
        split_arguments(["runs/labels", "elsewhere"])


def test_the_version_is_that_of_the_package_however_it_is_called(monkeypatch, capsys):
    expected = f"tckr {metadata.version('tckr')}\n"
    assert call(monkeypatch, capsys, "--version") == (0, expected, "")
    ran = subprocess.run([sys.executable, "-m", "tckr", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == expected


@pytest.mark.parametrize(("typed", "meant"), [("adpt", "adapt"), ("statsu", "status"), ("relase", "release")])
def test_a_misspelt_command_names_the_one_that_was_meant(monkeypatch, capsys, typed, meant):
    status, _, err = call(monkeypatch, capsys, typed)
    assert status == 2
    assert f"Did you mean '{meant}'" in err


def test_a_misspelt_option_names_the_one_that_was_meant(monkeypatch, capsys):
    status, _, err = call(monkeypatch, capsys, "run", "--dta", "digits")
    assert status == 2
    assert "--data" in err


@pytest.mark.parametrize("option", ["--cardinality", "--generate.cardinality=3"])
def test_a_setting_given_as_an_option_shows_how_settings_are_given(monkeypatch, capsys, option):
    status, _, err = call(monkeypatch, capsys, "run", "--data", "digits", option)
    assert status == 2
    assert "written without dashes, as section.setting=value: generate.cardinality=..." in err


@pytest.mark.parametrize("words", ["run adapt.mo", "audit adapt.mo", "demo adapt.mo"])
def test_a_shell_completes_settings(monkeypatch, capsys, words):
    offered = completed(monkeypatch, capsys, words)
    assert "adapt.model=" in offered
    assert all(name.startswith("adapt.mo") for name in offered)


def test_a_shell_completes_commands_presets_and_stages(monkeypatch, capsys):
    assert completed(monkeypatch, capsys, "rel") == ["release"]
    assert completed(monkeypatch, capsys, "run --preset pa") == ["paper"]
    assert completed(monkeypatch, capsys, "run --until di") == ["distill"]


def completed(monkeypatch, capsys, words: str) -> list[str]:
    asked = {"_TCKR_COMPLETE": "complete_bash", "COMP_WORDS": f"tckr {words}", "COMP_CWORD": str(len(words.split()))}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    return call(monkeypatch, capsys)[1].split()


def test_help_says_every_default(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = call(monkeypatch, capsys, "run", "--help")
    for default in ("report", "CONFIG's, or embedded", "runs", "from CONFIG, or the last part of --data"):
        assert f"[default: {default}]" in out or f"[default: ({default})]" in out


def test_the_settings_of_openmp_are_made_before_torch_unless_the_user_has_his_own(tmp_path):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    program = "import os; from tckr.cli import main; import sys; sys.argv = ['tckr', '--version']\n" + (
        f"try: main()\nexcept SystemExit: print(*map(os.environ.get, {names}), 'torch' in sys.modules)"
    )
    own = {name: value for name, value in os.environ.items() if name not in names}
    for given, expected in (
        ({}, "PASSIVE 2000 None False"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None None False"),
        ({"GOMP_SPINCOUNT": "7"}, "None 7 None False"),
        ({"KMP_BLOCKTIME": "5"}, "None None 5 False"),
    ):
        ran = subprocess.run([sys.executable, "-c", program], env=own | given, capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines()[-1] == expected


def test_with_json_standard_output_holds_json_alone(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(monkeypatch, capsys, "run", "--data", "digits", "--until", "prepare", "--json")
    folder = tmp_path / "runs" / "digits"
    found = json.loads(out)
    assert status == 0
    assert found["folder"] == str(folder)
    assert Path(found["artifacts"]["prepare"]).samefile(folder / "artifacts" / "prepare")
    assert "ok  prepare" in err
    found = json.loads(call(monkeypatch, capsys, "status", "--json")[1])
    assert (found["folder"], found["complete"], found["damaged"]) == (str(folder), 1, {})
    assert found["steps"][0]["name"] == "prepare"
    assert found["steps"][0]["state"] == "complete"
    assert found["steps"][-1] == {
        "name": "report",
        "state": "missing",
        "complete": 0,
        "total": 1,
        "seconds": None,
        "peak_memory_mb": None,
        "artifact": None,
    }


def test_an_existing_report_opens_even_when_its_data_is_gone(monkeypatch, capsys, tmp_path):
    folder = saved(tmp_path / "a", "/no/such/folder")
    page = folder / "report" / "report.html"
    page.parent.mkdir()
    page.touch()
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    status, _, err = call(monkeypatch, capsys, "report", str(folder), "--open")
    assert status == 0
    assert "cannot be updated" in err
    assert opened == [page.as_uri()]


def test_brackets_in_a_path_are_shown_as_they_are(monkeypatch, capsys, tmp_path):
    status, out, _ = call(
        monkeypatch, capsys, "run", "--data", "digits", "--output", str(tmp_path / "[" / "x]"), "--dry-run"
    )
    assert status == 0
    assert "[/x]" in out.replace("\n", "")


def test_a_problem_of_the_disk_is_one_line_with_status_2(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = call(monkeypatch, capsys, "run", "--data", "digits", "--output", str(tmp_path / "file"))
    assert status == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_an_interrupt_says_that_the_same_command_continues(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tckr.cli.status.show_plan", interrupted)
    status, _, err = call(monkeypatch, capsys, "demo", "--dry-run")
    assert status == 130
    assert "the same command continues" in err


def test_an_unknown_option_keeps_its_message_and_status(monkeypatch, capsys):
    status, _, err = call(monkeypatch, capsys, "run", "--nowhere")
    assert status == 2
    assert "No such option" in err


def test_a_value_with_a_colon_is_text_unless_it_has_braces():
    settings = load_settings(overrides=["adapt.prompt_form=n: c", "adapt.descriptions={a: x}"])
    assert (settings.adapt.prompt_form, settings.adapt.descriptions) == ("n: c", {"a": "x"})


def test_how_the_data_is_understood_is_printed_when_it_is_prepared_and_at_each_run_after(monkeypatch, capsys, tmp_path):
    write_classes(tmp_path / "data", {"cat": 9, "dog": 9})
    arguments = ("prepare", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "runs"))
    for _ in range(2):
        status, _, err = call(monkeypatch, capsys, *arguments)
        assert status == 0
        assert err.count("understood as class folders") == err.count("2 classes: cat 9, dog 9") == 1
