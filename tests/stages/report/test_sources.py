"""No kind of data source shows its path, a part of it, or the user; only a set that was declared public is public."""

from __future__ import annotations

import re
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tckr.artifacts.data_card import DataCard
from tckr.data.sources import SourceKind, source_kind
from tckr.stages.report.shared import shareable_card
from tests.stages.report.conftest import SMALL, make_report
from tests.stages.report.sample import Sample

PARTS = ("zoe_winter", "ward_7", "gliomas")
"""User, folder and last name of every path; no word of the report."""


def folder(path: Path) -> Path:
    (path / "a").mkdir(parents=True)
    (path / "a" / "1.png").write_bytes(b"")
    return path


def beside(name: str):
    def make(path: Path) -> Path:
        folder(path)
        (path / name).write_bytes(b"")
        return path

    return make


def arrow(path: Path) -> Path:
    datasets.Dataset.from_dict({"label": [0, 1]}).save_to_disk(path)
    return path


def split_arrow(path: Path) -> Path:
    datasets.DatasetDict({"train": datasets.Dataset.from_dict({"label": [0, 1]})}).save_to_disk(path)
    return path


def parquet_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"label": np.arange(3)}), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def parquet_folder(path: Path) -> Path:
    parquet_file(path / "data" / "part")
    return path


FORMS = {
    "folder": folder,
    "metadata.csv": beside("metadata.csv"),
    "metadata.jsonl": beside("metadata.jsonl"),
    "train.csv": beside("train.csv"),
    "train.jsonl": beside("train.jsonl"),
    "tar": beside("shard-0000.tar"),
    "Arrow file": beside("data-00000.arrow"),
    "saved set": arrow,
    "saved set with splits": split_arrow,
    "Parquet file": parquet_file,
    "folder of Parquet": parquet_folder,
}


@pytest.fixture(scope="module", params=FORMS)
def source(request, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("home") / "zoe_winter" / "ward_7" / "gliomas"
    path.parent.mkdir(parents=True)
    return str(FORMS[request.param](path))


def shown(tmp_path: Path, **changes) -> str:
    made = make_report(tmp_path, Sample(**SMALL, **changes))
    return made.html + str(made.data)


@pytest.mark.parametrize("public", [False, True])
def test_a_path_is_never_shown_whoever_declares_what(source, public, tmp_path):
    source_kind(source)  # it is one that the product reads
    text = shown(tmp_path, source=source, name=Path(source).name, public=public)
    for part in (source, str(tmp_path), *PARTS):
        assert part not in text, part
    assert f"<h1>{'public' if public else 'private'} image set</h1>" in text


def test_a_path_that_looks_like_a_name_of_the_hub_and_is_gone_is_a_path_all_the_same(tmp_path):
    text = shown(tmp_path, source="zoe_winter/gliomas", name="gliomas", public=True)
    assert not re.search("zoe_winter|gliomas", text)


def test_a_path_given_from_the_working_directory_is_one_all_the_same(tmp_path, monkeypatch):
    folder(tmp_path / "zoe_winter" / "gliomas")
    monkeypatch.chdir(tmp_path)
    for public in (False, True):
        text = shown(tmp_path / str(public), source="zoe_winter/gliomas", name="gliomas", public=public)
        assert not re.search("zoe_winter|gliomas", text)


@pytest.mark.parametrize("gone", ["/home/zoe_winter/gliomas", "~/gliomas", "C:\\Users\\zoe_winter\\gliomas", "zoe.tar"])
def test_a_path_that_is_gone_is_still_a_path(gone):
    card = sample_card(source=gone, name="gliomas", public=True)
    assert (card.name, card.source) == ("public image set",) * 2


def test_a_name_on_the_hub_is_shown_when_it_was_declared_public_and_not_before():
    hub = {"source": "zoe_winter/gliomas@secret-branch", "name": "gliomas", "source_kind": SourceKind.HUB}
    assert sample_card(**hub).source == sample_card(**hub).name == "private image set"
    assert sample_card(**hub, public=True).source == "zoe_winter/gliomas"


def test_the_digits_are_public_for_everybody():
    card = sample_card(source="digits", name="digits")
    assert (card.name, card.source) == ("digits", "digits")


def test_the_sources_own_class_names_and_the_lock_of_the_test_split_are_not_shared():
    card = Sample(**SMALL)._card().model_copy(update={"renamed_classes": {"zoe_winter": "0"}})
    shared = shareable_card(card)
    assert (shared.renamed_classes, shared.test_sha256) == ({}, "")
    assert shared.class_names == card.class_names


def sample_card(**changes):
    return shareable_card(Sample(**SMALL, **changes)._card())


def test_an_old_card_without_the_declaration_is_private(tmp_path):
    inputs = Sample(**SMALL, source="zoe_winter/gliomas").write(tmp_path)
    path = inputs["data"] / "card.json"
    path.write_text(re.sub(r',\s*"public": false', "", path.read_text()))
    assert shareable_card(DataCard.read(inputs["data"])).source == "private image set"
