"""With `caption.from_source` every picture keeps the words that the data set gives it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import EVERY_RECORD
from tckr.data.images import load_images
from tckr.data.own_captions import OWN_CAPTIONS_NAME
from tckr.data.shards import read_columns
from tckr.errors import UserError
from tckr.stages.caption.config import CaptionConfig
from tckr.stages.caption.stage import run
from tests.stages.prepare.pictures import encoded, pixels, prepared
from tests.tiny_artifacts import make_context


def marked(number: int) -> bytes:
    """Return a picture that holds its number."""
    values = pixels(number)
    values[0, 0] = number, 7, 7
    return encoded(Image.fromarray(values))


def words(number: int) -> str:
    return f"pet number {number}, “grün”"


def folders(root: Path) -> None:
    for number in range(40):
        place = root / ("cat", "dog")[number % 2] / f"{number:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(marked(number))


def with_texts(root: Path) -> None:
    folders(root)
    for file in root.rglob("*.png"):
        file.with_suffix(".txt").write_text(words(int(file.stem)), encoding="utf-8")


def with_table(root: Path) -> None:
    folders(root)
    files = sorted(root.rglob("*.png"))
    lines = [{"file_name": file.relative_to(root).as_posix(), "text": words(int(file.stem))} for file in files]
    (root / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def with_labels(root: Path) -> None:
    folders(root / "images")
    files = sorted(root.rglob("*.png"))
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "caption"])
        writer.writerows([path.name, path.parent.name, words(int(path.stem))] for path in files)
    for path in files:
        path.rename(root / "images" / path.name)


def parquet(root: Path) -> None:
    root.mkdir()
    numbers = range(40)
    columns = {"image": [marked(n) for n in numbers], "label": [("cat", "dog")[n % 2] for n in numbers]}
    pq.write_table(pa.table({**columns, "caption": [words(n) for n in numbers]}), root / "all.parquet")


def saved(root: Path) -> None:
    import datasets

    numbers = range(40)
    columns = {"image": [{"bytes": marked(n), "path": None} for n in numbers], "text": [words(n) for n in numbers]}
    columns["label"] = [("cat", "dog")[n % 2] for n in numbers]
    features = datasets.Features(image=datasets.Image(), text=datasets.Value("string"), label=datasets.Value("string"))
    datasets.Dataset.from_dict(columns, features).save_to_disk(str(root))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # datasets leaves files open
@pytest.mark.parametrize("build", [with_texts, with_table, with_labels, parquet, saved])
def test_every_picture_has_the_words_of_the_data_set(build, tmp_path: Path) -> None:
    build(tmp_path / "data")
    data = prepared(tmp_path, tmp_path / "data", image_size=12)
    context = make_context(tmp_path / "step", {"data": data}, run=EVERY_RECORD)
    run(CaptionConfig(from_source=True), context)
    columns = read_columns(context.out, ["record", "caption"])
    pool = load_images(data / "pool", None)
    said = {int(image[0, 0, 0]): record for image, record in zip(pool.images, pool.ids.tolist(), strict=True)}
    captions = dict(zip(columns["record"].tolist(), columns["caption"].tolist(), strict=True))
    assert captions == {record: words(number) for number, record in said.items()}
    assert DataCard.read(data).rejected.get("not_an_image", 0) == 0
    told = (data / "layout.json").read_text()
    assert "caption.from_source=true uses them" in told


def test_the_words_of_the_test_split_are_nowhere(tmp_path: Path) -> None:
    with_texts(tmp_path / "data")
    data = prepared(tmp_path, tmp_path / "data", image_size=12)
    tested = [int(image[0, 0, 0]) for image in load_images(data / "test", None).images]
    kept = read_columns_of(data / OWN_CAPTIONS_NAME)
    assert len(kept) == 40 - len(tested)
    assert not {words(number) for number in tested} & set(kept)


def read_columns_of(path: Path) -> list[str]:
    return pq.read_table(path).column("caption").to_pylist()


def test_a_picture_without_words_stops_the_step(tmp_path: Path) -> None:
    with_texts(tmp_path / "data")
    for file in (tmp_path / "data" / "dog").glob("*.txt"):
        file.unlink()
    data = prepared(tmp_path, tmp_path / "data")
    with pytest.raises(UserError, match=r"the data set has no caption for \d+ of \d+ images.*'dog'.*caption.from_source"):
        run(CaptionConfig(from_source=True), make_context(tmp_path / "step", {"data": data}))


def test_a_data_set_without_words_stops_the_step(tmp_path: Path) -> None:
    folders(tmp_path / "data")
    data = prepared(tmp_path, tmp_path / "data")
    with pytest.raises(UserError, match="has no texts for its images; expected a"):
        run(CaptionConfig(from_source=True), make_context(tmp_path / "step", {"data": data}))


def test_captions_have_one_origin() -> None:
    with pytest.raises(ValidationError, match="set only one of them"):
        CaptionConfig(from_source=True, file="a.json")


def test_pictures_are_the_same_with_and_without_words(tmp_path: Path) -> None:
    with_texts(tmp_path / "told")
    folders(tmp_path / "plain")
    one, other = (prepared(tmp_path / f"{name}.step", tmp_path / name) for name in ("told", "plain"))
    for part in ("pool", "validation", "test"):
        assert np.array_equal(load_images(one / part, None).images, load_images(other / part, None).images)
