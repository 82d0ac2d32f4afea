"""Draw real pictures beside synthetic ones, one row per class: eight members of the pool, then eight of the synthetic set.

    python -m examples.real_pictures.contact_sheet runs/NAME/VARIANT --output sheet.webp

It shows private pictures: make it of public sets, or keep it where the pictures are.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

from PIL import Image

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import read_members
from tckr.artifacts.pictures import Chosen, Rows, first_images

COLUMNS, SIDE, GAP = 8, 48, 16
"""Pictures of either kind in a row, their side and the space between the kinds in px."""


def paste_row(sheet: Image.Image, rows: list[dict[str, Any]], left: int, top: int) -> None:
    """Paste the encoded images of `rows` side by side."""
    for place, row in enumerate(rows):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as opened:
            picture = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
        sheet.paste(picture, (left + place * SIDE, top))


def draw(real: Rows, synthetic: Rows, num_classes: int) -> Image.Image:
    """Return the sheet."""
    sheet = Image.new("RGB", (2 * COLUMNS * SIDE + GAP, num_classes * SIDE), "white")
    for label in range(num_classes):
        paste_row(sheet, list(real.get(label, [])), 0, label * SIDE)
        paste_row(sheet, list(synthetic.get(label, [])), COLUMNS * SIDE + GAP, label * SIDE)
    return sheet


def main() -> None:
    """Read the arguments and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run, with artifacts/ in it")
    parser.add_argument("--output", type=Path, required=True, help="picture to write, such as sheet.webp")
    arguments = parser.parse_args()
    data, generated = arguments.run / "artifacts" / "prepare", arguments.run / "artifacts" / "generate"
    classes = range(len(DataCard.read(data).class_names))
    members = Chosen(read_members(data, 0))
    real = first_images(data / "pool", classes, COLUMNS, ["record"], members)
    synthetic = first_images(generated / "data", classes, COLUMNS, ["index"], None)
    draw(real, synthetic, len(classes)).save(arguments.output, quality=80)


if __name__ == "__main__":
    main()
