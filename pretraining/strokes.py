"""Draw digits as a hand does: skeletons in several written forms, bent by a smooth random warp.

Coordinates: x to the right, y down, glyph about 1 high, centred on 0. A stroke is a list of points joined by a smooth
curve; strokes that share an end meet in a corner.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Stroke = list[tuple[float, float]]


def arc(centre: tuple[float, float], radii: tuple[float, float], degrees: tuple[float, float], points: int) -> Stroke:
    """Return points on an ellipse between two angles (0 is right, 90 is down)."""
    angles = np.radians(np.linspace(*degrees, points))
    return [(centre[0] + radii[0] * float(np.cos(a)), centre[1] + radii[1] * float(np.sin(a))) for a in angles]


FORMS: dict[int, list[list[Stroke]]] = {
    0: [
        [arc((0, 0), (0.31, 0.5), (-90, 270), 13)],
        [arc((0, 0), (0.38, 0.5), (-70, 300), 13)],
        [arc((0, 0), (0.25, 0.5), (-100, 250), 13)],
    ],
    1: [
        [[(0, -0.5), (0, 0.5)]],
        [[(-0.2, -0.28), (0.03, -0.5)], [(0.03, -0.5), (0.03, 0.5)]],
        [[(-0.18, -0.3), (0, -0.5)], [(0, -0.5), (0, 0.5)], [(-0.2, 0.5), (0.2, 0.5)]],
    ],
    2: [
        [[*arc((0, -0.23), (0.3, 0.27), (-170, 20), 7), (0.1, 0.14), (-0.32, 0.5)], [(-0.32, 0.5), (0.34, 0.5)]],
        [[*arc((0, -0.2), (0.29, 0.3), (-150, 30), 7), (0.0, 0.28), (-0.2, 0.46), (-0.3, 0.38), (-0.16, 0.33),
          (0.1, 0.45), (0.36, 0.44)]],
        [[*arc((-0.02, -0.22), (0.32, 0.28), (-160, 40), 7), (-0.05, 0.3), (-0.3, 0.47), (0.0, 0.45), (0.35, 0.5)]],
    ],
    3: [
        [[*arc((-0.02, -0.26), (0.28, 0.24), (-150, 90), 8)], [*arc((-0.02, 0.24), (0.32, 0.26), (-90, 150), 8)]],
        [[*arc((-0.04, -0.26), (0.26, 0.23), (-140, 70), 7), (-0.08, -0.02)],
         [(-0.08, -0.02), *arc((-0.02, 0.24), (0.32, 0.26), (-65, 145), 7)]],
        [[(-0.28, -0.5), (0.28, -0.5)], [(0.28, -0.5), (-0.02, -0.1)],
         [(-0.02, -0.1), *arc((-0.04, 0.2), (0.34, 0.3), (-60, 145), 7)]],
    ],
    4: [
        [[(-0.22, -0.48), (-0.3, 0.1)], [(-0.3, 0.1), (0.34, 0.1)], [(0.16, -0.25), (0.16, 0.5)]],
        [[(0.16, -0.5), (-0.34, 0.16)], [(-0.34, 0.16), (0.36, 0.16)], [(0.16, -0.5), (0.16, 0.5)]],
        [[(-0.16, -0.5), (-0.34, 0.06)], [(-0.34, 0.06), (0.34, 0.02)], [(0.26, -0.42), (0.06, 0.5)]],
        [[(-0.28, -0.48), (-0.26, -0.05), (-0.1, 0.05), (0.25, -0.03)], [(0.27, -0.48), (0.25, -0.03), (0.22, 0.5)]],
    ],
    5: [
        [[(-0.22, -0.48), (0.3, -0.48)], [(-0.22, -0.48), (-0.26, -0.06)],
         [(-0.26, -0.06), *arc((-0.02, 0.2), (0.32, 0.3), (-105, 140), 8)]],
        [[(0.3, -0.5), (-0.16, -0.46)], [(-0.16, -0.46), (-0.2, -0.08)],
         [(-0.2, -0.08), (0.12, -0.06), (0.3, 0.16), (0.14, 0.44), (-0.26, 0.46)]],
        [[(-0.24, -0.44), (-0.2, -0.06)], [(-0.2, -0.06), *arc((-0.02, 0.21), (0.3, 0.29), (-90, 150), 8)],
         [(-0.22, -0.46), (0.32, -0.46)]],
    ],
    6: [
        [[(0.22, -0.48), (-0.1, -0.24), (-0.28, 0.14), *arc((0.0, 0.24), (0.28, 0.26), (180, -170), 10)]],
        [[(0.08, -0.5), (-0.22, -0.1), *arc((0.0, 0.22), (0.28, 0.28), (170, -190), 10)]],
        [[(0.27, -0.4), (0.08, -0.5), (-0.2, -0.28), (-0.3, 0.12), *arc((-0.01, 0.24), (0.28, 0.26), (165, -165), 10)]],
    ],
    7: [
        [[(-0.32, -0.5), (0.32, -0.5)], [(0.32, -0.5), (-0.08, 0.5)]],
        [[(-0.32, -0.48), (0.32, -0.48)], [(0.32, -0.48), (0.02, 0.0), (-0.1, 0.5)], [(-0.18, 0.02), (0.26, 0.02)]],
        [[(-0.34, -0.3), (-0.3, -0.48)], [(-0.3, -0.48), (0.32, -0.48)], [(0.32, -0.48), (0.08, -0.05), (0.0, 0.5)]],
        [[(-0.3, -0.46), (0.1, -0.46), (0.28, -0.4), (0.14, 0.0), (0.0, 0.5)], [(-0.14, 0.04), (0.28, 0.0)]],
    ],
    8: [
        [arc((0, -0.26), (0.24, 0.24), (90, 450), 11), arc((0, 0.24), (0.29, 0.26), (-90, 270), 11)],
        [[(0.24, -0.38), (0.0, -0.5), (-0.24, -0.3), (0.0, -0.04), (0.27, 0.24), (0.0, 0.5), (-0.27, 0.24),
          (0.0, -0.02), (0.24, -0.28), (0.2, -0.42)]],
        [[(0.1, -0.48), (-0.2, -0.36), (-0.12, -0.12), (0.2, 0.14), (0.18, 0.42), (-0.08, 0.5), (-0.24, 0.3),
          (0.0, 0.0), (0.2, -0.26), (0.06, -0.5)]],
    ],
    9: [
        [arc((0, -0.22), (0.28, 0.28), (0, 360), 11), [(0.28, -0.22), (0.26, 0.1), (0.2, 0.5)]],
        [arc((0, -0.22), (0.26, 0.27), (-20, 340), 11), [(0.26, -0.3), (0.26, 0.5)]],
        [arc((0, -0.23), (0.28, 0.27), (0, 360), 11), [(0.28, -0.23), (0.26, 0.2), (0.06, 0.48), (-0.22, 0.42)]],
        [[(0.26, -0.36), (0.04, -0.5), (-0.24, -0.28), (-0.04, -0.06), (0.2, -0.2), (0.27, -0.42)],
         [(0.27, -0.42), (0.2, 0.1), (0.02, 0.5)]],
    ],
}  # fmt: skip


def smooth(points: Stroke, per_span: int) -> Floats:
    """Return a Catmull-Rom curve through the points, shape (n, 2)."""
    p = np.asarray([points[0], *points, points[-1]], dtype=np.float32)
    t = np.linspace(0, 1, per_span, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.reshape(-1, 2), p[-1:]])


def warp(points_N2: Floats, rng: np.random.Generator) -> Floats:
    """Bend points by a smooth random displacement, about 4 % of the glyph height."""
    amplitude = rng.uniform(0.01, 0.035)
    moved = points_N2.copy()
    for _ in range(3):
        wave = rng.normal(0, 4.5, 2)
        phase = rng.uniform(0, 2 * np.pi)
        moved += amplitude * rng.normal(0, 1, 2) * np.sin(points_N2 @ wave + phase)[:, None]
    return moved.astype(np.float32)


def segments(digit: int, rng: np.random.Generator) -> Floats:
    """Return one handwritten digit as line segments, shape (n, 4), largest extent 1, centred on 0."""
    form = FORMS[digit][rng.integers(len(FORMS[digit]))]
    pieces = [smooth(s, 2 if len(s) > 4 else 4) for s in form]
    bent = warp(np.concatenate(pieces), rng)
    bent[:, 0] *= rng.uniform(0.75, 1.25)
    low, high = bent.min(0), bent.max(0)
    bent = (bent - (low + high) / 2) / (high - low).max()
    ends = np.cumsum([len(p) for p in pieces])[:-1]
    return np.concatenate([np.hstack([p[:-1], p[1:]]) for p in np.split(bent, ends)])


def distance_field(segments_S4: Floats, grid_N2: Floats) -> Floats:
    """Return minus the distance of every grid point to the nearest segment, shape (N,)."""
    a, b = segments_S4[:, None, :2], segments_S4[:, None, 2:]
    along = b - a
    offset = grid_N2[None] - a
    t = np.clip((offset * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9), 0, 1)
    squared = (offset[..., 0] - t * along[..., 0]) ** 2 + (offset[..., 1] - t * along[..., 1]) ** 2
    return np.asarray(-np.sqrt(squared.min(0)))
