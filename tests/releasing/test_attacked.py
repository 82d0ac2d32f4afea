"""Membership stays secret: two releases of one store and the report, attacked together (benchmarks/attack_draws.py)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from benchmarks.attack_draws import Shared, attack_run

from tckr.config import changed
from tckr.releasing.releasing import release
from tckr.releasing.request import PARTS
from tckr.releasing.run import run_settings
from tckr.running import run
from tests.releasing.conftest import SECRET
from tests.test_draws import tells_nothing

ALL = {"license": "mit", "what": PARTS, "accept_risk": "a test", "by": "somebody"}
NUM_GUESSES = 20


@pytest.fixture(scope="module")
def released(finished, tmp_path_factory) -> list[Path]:
    """Release the run, and another one of the same store with a Student of its own."""
    root = tmp_path_factory.mktemp("attacked")
    other = run(changed(run_settings(finished.folder), {"distill.epochs": 2, "execution.name": "other"}))
    return [
        release(finished.folder, to=root / "one", **ALL).folder,
        release(other.folder, to=root / "two", format="imagefolder", **ALL).folder,
    ]


def read_released(folders: Iterable[Path]) -> Shared:
    """Return all numbers and digests in the text and tables of some releases, and the card in their reports."""
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    texts = [path.read_text() for path in files if path.suffix in ("", ".md", ".json", ".html", ".csv")]
    tables = [pq.ParquetFile(path) for path in files if path.suffix == ".parquet"]
    texts += [str([table.schema_arrow.metadata, table.read(["label"]).to_pylist()]) for table in tables]
    written = " ".join(texts)
    numbers = {int(text) for text in re.findall(r"(?<![\w.-])\d{1,80}(?![\w.])", written)}
    card = json.loads(next(path for path in files if path.name == "report.json").read_text())["data"]
    return Shared(card=card, numbers=sorted(numbers)[:5000], digests=set(re.findall(r"\b[0-9a-f]{16,64}\b", written)))


def test_two_releases_and_their_reports_say_nothing_about_membership(finished, released, source):
    shared = read_released(released)
    assert len(shared.digests) > 30, "every digest of SHA256SUMS is tried"
    found = attack_run(finished.folder, str(source), shared, NUM_GUESSES)
    assert set(found) == {"all", "most", "single", "insider", "split", "fingerprint", "settings"}
    for name, estimate in found.items():
        assert tells_nothing(estimate), (name, estimate)


def test_with_the_secret_the_same_attack_succeeds(finished, released, source):
    shared = replace(read_released(released), numbers=[], digests=set())  # what the secret gives is tried first
    found = attack_run(finished.folder, str(source), shared, NUM_GUESSES, SECRET)
    assert found["all"].value == found["insider"].value == 1


def test_two_releases_of_one_set_hold_the_same_pictures_in_the_same_order(released):
    rows = pq.read_table(next((released[0] / "data").iterdir())).column("image").to_pylist()
    pictures = sorted((released[1] / "train").rglob("*.png"), key=lambda path: path.name)
    assert [row["bytes"] for row in rows] == [path.read_bytes() for path in pictures]
