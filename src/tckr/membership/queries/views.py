"""The views of a record on which a model is queried."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def num_queries(shift: int, flip: bool) -> int:
    """Return the number of views per record."""
    return (5 if shift else 1) * (2 if flip else 1)


def views(images: np.ndarray, shift: int, flip: bool) -> Iterator[np.ndarray]:
    """Yield uint8 [B, H, W, 3]: the images, then shifted by `shift` px four ways (edges repeated); each also flipped."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    corners = [(shift, shift), (0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift)] if shift else [(0, 0)]
    for top, left in corners:
        view = padded[:, top : top + height, left : left + width]
        yield view
        if flip:
            yield view[:, :, ::-1]
