"""README.md of a release; with images it is a data card in the hub's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tckr.releasing.cards.loading import loading_of, parts_of
from tckr.releasing.cards.text import card, filled
from tckr.releasing.facts import Facts, size_of
from tckr.releasing.formats import imagefolder, parquet
from tckr.releasing.formats.layout import SPLIT
from tckr.releasing.rows import Rows

TITLE = "Synthetic image set"
SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
"""Size categories of the hub: upper limit of the number of images -> name."""

FEATURES = {"parquet": parquet.features, "imagefolder": imagefolder.features}
"""Formats whose column types `datasets` reads from the card."""

ADAPTED = {"lora": ", adapted with a LoRA", "full": ", with further training of its denoiser", "": ", without adaptation"}


def data_card(facts: Facts, summary: dict[str, Any], rows: Rows | None, folder: Path) -> str:
    """Return the card. It is written last, because it states the size of the other files."""
    header = {"license": facts.request.licence, "tags": ["synthetic", "tckr"]}
    if rows is not None:
        header |= _header(facts, rows, folder)
    return card(
        header,
        filled(
            "release",
            title=TITLE if rows is not None else "Release",
            facts=facts,
            rows=rows,
            parts=parts_of(facts),
            loading=loading_of(facts),
            adapted=ADAPTED[facts.method],
            gate=filled("gate", summary=summary),
            privacy=filled("privacy", summary=summary),
        ),
    )


def _header(facts: Facts, rows: Rows, folder: Path) -> dict[str, Any]:
    """Return the card's YAML header. It contains no `configs:`, which would mix the caches of folders with equal names."""
    return {
        "pretty_name": TITLE,
        "task_categories": ["image-classification"],
        "annotations_creators": ["machine-generated"],
        "size_categories": [size_category(len(rows))],
        **_dataset_info(facts, rows, folder),
    }


def size_category(count: int) -> str:
    """Return the hub's size category of `count` images."""
    return next((name for limit, name in SIZES if count < limit), "n>100M")


def _dataset_info(facts: Facts, rows: Rows, folder: Path) -> dict[str, Any]:
    """Return column types and counts as `datasets` writes them into a card; empty for tar files, whose columns differ."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    if facts.request.form not in FEATURES:
        return {}
    size = size_of(folder / {"parquet": "data", "imagefolder": SPLIT}[facts.request.form])
    split = SplitInfo(name=SPLIT, num_bytes=size, num_examples=len(rows))
    info = DatasetInfo(
        features=FEATURES[facts.request.form](rows), splits=SplitDict({SPLIT: split}), download_size=size, dataset_size=size
    )
    found = DatasetCardData()
    DatasetInfosDict({"default": info}).to_dataset_card_data(found)
    return {"dataset_info": found.to_dict()["dataset_info"]}
