"""One file per image in a folder of its class, and a table `metadata.csv` beside the class folders."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tckr.releasing.formats.layout import SPLIT, as_json, soft_columns
from tckr.releasing.rows import Rows


def write_imagefolder(rows: Rows, folder: Path) -> None:
    """Write `train/CLASS/000000.png` and `train/metadata.csv`; soft labels are written as JSON lists."""
    root, folders = folder / SPLIT, [class_folder(name, label) for label, name in enumerate(rows.class_names)]
    for name in folders:
        (root / name).mkdir(parents=True, exist_ok=True)
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        for row in rows:
            name = f"{folders[row.label]}/{row.number:06d}.png"
            (root / name).write_bytes(row.png)
            soft = {key: as_json(values) for key, values in soft_columns(row).items()}
            columns = {"file_name": name, "label": row.label, "class": rows.class_names[row.label], **soft}
            if row.number == 0:
                table.writerow(columns)
            table.writerow(columns.values())


def class_folder(name: str, label: int) -> str:
    """Return the folder name of a class: its name, or its number if the name is not a valid folder name."""
    plain = name.isprintable() and name == Path(name).name and not name.startswith(".")
    return name if plain else f"class-{label}"


def features(rows: Rows) -> Any:
    """Return the columns as `datasets` reads them from the folder."""
    from datasets import Features, Image, Value

    given = {"soft_label": rows.soft_labels, "soft_label_class": rows.soft_label_classes}
    soft = {name: Value("string") for name, values in given.items() if values is not None}
    return Features({"image": Image(), "label": Value("int64"), "class": Value("string"), **soft})
