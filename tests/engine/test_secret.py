"""The secret of a store is generated once, readable only by its owner, when something is computed; it is never replaced."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tckr.engine.secret import NUM_BYTES, read_secret, with_secret
from tckr.errors import UserError


def used(store: Path, *, begins: bool = True) -> bytes:
    """Return the secret that a plan is made with."""
    return with_secret(store, lambda secret: secret, begins=begins)


def test_it_is_generated_once_and_stays(tmp_path: Path) -> None:
    secret = used(tmp_path / "runs" / "store")
    assert len(secret) == NUM_BYTES
    assert used(tmp_path / "runs" / "store") == used(tmp_path / "runs" / "store", begins=False) == secret
    assert {path.name for path in (tmp_path / "runs" / "store").iterdir()} == {".tckr.json", "secret"}


def test_every_store_has_another(tmp_path: Path) -> None:
    assert len({used(tmp_path / str(number)) for number in range(5)}) == 5


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    used(tmp_path)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_plan_that_is_only_shown_writes_nothing_and_shows_no_artifact_that_could_be_there(tmp_path: Path) -> None:
    assert used(tmp_path / "store", begins=False) != used(tmp_path / "store", begins=False)
    assert not (tmp_path / "store").exists()


def test_a_plan_that_does_not_hold_leaves_no_store(tmp_path: Path) -> None:
    def plan(secret: bytes) -> None:
        raise UserError("no such data")

    with pytest.raises(UserError, match="no such data"):
        with_secret(tmp_path / "store", plan, begins=True)
    assert not (tmp_path / "store").exists()


def test_runs_that_begin_together_have_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: used(tmp_path / "store"), range(64)))
    assert set(found) == {read_secret(tmp_path / "store")}
    assert {path.name for path in (tmp_path / "store").iterdir()} == {".tckr.json", "secret"}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "0 bytes"),
        (b"ab" * 31, "62 bytes"),
        (b"ab" * 33, "66 bytes"),
        (b"xy" * 32, "64 bytes"),
        (bytes(64), "64 bytes"),
    ],
)
@pytest.mark.parametrize("begins", [True, False])
def test_a_damaged_one_is_refused_and_kept(tmp_path: Path, content: bytes, found: str, begins: bool) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(
        UserError, match=f"damaged: found {found}, expected 64 .*all random choices .*Restore it from a backup"
    ):
        used(tmp_path, begins=begins)
    assert (tmp_path / "secret").read_bytes() == content


def test_one_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    with pytest.raises(UserError, match=r"cannot be read: .*Restore it from a backup"):
        used(tmp_path)
