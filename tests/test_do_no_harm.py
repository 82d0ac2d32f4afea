"""TCKR removes and overwrites only what it wrote: in every case that is refused, and in those that run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tckr import running
from tckr.config import load_settings
from tckr.engine.folders import Folder, Kind
from tckr.engine.observer import Silent
from tckr.errors import UserError
from tckr.running import run
from tests.cli.test_commands import call
from tests.foreign import litter, seen

TINY = [
    "audit.num_reference_runs=0",
    "adapt.steps=0",
    "generate.steps=1",
    "teach.epochs=1",
    "distill.epochs=1",
    "execution.workers=1",
    "execution.threads=1",
    "execution.device=cpu",
]


def pictures(root: Path, num_per_class: int = 24) -> Path:
    """Write two classes of noisy pictures."""
    generator = np.random.default_rng(0)
    for name, colour in {"report": (200, 30, 30), "invoice": (30, 30, 200)}.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(num_per_class):
            pixels = np.clip(np.array(colour) + generator.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory of a user who has a little of everything."""
    home = tmp_path / "home"
    for place in ("runs/photos", "X/store", "X/Sealed", "proj", "docs"):
        pictures(home / place, num_per_class=1)
    (home / "proj" / "report" / "thesis.tex").write_text("years of work")
    (home / "mine" / "report").mkdir(parents=True)
    (home / "mine" / "report" / "thesis.tex").write_text("years of work")
    (home / "other").mkdir()
    (home / "other" / "config.yaml").write_text("written: by somebody else")
    (home / "full" / "store").mkdir(parents=True)
    (home / "full" / "store" / "groceries.txt").write_text("apples")
    (home / "file").write_text("a file")
    (home / "alias").symlink_to("docs")
    (home / "nowhere").symlink_to("no such folder")
    (home / "empty").mkdir()
    (home / "linked").mkdir()
    (home / "linked" / "run").symlink_to("../empty")
    (home / "old" / "Birds").mkdir(parents=True)
    monkeypatch.chdir(home)
    return home


REFUSED = {
    "data beside the run folder": (["--data", "docs", "--output", "."], "overlap"),
    "default output, data in it": (["--data", "runs/photos"], "overlap"),
    "name of the store": (["--data", "docs", "--name", "store"], "used by TCKR itself"),
    "name from the data": (["--data", "X/store"], "used by TCKR itself"),
    "name of the sealed folder": (["--data", "X/Sealed"], "used by TCKR itself"),
    "name in capitals": (["--data", "docs", "--name", "STORE"], "used by TCKR itself"),
    "a name of a file": (["--data", "docs", "--name", "Config.yaml"], "used by TCKR itself"),
    "a folder of the user's, with a report": (
        ["--data", "digits", "--output", ".", "--name", "mine"],
        "contains report but no",
    ),
    "a foreign config.yaml": (["--data", "digits", "--output", ".", "--name", "other"], "contains config.yaml but no"),
    "a foreign store": (["--data", "digits", "--output", "full"], "contains groceries.txt but no"),
    "the store is the data": (["--data", "X/store", "--output", "X", "--name", "x"], "overlap"),
    "output in the data": (["--data", "docs", "--output", "docs/out"], "overlap"),
    "output deep in the data": (["--data", "docs", "--output", "docs/report/new/er"], "overlap"),
    "run folder around the data": (["--data", "proj/report", "--output", ".", "--name", "proj"], "overlap"),
    "data through a link": (["--data", "alias", "--output", ".", "--name", "docs"], "overlap"),
    "output through a link": (["--data", "docs", "--output", "alias/out"], "overlap"),
    "a file of the source": (["--data", "runs/photos/set.parquet", "--name", "photos"], "overlap"),
    "output is a file": (["--data", "docs", "--output", "file"], "is a file"),
    "output below a file": (["--data", "docs", "--output", "file/runs"], "is a file"),
    "output is a broken link": (["--data", "docs", "--output", "nowhere"], "broken link"),
    "run folder is a link": (["--data", "digits", "--output", "linked", "--name", "run"], "is a link"),
    "run folder is a file": (["--data", "digits", "--output", ".", "--name", "file"], "is not a folder"),
    "a way through nothing": (["--data", "digits", "--output", "new/../mine"], "does not exist"),
    "upper and lower case": (["--data", "digits", "--output", "old", "--name", "birds"], "upper and lower case"),
}


@pytest.mark.parametrize("command", [["prepare"], ["run", "--dry-run"], ["estimate"], ["sweep", "--over", "seed=0,1"]])
@pytest.mark.parametrize("case", REFUSED)
def test_a_place_that_is_not_tckrs_is_refused_with_a_sentence_and_nothing_changes(home, monkeypatch, capsys, case, command):
    arguments, expected = REFUSED[case]
    if "set.parquet" in arguments[1]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"label": [0, 1]}), home / arguments[1])
    before = seen(home)
    status, _, err = call(monkeypatch, capsys, *command, *arguments)
    assert status == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert expected in err
    assert "give" in err
    assert seen(home) == before


def test_data_in_the_working_directory_is_refused(home, monkeypatch, capsys):
    monkeypatch.chdir(home / "docs")
    before = seen(home)
    status, _, err = call(monkeypatch, capsys, "prepare", "--data", ".")
    assert status == 2
    assert "give an --output outside of the data" in err
    assert seen(home) == before


def test_a_library_call_is_refused_too(home):
    before = seen(home)
    settings = load_settings(overrides=["prepare.source=runs/photos", "execution.name=photos"])
    with pytest.raises(UserError, match="overlap"):
        run(settings, until="prepare")
    assert seen(home) == before


def test_data_and_runs_may_lie_side_by_side(home, monkeypatch, capsys):
    pictures(home / "docs")
    before = seen(home)
    status, _, _ = call(monkeypatch, capsys, "prepare", "--data", "docs", "--output", ".", "--name", "mine2", "seed=1")
    assert status == 0
    after = seen(home)
    assert {name: after.get(name) for name in before} == before
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {"mine2", "store"}


class Teller(Silent):
    """Record the messages to the user."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def warned(self, message: str) -> None:
        self.told.append(message)


@pytest.fixture(scope="module")
def littered(tmp_path_factory):
    """Run the complete pipeline among foreign files with the names of all of TCKR's own; under the most open umask."""
    root = tmp_path_factory.mktemp("littered")
    source = pictures(tmp_path_factory.mktemp("source") / "birds")
    litter(root)
    before, before_source, umask, cwd = seen(root), seen(source), os.umask(0), Path.cwd()
    os.chdir(root)
    try:
        settings = load_settings(overrides=[f"prepare.source={source}", f"execution.output={root}", *TINY])
        result = run(settings)
    finally:
        os.chdir(cwd)
        os.umask(umask)
    return root, before, settings, result, (before_source, seen(source))


def test_a_complete_run_among_foreign_files_changes_none_of_them(littered):
    root, before, _, result, (source_before, source_after) = littered
    after = seen(root)
    assert (result.folder / "report" / "report.html").is_file()
    assert {name: after.get(name) for name in before} == before
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {"run", "store"}
    assert source_before == source_after


def test_every_folder_of_a_run_is_0700_and_every_file_0600_whatever_the_umask(littered):
    root, before, _, _, _ = littered
    ours = [root / name for name in seen(root).keys() - before.keys()]
    modes = {path: path.stat().st_mode & 0o777 for path in ours if not path.is_symlink()}
    sealed = root / "store" / "sealed"
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {
        mode for path, mode in modes.items() if path.is_file() and path.suffix == ".parquet" and sealed in path.parents
    } == {0}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600, 0}
    assert len([path for path in modes if path.is_file()]) > 50


def test_foreign_files_within_a_run_and_its_store_survive_other_settings(littered):
    _, _, settings, result, _ = littered
    (result.folder / "report" / "thesis.tex").write_text("mine")
    (result.folder / "notes.txt").write_text("mine")
    (settings.execution.store / "notes.txt").write_text("mine")
    (settings.execution.store / "prepare" / "notes.txt").write_text("mine")
    (result.folder / "report" / "report.html").write_text("with my remarks")
    (result.folder / "artifacts" / "my data").symlink_to("/")
    mine = [result.folder / "report/thesis.tex", result.folder / "notes.txt", settings.execution.store / "notes.txt"]
    mine.append(settings.execution.store / "prepare" / "notes.txt")
    other, teller = settings.model_copy(update={"seed": 1}), Teller()
    run(other, until="prepare", observer=teller)
    assert [path.read_text() for path in mine] == ["mine"] * 4
    kept = result.folder / "report" / "report.kept-1.html"
    assert kept.read_text() == "with my remarks"
    assert any(str(kept) in message for message in teller.told)
    assert not (result.folder / "report" / "report.html").exists()
    assert (result.folder / "artifacts" / "my data").is_symlink()
    assert {path.name for path in (result.folder / "artifacts").iterdir()} == {"prepare", "my data"}
    run(settings)  # the first settings again: nothing is computed, the report is back
    assert (result.folder / "report" / "report.html").is_file()
    assert (result.folder / "report" / "report.json").is_file()


def test_every_command_that_writes_is_refused_among_foreign_files(littered, monkeypatch, capsys, tmp_path):
    _, _, settings, _, _ = littered
    root = tmp_path / "here"
    for name in ("store", "run", "reproduce-digits", "reproduce-digits-cardinality", "runs/audit-mine", "out"):
        litter(root / name)
    monkeypatch.chdir(root)
    members = np.arange(40) % 2 == np.arange(2)[:, None]
    np.savez(root / "mine.npz", signals=np.random.default_rng(0).normal(size=(2, 40)), members=members)
    (root / "words.json").write_text("{}")
    (root / "words.txt").symlink_to("words.json")
    before = seen(root)
    run_folder = str(settings.execution.folder)
    for command in (
        ["run", "--data", "digits", "--output", "."],
        ["demo", "--output", "."],
        ["estimate", "--data", "digits", "--output", "."],
        ["sweep", "--data", "digits", "--over", "seed=0,1", "--output", ".", "--name", "run"],
        ["sweep", "--data", "digits", "--over", "seed=0,1", "--output", "new/..", "--name", "x"],
        ["reproduce", "digits", "--output", "."],
        ["audit", "--scores", "mine.npz"],
        ["audit", "--scores", "mine.npz", "--output", "."],
        ["audit", "--scores", "mine.npz", "--output", "out/report"],
        ["report", "--data", "digits", "--output", "."],
        ["captions", run_folder, "--output", "words.json"],
        ["captions", run_folder, "--output", "words.txt", "--format", "original_order"],
        ["captions", run_folder, "--output", "out/captions.json"],
        ["captions", run_folder, "--output", "new/../words.json"],
        ["audit", "--scores", "mine.npz", "--output", "new/../out"],
    ):
        status, _, err = call(monkeypatch, capsys, *command)
        assert (status, err[:7]) == (2, "error: "), command
        assert seen(root) == before, command


@pytest.mark.parametrize("place", ["artifacts/caption", "artifacts", ".", "../store", "report"])
def test_captions_are_not_written_into_a_folder_of_tckr(monkeypatch, capsys, tmp_path, place):
    run, store = tmp_path / "runs" / "run", tmp_path / "runs" / "store"
    for folder, kind in ((run, Kind.RUN), (store, Kind.STORE)):
        Folder(folder, kind).make()
    for name in ("artifacts/caption", "report"):
        (run / name).mkdir(parents=True)
    (run / "config.yaml").write_text("{}")
    status, _, err = call(monkeypatch, capsys, "captions", str(run), "--output", str(run / place / "c.json"))
    assert status == 2
    assert "a folder of TCKR; give a file outside of it" in err


def test_a_reproduction_whose_folder_is_taken_writes_nothing(monkeypatch, capsys, tmp_path):
    (tmp_path / "o" / "reproduce-digits").mkdir(parents=True)
    (tmp_path / "o" / "reproduce-digits" / "thesis.tex").write_text("mine")
    status, _, err = call(monkeypatch, capsys, "reproduce", "digits", "--output", str(tmp_path / "o"))
    assert status == 2
    assert "contains thesis.tex but no .tckr.json" in err
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["reproduce-digits"]


def test_captions_are_written_for_their_owner_alone_and_twice_the_same_is_no_problem(
    littered, monkeypatch, capsys, tmp_path
):
    _, _, settings, _, _ = littered
    umask = os.umask(0)
    try:
        for _ in range(2):
            status, _, _ = call(
                monkeypatch, capsys, "captions", str(settings.execution.folder), "--output", f"{tmp_path}/c.json"
            )
            assert status == 0
    finally:
        os.umask(umask)
    assert (tmp_path / "c.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_clean_removes_the_environment_that_make_made_and_nothing_else(tmp_path):
    shutil.copy(Path(__file__).parents[1] / "Makefile", tmp_path)
    (tmp_path / ".venv").mkdir()
    litter(tmp_path / "runs" / "photos")
    before = seen(tmp_path)
    assert subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, check=False).returncode != 0
    assert seen(tmp_path) == before
    (tmp_path / ".venv" / ".ready").touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, check=True)
    assert seen(tmp_path) == {name: state for name, state in before.items() if name != ".venv"}


def test_a_store_may_lie_on_another_disk(home, tmp_path):
    pictures(home / "docs")
    (home / "empty" / "runs").mkdir()
    (home / "empty" / "runs" / "store").symlink_to(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    settings = load_settings(overrides=["prepare.source=docs", f"execution.output={home / 'empty' / 'runs'}"])
    result = running.run(settings, until="prepare")
    assert (result.folder / "artifacts" / "prepare" / "card.json").is_file()
    assert {path.name for path in (tmp_path / "disk").iterdir()} == {
        *(".tckr.json", "prepare", "sealed", "secret", "source_digests.json"),
    }
