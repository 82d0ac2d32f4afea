"""Collect the pictures that are not rendered: `python -m pretraining.photos --cifar100 FOLDER [--emoji FOLDER]`.

Photographs: the training split of CIFAR-100 with its published BLIP-2 captions. Pictograms: emoji on coloured grounds.
Writes runs/photos.npy (N, 32, 32, 3) uint8 and runs/photos.json: a class name and a caption per picture.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from .render import RUNS
from .vocabulary import COLOURS
from .world import PALETTE

TONES = {"1F3FB": "light", "1F3FC": "medium light", "1F3FD": "medium", "1F3FE": "medium dark", "1F3FF": "dark"}
PHOTOGRAPHS = 50_000
"""How many photographs come before the pictograms."""
CAPTION_WORDS = 16
"""Longer captions are cut: with the class name they must fit the generator's context."""


def read_cifar100(path: Path) -> tuple[np.ndarray, list[str], list[str]]:
    """Return images (N, 32, 32, 3), class names with spaces, and captions ('' where the file has none)."""
    table = pq.read_table(path)
    feature = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["label"]
    images = [np.asarray(Image.open(io.BytesIO(x["bytes"])).convert("RGB")) for x in table["image"].to_pylist()]
    labels = [feature["names"][i].replace("_", " ") for i in table["label"].to_pylist()]
    texts = table["caption"].to_pylist() if "caption" in table.schema.names else [""] * len(labels)
    return np.stack(images), labels, [tidy(t) for t in texts]


def tidy(caption: str) -> str:
    """Return at most `CAPTION_WORDS` words in lower case, 'gray' for 'grey'."""
    return " ".join(caption.lower().replace("grey", "gray").split()[:CAPTION_WORDS])


def emoji_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each pictogram of the unpacked emoji-datasource packages in `folder` and what it shows; no flags."""
    for entry in json.loads((folder / "google" / "emoji.json").read_text()):
        if entry["category"] == "Flags":
            continue
        name = tidy(entry["short_name"].replace("_", " ").replace("-", " "))
        pictures = [(entry["image"], name)]
        for code, tone in entry.get("skin_variations", {}).items():
            if code in TONES:
                pictures.append((tone["image"], f"{name} with {TONES[code]} skin"))
        for file, text in pictures:
            for maker in ("google", "twitter"):
                path = folder / maker / "img" / maker / "64" / file
                if path.exists():
                    yield path, text


def place_pictogram(path: Path, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Return a pictogram on a plain or shaded ground, (32, 32, 3), and the colour of the ground."""
    colour = int(rng.integers(len(COLOURS)))
    base = PALETTE[colour] + rng.normal(0, 8, 3)
    slope = rng.normal(0, 25, 2) * (rng.random() < 0.5)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    ground = base + (slope[0] * y + slope[1] * x)[..., None]
    ground = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    side = int(rng.uniform(40, 66))
    icon = Image.open(path).convert("RGBA").resize((side, side), Image.Resampling.LANCZOS)
    icon = icon.rotate(float(rng.normal(0, 8)), Image.Resampling.BICUBIC)
    room = (64 - side) / 2
    place = (room + rng.uniform(-1, 1, 2) * max(room, 1) * 0.8).astype(int)
    ground.paste(icon, (int(place[0]), int(place[1])), icon)
    return np.asarray(ground.resize((32, 32), Image.Resampling.BOX)), COLOURS[colour]


def draw_copies(path: Path, seed: int, copies: int) -> list[tuple[np.ndarray, str]]:
    """Return a pictogram `copies` times, each on its own ground."""
    rng = np.random.default_rng((11, seed))
    return [place_pictogram(path, rng) for _ in range(copies)]


def draw_pictograms(folder: Path, copies: int, processes: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Return each pictogram `copies` times: images, names and captions."""
    paths, names = zip(*emoji_files(folder), strict=True)
    with ProcessPoolExecutor(processes) as pool:
        drawn = pool.map(draw_copies, paths, range(len(paths)), [copies] * len(paths), chunksize=100)
        pairs = [(name, *copy) for name, part in zip(names, drawn, strict=True) for copy in part]
    captions = [f"an icon of {name} on {'an' if colour == 'orange' else 'a'} {colour} ground" for name, _, colour in pairs]
    return np.stack([image for _, image, _ in pairs]), [name for name, _, _ in pairs], [tidy(c) for c in captions]


def load_photos() -> tuple[np.ndarray, list[str], list[str]]:
    """Return what `main` has written: images, names and captions."""
    texts = json.loads((RUNS / "photos.json").read_text())
    return np.load(RUNS / "photos.npy", mmap_mode="r"), texts["names"], texts["captions"]


def main() -> None:
    """Write runs/photos.npy and runs/photos.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar100", type=Path, required=True, help="folder with train.parquet")
    parser.add_argument("--emoji", type=Path, help="folder with google/ and twitter/, the unpacked packages")
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    parts = [read_cifar100(options.cifar100 / "train.parquet")]
    if options.emoji:
        parts.append(draw_pictograms(options.emoji, options.copies, options.processes))
    images = np.concatenate([p[0] for p in parts])
    texts = {"names": [n for p in parts for n in p[1]], "captions": [c for p in parts for c in p[2]]}
    RUNS.mkdir(exist_ok=True)
    np.save(RUNS / "photos.npy", images)
    (RUNS / "photos.json").write_text(json.dumps(texts))
    print(f"{len(parts[0][0])} photographs, {len(images) - len(parts[0][0])} pictograms")


if __name__ == "__main__":
    main()
