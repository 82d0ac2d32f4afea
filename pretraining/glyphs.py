"""Turn fonts and shapes into a bank of signed distance fields.

A field covers [-EXTENT, EXTENT] in both directions, in units of the glyph's larger side; positive inside the ink. A pen
of another width is then a constant added to the field.
"""

from __future__ import annotations

import string
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from .strokes import distance_field, segments
from .vocabulary import LETTERS, SHAPES, SUBJECTS

EXTENT = 0.75
CELLS = 64
_CANVAS = 192
_SKIP = (
    "italic",
    "oblique",
    "symbols",
    "d050000l",
    "math",
    "_k.otf",
    "hairline",
    "mono",
    "typist",
    "typo",
    "smallcaps",
    "bdita",
    "dkgbi",
    "dkgit",
    "-i.ttf",
    "_ri",
    "_rbi",
    "_rz",
    "_i.otf",
    "inclined",
    "[wght]",
    "dyslexic",
    "twobeta-c",
    "twobeta-s",
    "twobeta-e",
    "ebgaramond",
    "essays",
    "vollkorn",
    "klaudia",
    "berenika",
    "femkeklaver",
    "karlatamil",
    "tuffy_",
    "initial",
    "_dr",
    "gfsdidot",
    "lignes",
    "kaiti",
    "ecolier",
)
HELD_OUT = (
    "carlito",
    "oxygen",
    "breip",
    "becausewecreate",
    "urwgothic",
    "caladea",
    "yusei",
    "tuffy",
    "quicksand",
    "p052",
    "dkgbd",
    "dkg.",
)
"""Font families that only the evaluation uses."""
Floats = npt.NDArray[np.float32]
Entry = tuple[Floats, float, int, bool]
"""Distance field, half stroke width, subject, held out."""


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Distance fields by subject.

    fields: (G, CELLS, CELLS) float16; subject: (G,) index into SUBJECTS; half_width: (G,) half of the usual stroke, 0 for
    solid shapes and for the skeletons of handwritten digits; held_out: (G,) True where only the evaluation may use it.
    """

    fields: npt.NDArray[np.float16]
    subject: npt.NDArray[np.int64]
    half_width: Floats
    held_out: npt.NDArray[np.bool_]

    def save(self, path: Path) -> None:
        """Write the bank as one npz file."""
        np.savez(path, fields=self.fields, subject=self.subject, half_width=self.half_width, held_out=self.held_out)

    @classmethod
    def load(cls, path: Path) -> Bank:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as z:
            return cls(**{k: z[k] for k in ("fields", "subject", "half_width", "held_out")})


def font_files(root: Path) -> list[Path]:
    """Return the upright Latin fonts below `root`, in a stable order."""
    files = sorted(p for p in root.rglob("*") if p.suffix in {".ttf", ".otf"})
    return [p for p in files if not any(s in p.name.lower() for s in _SKIP)]


def _crop(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) < 8:
        return None
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def draw_character(font: ImageFont.FreeTypeFont, character: str, shear: float) -> npt.NDArray[np.bool_] | None:
    """Return the character as a mask cropped to its ink, sheared by `shear` (x per y), or None if it has none."""
    image = Image.new("L", (400, 400))
    ImageDraw.Draw(image).text((110, 60), character, font=font, fill=255)
    if shear:
        image = image.transform(image.size, Image.Transform.AFFINE, (1, -shear, 200 * shear, 0, 1, 0))
    return _crop(np.asarray(image) > 127)


def upright_shear(font: ImageFont.FreeTypeFont) -> float:
    """Return the shear that makes the stems of a font stand upright: sharpest column sums of E, H, L, F, T."""
    best, best_score = 0.0, -1.0
    for shear in np.arange(-0.1, 0.46, 0.05):
        masks = [draw_character(font, c, float(shear)) for c in "EHLFT"]
        score = sum(float((m.sum(0, dtype=float) ** 2).sum()) for m in masks if m is not None)
        if score > best_score * 1.01:
            best, best_score = float(shear), score
    return best


def field_of(mask: npt.NDArray[np.bool_]) -> tuple[Floats, float]:
    """Return the distance field of a cropped mask and the half width of its strokes, in glyph units."""
    side = max(mask.shape)
    canvas = np.zeros((_CANVAS, _CANVAS), bool)
    size = round(_CANVAS / (2 * EXTENT))
    scaled = Image.fromarray(mask.astype(np.uint8) * 255).resize(
        (max(2, round(mask.shape[1] * size / side)), max(2, round(mask.shape[0] * size / side))),
        Image.Resampling.BOX,
    )
    top, left = (_CANVAS - scaled.height) // 2, (_CANVAS - scaled.width) // 2
    canvas[top : top + scaled.height, left : left + scaled.width] = np.asarray(scaled) > 127
    inside = ndimage.distance_transform_edt(canvas)
    field = (inside - ndimage.distance_transform_edt(~canvas)) / size
    ridge = (inside == ndimage.maximum_filter(inside, 3)) & (inside > 1)
    width = float(np.median(inside[ridge])) / size if ridge.any() else 0.01
    step = _CANVAS // CELLS
    return field.reshape(CELLS, step, CELLS, step).mean((1, 3)).astype(np.float32), width


def draw_shape(name: str, variant: int) -> npt.NDArray[np.bool_]:
    """Return a solid shape as a cropped mask; `variant` 0-3 changes its proportions."""
    image = Image.new("L", (300, 300))
    pen = ImageDraw.Draw(image)
    v = variant / 3
    polygon = _polygon(name, v)
    if polygon is not None:
        pen.polygon([(150 + 120 * x, 150 + 120 * y) for x, y in polygon], fill=255)
    else:
        pen.ellipse((30, 30, 270, 270), fill=255)
    if name == "moon":
        shift = 60 + 40 * v
        pen.ellipse((30 + shift, 40 - 10 * v, 270 + shift, 260 + 10 * v), fill=0)
    cropped = _crop(np.asarray(image) > 127)
    assert cropped is not None
    return cropped


def _polygon(name: str, v: float) -> list[tuple[float, float]] | None:
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    if name == "square":
        return [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    if name == "triangle":
        return [(0, -1), (0.9 + 0.2 * v, 0.75), (-0.9 - 0.2 * v, 0.75)]
    if name == "diamond":
        return [(0, -1), (0.65 + 0.3 * v, 0), (0, 1), (-0.65 - 0.3 * v, 0)]
    if name == "cross":
        a = 0.2 + 0.14 * v
        return [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)]
    if name == "star":
        radius = [1.0, 0.38 + 0.1 * v] * 5
        return [(r * np.sin(np.pi * i / 5), -r * np.cos(np.pi * i / 5)) for i, r in enumerate(radius)]
    if name == "heart":
        x, y = 16 * np.sin(turn) ** 3, -(13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn))
        return [(float(a) / 16, float(b) / (17 - 2 * v)) for a, b in zip(x, y, strict=True)]
    return None


def handwritten(count: int, seed: int, *, held_out: bool) -> list[Entry]:
    """Return `count` pen skeletons of each digit."""
    rng = np.random.default_rng(seed)
    axis = (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS * 2 * EXTENT - EXTENT
    grid_N2 = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2).astype(np.float32)
    return [
        (distance_field(segments(digit, rng), grid_N2).reshape(CELLS, CELLS), 0.0, digit, held_out)
        for digit in range(10)
        for _ in range(count)
    ]


def font_entries(path: Path) -> list[Entry]:
    """Return the digits and letters of one font."""
    font = ImageFont.truetype(str(path), 180)
    shear = upright_shear(font)
    held_out = any(h in path.name.lower() for h in HELD_OUT)
    masks = [(i, draw_character(font, c, shear)) for i, c in enumerate(string.digits + "".join(LETTERS))]
    return [(*field_of(mask), i, held_out) for i, mask in masks if mask is not None]


def build_bank(font_root: Path, processes: int) -> Bank:
    """Return the fields of digits and letters in all fonts, of handwritten digits, and of all shapes."""
    with ProcessPoolExecutor(processes) as pool:
        skeletons = [pool.submit(handwritten, 600, 1, held_out=False), pool.submit(handwritten, 60, 2, held_out=True)]
        parts = list(pool.map(font_entries, font_files(font_root)))
    rows = [row for part in [*(s.result() for s in skeletons), *parts] for row in part]
    for name in SHAPES:
        for variant in range(4):
            rows.append((field_of(draw_shape(name, variant))[0], 0.0, SUBJECTS.index(name), False))
    fields, half_widths, subjects, held = zip(*rows, strict=True)
    return Bank(
        fields=np.stack(fields).astype(np.float16),
        subject=np.asarray(subjects),
        half_width=np.asarray(half_widths, np.float32),
        held_out=np.asarray(held),
    )


def contact_sheet(font_root: Path) -> Image.Image:
    """Return every font's digits and some letters, one line each, to look for unreadable fonts."""
    files = font_files(font_root)
    sheet = Image.new("L", (3 * 420, 26 * ((len(files) + 2) // 3)), 255)
    pen = ImageDraw.Draw(sheet)
    for i, path in enumerate(files):
        x, y = 420 * (i % 3), 26 * (i // 3)
        pen.text((x, y + 6), path.name[:18], fill=0)
        pen.text((x + 120, y), "0123456789 ABEGQRWZ", font=ImageFont.truetype(str(path), 20), fill=0)
    return sheet
