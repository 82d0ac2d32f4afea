"""A document that one stage writes is read back equal by another; other fields are refused; torch is not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.agreement import ClassAgreement, read_agreement, write_agreement
from tckr.artifacts.captions import CaptionCounts, CaptionTable
from tckr.artifacts.synthetic import (
    CopiedImages,
    SyntheticFacts,
    SyntheticRows,
    load_synthetic,
    shards,
    synthetic_class_names,
    synthetic_column,
    synthetic_shards,
    write_synthetic_shard,
)
from tckr.artifacts.training import read_history, write_history
from tckr.data.images import encode_png

CARD = {
    "model": "m",
    "revision": None,
    "method": "lora",
    "rank": 4,
    "steps": 7,
    "prompt_form": "n: c",
    "descriptions": {},
    "image_size": 16,
}


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    facts = SyntheticFacts(num_images=5, num_classes=2, image_size=16, shard_size=4, precision="float32")
    for document in (
        AdapterCard(**CARD),
        facts,
        CopiedImages(images=2, of=5, seconds=1.5),
        CaptionCounts.of(["é", "b c"], 0),
    ):
        document.write(tmp_path / "made")
        assert type(document).read(tmp_path / "made") == document
        assert type(document).read_if_there(tmp_path) is None


@pytest.mark.parametrize("change", [{"prompt_form": "c: n"}, {"scale": 2.0}, {"steps": "many"}])
def test_a_file_with_other_fields_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / "adapter.json").write_text(json.dumps(CARD | change))
    with pytest.raises(ValidationError, match=next(iter(change))):
        AdapterCard.read(tmp_path)


def test_an_adapter_has_weights_but_after_no_step() -> None:
    assert [AdapterCard(**CARD | {"steps": steps}).has_weights for steps in (7, None, 0)] == [True, True, False]


def test_captions_stay_with_their_records(tmp_path: Path) -> None:
    table = CaptionTable(
        records=np.array([1, 4, 6]), labels=np.array([0, 1, 0]), texts=["a", "b", "c"], class_names=["x", "y"]
    )
    table.take(np.array([2, 0])).write(tmp_path)
    found = CaptionTable.read(tmp_path)
    assert (found.records.tolist(), found.labels.tolist(), list(found.texts)) == ([6, 1], [0, 0], ["c", "a"])
    assert found.class_names == ["x", "y"]


def test_counts_of_captions() -> None:
    counts = CaptionCounts.of(["a b", "a b", "c", "d e f"], num_empty=1)
    assert (counts.captions, counts.distinct, counts.empty, counts.mean_words, counts.median_words) == (4, 3, 1, 2.0, 2.0)
    assert counts.most_repeated == [{"caption": "a b", "count": 2}]


def test_shards_hold_every_index_once() -> None:
    named = dict(shards(7, 3))
    assert list(named) == [f"train-0000{shard}-of-00003.parquet" for shard in range(3)]
    assert [index for indices in named.values() for index in indices] == list(range(7))


def test_synthetic_rows_are_read_back(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    rows = SyntheticRows(
        images=[encode_png(image) for image in images], labels=[1, 0], prompts=["p", "q"], seeds=[5, 6], indices=[0, 1]
    )
    write_synthetic_shard(tmp_path, "train-00000-of-00001.parquet", rows, ["cat", "dog"])
    found = load_synthetic(tmp_path, None)
    assert (found.images == images).all()
    assert (found.labels.tolist(), found.ids.tolist(), synthetic_class_names(tmp_path)) == ([1, 0], [0, 1], ["cat", "dog"])
    assert (synthetic_column(tmp_path, "seed").tolist(), len(synthetic_shards(tmp_path))) == ([5, 6], 1)


def test_agreement_and_history_are_read_back(tmp_path: Path) -> None:
    agreement = {"b": ClassAgreement(n=4, agree=3, low=0.3, high=0.95), "a": ClassAgreement(n=0, agree=0, low=0, high=1)}
    assert (read_agreement(tmp_path), read_history(tmp_path)) == ({}, [])
    write_agreement(tmp_path, agreement)
    write_history(tmp_path, [{"epoch": 1, "loss": 0.5}])
    assert list(read_agreement(tmp_path).items()) == list(agreement.items())
    assert [found.rate for found in agreement.values()] == [0.75, None]
    assert read_history(tmp_path) == [{"epoch": 1, "loss": 0.5}]


def test_artifacts_import_no_torch() -> None:
    modules = [path.stem for path in (Path(__file__).parents[2] / "src" / "tckr" / "artifacts").glob("[a-z]*.py")]
    code = (
        "import sys\n" + "".join(f"import tckr.artifacts.{name}\n" for name in modules) + "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
