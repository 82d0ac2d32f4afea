"""A release opens in other programs, without TCKR; the test is skipped if a program is not installed."""

from __future__ import annotations

import gc
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
from PIL import Image
from transformers import pipeline

from tckr.artifacts.audit import AuditResult
from tckr.artifacts.synthetic import load_synthetic
from tckr.data.images import decode_image, load_images
from tckr.engine import seal
from tckr.engine.store import Store
from tckr.releasing.formats import layout
from tckr.releasing.formats.imagefolder import class_folder
from tckr.releasing.releasing import release
from tckr.releasing.request import FORMATS
from tckr.releasing.run import run_settings
from tckr.running import plan
from tests.releasing.conftest import CLASSES, NUM_IMAGES

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
"""Readers of tar and CSV files leave them open."""

ALL = {"license": "mit", "what": ["images", "labels", "student"], "accept_risk": "a test", "by": "somebody"}


@pytest.fixture(scope="module")
def releases(finished, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("opened")
    return {form: release(finished.folder, to=root / form, format=form, **ALL).folder for form in FORMATS}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what readers left open, within the test that is excused for it."""
    yield
    gc.collect()


@pytest.fixture
def expected(finished) -> dict[bytes, int]:
    """Return pixels -> label of the synthetic set."""
    images = load_synthetic(finished.artifacts["generate"], None)
    return {image.tobytes(): int(label) for image, label in zip(images.images, images.labels, strict=True)}


def pixels(image: Image.Image) -> bytes:
    return np.asarray(image.convert("RGB")).tobytes()


def opened(folder: Path, cache: Path) -> datasets.Dataset:
    return datasets.load_dataset(str(folder), split="train", cache_dir=str(cache))


@pytest.mark.parametrize(
    ("form", "columns"),
    [("parquet", ("image", "label")), ("imagefolder", ("image", "label")), ("webdataset", ("png", "cls"))],
)
def test_datasets_opens_every_format_by_its_folder(releases, expected, tmp_path, form, columns):
    rows, (image, label) = opened(releases[form], tmp_path), columns
    assert {pixels(row[image]): row[label] for row in rows} == expected
    soft = [
        json.loads(row["soft_label"]) if form == "imagefolder" else (row.get("json") or row)["soft_label"] for row in rows
    ]
    assert np.allclose(np.sum(soft, axis=1), 1, atol=0.01)


def test_datasets_knows_the_classes_of_a_release(releases, tmp_path):
    assert opened(releases["parquet"], tmp_path).features["label"].names == CLASSES


def test_two_releases_in_folders_of_one_name_are_not_taken_for_one_another(releases, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(releases["parquet"], tmp_path / name / "release")
    (shard,) = (tmp_path / "two" / "release" / "data").iterdir()
    table = pq.read_table(shard)
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), shard)
    one, two = (opened(tmp_path / name / "release", tmp_path / "cache")["label"] for name in ("one", "two"))
    assert one[:] == two[::-1] != two[:]


def test_pandas_opens_the_table(releases, expected):
    table = pandas.read_parquet(releases["parquet"] / "data")
    assert list(table.columns) == ["image", "label", "soft_label"]
    assert {
        decode_image(image["bytes"]).tobytes(): label for image, label in zip(table.image, table.label, strict=True)
    } == expected


def test_polars_opens_the_table(releases, expected):
    polars = pytest.importorskip("polars")
    table = polars.read_parquet(releases["parquet"] / "data" / "*.parquet")
    assert {decode_image(row["image"]["bytes"]).tobytes(): row["label"] for row in table.to_dicts()} == expected


def test_webdataset_opens_the_shards(releases, expected):
    webdataset = pytest.importorskip("webdataset")
    shards = [str(path) for path in sorted((releases["webdataset"] / "data").iterdir())]
    rows = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert {pixels(row["png"]): row["cls"] for row in rows} == expected
    assert {row["json"]["class"] for row in rows} == set(CLASSES)


def test_a_pipeline_of_transformers_has_the_accuracy_that_the_audit_found(releases, finished):
    classify = pipeline("image-classification", model=str(releases["parquet"] / "student"), device="cpu")
    with opened_test_split(finished.folder) as folder:
        split = load_images(folder, None)
    answers = classify([Image.fromarray(image) for image in split.images], top_k=1)
    right = [answer[0]["label"] == CLASSES[label] for answer, label in zip(answers, split.labels, strict=True)]
    assert np.mean(right) == AuditResult.read(finished.artifacts["audit"]).surfaces["student"].cas.value
    assert len(right) == 40


@contextmanager
def opened_test_split(run: Path) -> Iterator[Path]:
    """Yield the folder of the locked test split, which the owner alone has."""
    settings = run_settings(run)
    store, step = Store(settings.execution.store), plan(settings, "prepare")[0]
    sealed = store.manifest(step)["sealed"]
    with seal.opened(store.sealed_folder(step), sealed, store.folder(step)) as folder:
        yield folder / "test"


@pytest.mark.parametrize("form", FORMATS)
def test_a_large_set_is_several_files_with_numbers_that_go_on(finished, tmp_path, monkeypatch, form):
    monkeypatch.setattr(layout, "IMAGES_PER_FILE", 12)
    folder = release(finished.folder, to=tmp_path / "many", format=form, **{**ALL, "what": ["images"]}).folder
    assert len(opened(folder, tmp_path / "cache")) == NUM_IMAGES
    if form != "imagefolder":
        suffix = "parquet" if form == "parquet" else "tar"
        assert sorted(path.name for path in (folder / "data").iterdir()) == [
            f"train-0000{n}-of-00003.{suffix}" for n in range(3)
        ]


@pytest.mark.parametrize(
    ("name", "folder"), [("a b", "a b"), ("../up", "class-3"), (".hidden", "class-3"), ("a/b", "class-3")]
)
def test_a_class_whose_name_is_none_for_a_folder_has_its_number(name, folder):
    assert class_folder(name, 3) == folder


def test_a_picture_alone_says_what_it_is(releases):
    (path, *_) = sorted((releases["imagefolder"] / "train").rglob("*.png"))
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert "trainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]
