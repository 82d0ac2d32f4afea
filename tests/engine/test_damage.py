"""An artifact that is not what was written is named, with what to do, before anything reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tckr.engine import contents
from tckr.engine.store import Store
from tckr.errors import UserError
from tests.engine.fakes import FakeConfig, step
from tests.engine.test_runner import chain, journal, runner
from tests.engine.test_seal import chain as sealing_chain

AGAIN = (
    r"(Restore the file, or delete \S+; the same command then computes it again|Move it elsewhere, then "
    r"the same command continues)"
)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewrite(change: Callable[[dict], object]) -> Callable[[Path], object]:
    """Return a damage that changes the manifest and writes it as JSON again."""

    def apply(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return apply


def replace_by_folder(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda folder: flip_a_bit(folder / "sum.txt"), r"sum\.txt has the right size but different content"),
    "zeros": (lambda folder: (folder / "sum.txt").write_bytes(b"\0"), r"sum\.txt has the right size but different content"),
    "cut off": (lambda folder: (folder / "sum.txt").write_bytes(b""), r"sum\.txt has 0 bytes; expected 1 bytes"),
    "missing": (lambda folder: (folder / "sum.txt").unlink(), r"sum\.txt is missing"),
    "added": (lambda folder: (folder / "part-9.parquet").touch(), r"part-9\.parquet was added to the artifact"),
    "added below": (lambda folder: (folder / "a").mkdir() or (folder / "a" / "b").touch(), r"a/b was added to the artifact"),
    "a folder for a file": (
        lambda folder: (folder / "sum.txt").unlink() or (folder / "sum.txt").mkdir(),
        r"sum\.txt is missing",
    ),
    "no manifest in it": (lambda folder: (folder / "manifest.json").write_text(""), r"manifest\.json is no longer readable"),
    "half a manifest": (lambda folder: cut(folder / "manifest.json"), r"manifest\.json is no longer readable"),
    "no text": (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), r"manifest\.json is no longer readable"),
    "another JSON": (lambda folder: (folder / "manifest.json").write_text("[1]"), r"manifest\.json is not a manifest"),
    "other seconds": (
        rewrite(lambda manifest: manifest.update(seconds=9)),
        r"manifest\.json was changed "
        r"after it was written",
    ),
    "other digests": (
        rewrite(lambda manifest: manifest.update(digests={})),
        r"manifest\.json was changed after it was written",
    ),
    "nothing sealed": (rewrite(lambda manifest: manifest.pop("sealed")), r"manifest\.json is not a manifest any more"),
    "brackets": (
        lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
        r"manifest\.json is no longer readable",
    ),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), r"manifest\.json is missing"),
    "a folder as manifest": (replace_by_folder, r"manifest\.json is missing"),
    "a digest less": (
        rewrite(lambda manifest: manifest.pop("manifest_digest")),
        r"manifest\.json was "
        r"changed after it was written",
    ),
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("name", DAMAGES)
def test_every_changed_file_is_reported_and_computed_again_when_deleted(tmp_path, name):
    damage, said = DAMAGES[name]
    steps = chain(tmp_path)
    runner(tmp_path).run(steps)
    folder, before = Store(tmp_path / "store").folder(steps[1]), journal(tmp_path)
    damage(folder)
    with pytest.raises(UserError, match=rf"{said}.*{AGAIN}"):
        runner(tmp_path).run(steps)
    assert journal(tmp_path) == before
    shutil.rmtree(folder)
    runner(tmp_path).run(steps)
    assert Store(tmp_path / "store").damage(steps[1]) == ""


def test_two_exchanged_artifacts_are_reported(tmp_path):
    steps, store = chain(tmp_path), Store(tmp_path / "store")
    other = step("other", FakeConfig(value=7), stage=steps[1].stage, source=steps[0])
    runner(tmp_path).run([*steps, other])
    places = store.folder(steps[1]), store.folder(other)
    places[0].rename(tmp_path / "aside")
    places[1].rename(places[0])
    (tmp_path / "aside").rename(places[1])
    with pytest.raises(UserError, match=r"belongs to another artifact, of step 'other'"):
        runner(tmp_path).run(steps)


def test_a_file_that_came_from_another_artifact_is_reported(tmp_path):
    steps, store = chain(tmp_path), Store(tmp_path / "store")
    other = step("other", FakeConfig(value=7), stage=steps[1].stage, source=steps[0])
    runner(tmp_path).run([*steps, other])
    shutil.copy(store.folder(other) / "sum.txt", store.folder(steps[1]))
    assert "different content" in store.damage(steps[1])


def test_what_desktops_leave_in_folders_is_no_damage(tmp_path):
    steps = chain(tmp_path)
    runner(tmp_path).run(steps)
    (Store(tmp_path / "store").folder(steps[1]) / ".DS_Store").touch()
    runner(tmp_path).run(steps)


def test_damage_that_occurs_during_a_run_is_reported_by_the_step_that_reads_it(tmp_path):
    first = step("first")
    runner(tmp_path).run([first])
    spoiler = replace(step("spoil", FakeConfig(journal=str(Store(tmp_path / "store").folder(first) / "sum.txt"))), version=2)
    with pytest.raises(UserError, match=r"sum\.txt has \d+ bytes"):
        runner(tmp_path).run([spoiler, step("reader", source=first)])


def test_a_damaged_donor_is_not_copied_from(tmp_path, monkeypatch):
    donor = step("donor.1", stage="leaf", run=1)
    runner(tmp_path).run([donor])
    flip_a_bit(Store(tmp_path / "store").folder(donor) / "sum.txt")
    seen = []
    monkeypatch.setattr(
        "tckr.engine.runner.load_function", lambda path: lambda config, context: seen.append(list(context.donors))
    )
    runner(tmp_path).run([replace(step("leaf.2", stage="leaf", run=2), donors=[donor])])
    assert seen == [[]]


def as_before_digests(manifest: dict) -> None:
    del manifest["digests"], manifest["manifest_digest"]


def test_a_store_from_before_digests_goes_on_and_is_checked_for_sizes(tmp_path):
    steps, store = chain(tmp_path), Store(tmp_path / "store")
    runner(tmp_path).run(steps[:2])
    for one in steps[:2]:
        rewrite(as_before_digests)(store.folder(one))
    before = journal(tmp_path)
    runner(tmp_path).run(steps)
    assert journal(tmp_path) == before + 2
    (store.folder(steps[0]) / "sum.txt").write_text("12345")
    with pytest.raises(UserError, match="has 5 bytes; expected 1 bytes"):
        runner(tmp_path).run(steps)


def test_every_file_has_a_digest_but_those_that_are_sealed_which_have_their_own(tmp_path):
    steps = sealing_chain(tmp_path)
    runner(tmp_path).run(steps)
    store = Store(tmp_path / "store")
    manifest = store.manifest(steps[0])
    assert set(manifest["files"]) == {"hidden/secret.txt", "sum.txt"}
    assert set(manifest["digests"]) == {"sum.txt"}
    assert [store.damage(one) for one in steps] == ["", "", ""]


def test_a_file_is_read_once_in_a_process_and_again_when_it_changes(tmp_path, monkeypatch):
    read, original = [], contents._read_digest
    monkeypatch.setattr(contents, "_read_digest", lambda path: (read.append(path), original(path))[1])
    path = tmp_path / "file"
    path.write_bytes(b"0" * 10)
    digests = [contents.file_digest(path) for _ in range(3)]
    path.write_bytes(b"1" * 10)
    assert contents.file_digest(path) not in digests
    assert len(read) == 2
