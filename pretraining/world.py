"""Draw scenes as 32 x 32 RGB images.

A scene is first sampled as words, then as continuous quantities inside the band of each word; bands of neighbouring
words do not touch, so that the words can be read from the pixels. All lengths are pixels of the final image unless a
name says otherwise. Shapes of arrays: B images, S = 32 x `SUPERSAMPLING` pixels per side while drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from .glyphs import CELLS, EXTENT, Bank
from .vocabulary import DIGITS, FIELD_NAMES, FIELDS, LETTERS, SUBJECTS

SIZE = 32
SUPERSAMPLING = 2
FIRST_SHAPE = len(DIGITS) + len(LETTERS)
Rows = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]

HEIGHT = {0: (16.5, 19.5), 1: (11.5, 13.5), 2: (25.0, 30.0)}  # larger side of the glyph: medium, small, large
PEN = {0: (0.115, 0.145), 1: (0.055, 0.08), 2: (0.195, 0.23)}  # pen width over glyph side: medium, thin, thick
PALETTE = np.array(
    [
        [12, 12, 12],
        [245, 245, 245],
        [128, 128, 128],
        [222, 28, 32],
        [250, 140, 16],
        [248, 224, 32],
        [30, 160, 50],
        [32, 72, 220],
        [130, 40, 170],
        [250, 150, 195],
        [115, 66, 24],
    ],
    np.float32,
)
_LUMA = PALETTE @ np.array([0.3, 0.59, 0.11], np.float32)
PAIRS = np.array([(i, g) for i in range(11) for g in range(11) if abs(_LUMA[i] - _LUMA[g]) > 75])
"""(ink, ground) colour pairs of clear contrast."""
ACHROMATIC = np.array([(i, g) for i, g in PAIRS if i < 3 and g < 3])


@dataclass(frozen=True, kw_only=True)
class Quantities:
    """The continuous quantities of B scenes; every field has shape (B,) but for `place` (B, 2) and `colours` (B, 2, 3)."""

    height: Floats
    pen: Floats
    shear: Floats
    turn: Floats
    place: Floats
    blur_sigma: Floats
    low_resolution: npt.NDArray[np.int64]
    noise_sigma: Floats
    colours: Floats


def sample_rows(count: int, rng: np.random.Generator) -> Rows:
    """Return the words of `count` scenes: 45 % digits, 35 % letters, 20 % shapes; 40 % in black, white and gray."""
    kind = rng.choice(3, count, p=(0.45, 0.35, 0.20))
    low, high = np.array([0, 10, FIRST_SHAPE]), np.array([10, FIRST_SHAPE, len(SUBJECTS)])
    rows = np.zeros((count, len(FIELD_NAMES)), np.int8)
    rows[:, 0] = rng.integers(low[kind], high[kind])
    coloured, plain = PAIRS[rng.integers(len(PAIRS), size=count)], ACHROMATIC[rng.integers(len(ACHROMATIC), size=count)]
    rows[:, 1:3] = np.where(rng.random(count)[:, None] < 0.4, plain, coloured)
    is_shape = kind == 2
    rows[:, 3] = np.where(is_shape, 0, rng.choice(3, count, p=(0.36, 0.32, 0.32)))
    rows[:, 4] = np.where(is_shape, 0, rng.choice(3, count, p=(0.5, 0.22, 0.28)))
    rows[:, 5] = rng.choice(3, count, p=(0.34, 0.26, 0.40))
    moved = (rng.random(count) < 0.45) & (rows[:, 5] != 2)
    rows[:, 6] = np.where(moved, rng.integers(1, 5, count), 0)
    rows[:, 7] = rng.random(count) < 0.28
    rows[:, 8] = rng.random(count) < 0.14
    return rows


def _band(bands: dict[int, tuple[float, float]], level: Rows, rng: np.random.Generator) -> Floats:
    limits = np.array([bands[i] for i in range(len(bands))], np.float32)[level]
    return rng.uniform(limits[:, 0], limits[:, 1]).astype(np.float32)


def sample_quantities(rows: Rows, rng: np.random.Generator) -> Quantities:
    """Return quantities inside the bands of the words of each scene."""
    count = len(rows)
    height = _band(HEIGHT, rows[:, 5], rng)
    lean = np.array([0, -1, 1], np.float32)[rows[:, 4]]
    shear = np.where(lean != 0, lean * rng.uniform(0.3, 0.5, count), rng.uniform(-0.07, 0.07, count))
    spread = np.where(rows[:, 6] > 0, rng.uniform(0.75, 1.0, count) * (15.5 - height / 2), 0)
    direction = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)], np.float32)[rows[:, 6]]
    place = direction * spread[:, None] + rng.uniform(-1, 1, (count, 2)) * np.where(height > 24, 0.6, 1.0)[:, None]
    blurry = rows[:, 7] == 1
    coarse = blurry & (height > 16) & (rng.random(count) < 0.45)
    cells = np.where(height > 27, rng.integers(8, 12, count), np.where(height > 24, rng.integers(10, 12, count), 12))
    sigma = np.where(blurry & ~coarse, np.clip(height * rng.uniform(0.065, 0.085, count), 0.95, 1.9), 0)
    return Quantities(
        height=height,
        pen=_band(PEN, rows[:, 3], rng),
        shear=shear.astype(np.float32),
        turn=rng.uniform(-0.07, 0.07, count).astype(np.float32),
        place=place.astype(np.float32),
        blur_sigma=np.where(blurry, sigma, rng.uniform(0, 0.3, count)).astype(np.float32),
        low_resolution=np.where(coarse, cells, SIZE),
        noise_sigma=np.where(rows[:, 8] == 1, rng.uniform(22, 34, count), 0).astype(np.float32),
        colours=np.clip(PALETTE[rows[:, 1:3]] + rng.normal(0, 5, (count, 2, 3)), 0, 255).astype(np.float32),
    )


def _shear_room(rows: Rows, rng: np.random.Generator) -> Floats:
    """Return width factors: slanted glyphs are narrower, so that large ones stay inside the frame."""
    return (rng.uniform(0.88, 1.12, len(rows)) * np.where(rows[:, 4] > 0, 0.85, 1.0)).astype(np.float32)


def choose_fields(rows: Rows, pen: Floats, bank: Bank, rng: np.random.Generator, *, held_out: bool) -> tuple[Floats, Floats]:
    """Return distance fields (B, CELLS, CELLS) and half stroke widths (B,) for the subjects of `rows`.

    55 % of digits are rendered as pen strokes. A font is taken only if its own stroke can become `pen` without losing over
    a third of its width.
    """
    fields, widths = np.empty((len(rows), CELLS, CELLS), np.float32), np.zeros(len(rows), np.float32)
    usable = (bank.held_out == held_out) | (bank.subject >= FIRST_SHAPE)
    handwritten = (bank.subject < FIRST_SHAPE) & (bank.half_width == 0)
    by_hand = (rows[:, 0] < len(DIGITS)) & (rng.random(len(rows)) < 0.55)
    pools = {
        (s, hand): np.flatnonzero((bank.subject == s) & usable & (handwritten == hand))
        for s in range(len(SUBJECTS))
        for hand in (False, True)
    }
    for i, subject in enumerate(rows[:, 0].tolist()):
        candidates = pools[subject, bool(by_hand[i])]
        if subject < FIRST_SHAPE and not by_hand[i]:
            change = pen[i] / (2 * bank.half_width[candidates]) - 1
            candidates = candidates[change > -0.33] if (change > -0.33).any() else candidates[[change.argmax()]]
        pick = candidates[rng.integers(len(candidates))]
        fields[i], widths[i] = bank.fields[pick], bank.half_width[pick]
    return fields, widths


def wobble(count: int, amplitude: Floats, rng: np.random.Generator) -> torch.Tensor:
    """Return smooth displacements in glyph units, shape (count, S, S, 2), zero for half of the images."""
    coarse = torch.from_numpy(rng.normal(0, 1, (count, 2, 5, 5)).astype(np.float32))
    strength = torch.from_numpy(amplitude * (rng.random(count) < 0.5)).float()
    fine = F.interpolate(coarse, SIZE * SUPERSAMPLING, mode="bicubic", align_corners=True)
    return (fine * strength[:, None, None, None]).permute(0, 2, 3, 1)


def rasterise(fields: Floats, widths: Floats, rows: Rows, q: Quantities, rng: np.random.Generator) -> torch.Tensor:
    """Return the ink coverage of each pixel, shape (B, 32, 32), in 0-1."""
    solid = rows[:, 0] >= FIRST_SHAPE
    growth = np.where(solid, 0, (q.pen - 2 * widths) / (2 * (1 - q.pen))).astype(np.float32)
    scale = q.height / (1 + 2 * growth)
    side = SIZE * SUPERSAMPLING
    axis = (torch.arange(side) + 0.5) / SUPERSAMPLING - SIZE / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    px, py = (torch.from_numpy(q.place[:, k])[:, None, None] for k in (0, 1))
    dx, dy = x[None] - px, y[None] - py
    cos, sin = (torch.from_numpy(f(q.turn))[:, None, None] for f in (np.cos, np.sin))
    scale_t = torch.from_numpy(scale)[:, None, None]
    gy = (cos * dy - sin * dx) / scale_t
    gx = (cos * dx + sin * dy) / scale_t + torch.from_numpy(q.shear)[:, None, None] * gy
    gx = gx / torch.from_numpy(_shear_room(rows, rng))[:, None, None]
    points = torch.stack([gx, gy], -1) + wobble(len(rows), np.where(solid, 0.012, 0.02), rng)
    sampled = F.grid_sample(torch.from_numpy(fields)[:, None], points / EXTENT, padding_mode="border", align_corners=False)
    depth = (sampled[:, 0] + torch.from_numpy(growth)[:, None, None]) * scale_t * SUPERSAMPLING
    return F.avg_pool2d((depth + 0.5).clamp(0, 1), SUPERSAMPLING)


def soften(ink_BHW: torch.Tensor, q: Quantities) -> torch.Tensor:
    """Blur each image by its sigma and resample it through its low resolution; the darkest ink stays full ink."""
    offsets = torch.arange(-5, 6, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets[None] / torch.from_numpy(q.blur_sigma).clamp(min=0.05)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    x, count = ink_BHW[None], len(ink_BHW)
    x = F.conv2d(F.pad(x, (5, 5, 0, 0)), kernel[:, None, None, :], groups=count)
    out = F.conv2d(F.pad(x, (0, 0, 5, 5)), kernel[:, None, :, None], groups=count)[0]
    for cells in np.unique(q.low_resolution):
        if cells < SIZE:
            pick = torch.from_numpy(np.flatnonzero(q.low_resolution == cells))
            small = F.interpolate(out[pick][:, None], int(cells), mode="area")
            out[pick] = F.interpolate(small, SIZE, mode="bicubic", align_corners=False)[:, 0].clamp(0, 1)
    full = out.flatten(1).topk(10, dim=1).values.mean(1).clamp(min=0.2)
    return (out / full[:, None, None]).clamp(0, 1)


def draw(rows: Rows, bank: Bank, rng: np.random.Generator, *, held_out: bool = False) -> npt.NDArray[np.uint8]:
    """Return the images of the scenes, shape (B, 32, 32, 3)."""
    q = sample_quantities(rows, rng)
    fields, widths = choose_fields(rows, q.pen, bank, rng, held_out=held_out)
    ink = soften(rasterise(fields, widths, rows, q, rng), q).numpy()[..., None]
    image = ink * q.colours[:, None, None, 0] + (1 - ink) * q.colours[:, None, None, 1]
    image = image + q.noise_sigma[:, None, None, None] * rng.normal(0, 1, image.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def scenes(count: int, bank: Bank, seed: int, *, held_out: bool = False) -> tuple[npt.NDArray[np.uint8], Rows]:
    """Return `count` fresh scenes of one seed: images (count, 32, 32, 3) and rows (count, 9)."""
    rng = np.random.default_rng(seed)
    rows = sample_rows(count, rng)
    return draw(rows, bank, rng, held_out=held_out), rows


assert tuple(FIELDS) == FIELD_NAMES
