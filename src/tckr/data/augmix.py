"""AugMix of complete batches on their device (Hendrycks et al. 2020, "AugMix", Algorithm 1 and the authors' operations).

An image is blended with a mixture of three chains of one to three operations each. Every operation is one kernel over all
images that use it: five are one bilinear resampling, four change single colours and equal Pillow's to the grey level.

Departures from the authors' code: angles and shifts are not rounded to integer degrees and pixels, and the loss is the plain
one (no Jensen-Shannon term, as in the paper that TCKR implements).

Shape suffixes: B batch, C 3 colours, H height, W width, N some images of the chains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

WIDTH = 3
"""Chains per image."""

DEPTH = 3
"""Maximum number of operations in a chain."""

MAX_ROTATION = torch.pi / 6
MAX_SHEAR = 0.3
MAX_TRANSLATION = 2 / 3
"""Strength at severity 10: 30 degrees, 0.3, a third of a side (a side is 2 in the coordinates of a sampling grid)."""

Colours = Callable[[Tensor, Tensor], Tensor]
"""(float images [N, 3, H, W] with integer values 0..255, strength [N, 1, 1, 1] in [0, 1]) -> images of the same form."""


@dataclass(frozen=True)
class Chains:
    """Random choices for a batch, on the host.

    Attributes:
        weights: float [WIDTH, B] ~ Dirichlet(1, 1, 1), shares of the chains.
        share: float [B] ~ Beta(1, 1), share of the mixture in the result.
        operations: int64 [DEPTH, WIDTH * B], index into COLOURS and then GEOMETRY, -1 after the end of a chain.
        strength: float [DEPTH, WIDTH * B] in [0.01, severity / 10].
        sign: float [DEPTH, WIDTH * B], -1 or 1.
    """

    weights: Tensor
    share: Tensor
    operations: Tensor
    strength: Tensor
    sign: Tensor


def draw_chains(count: int, severity: float, generator: torch.Generator) -> Chains:
    """Return the random choices for `count` images."""
    exponential = -torch.rand(WIDTH, count, generator=generator).clamp(min=1e-12).log()
    share = torch.rand(count, generator=generator)
    depth = torch.randint(1, DEPTH + 1, (count * WIDTH,), generator=generator)
    operations = torch.randint(len(COLOURS) + len(GEOMETRY), (DEPTH, count * WIDTH), generator=generator)
    strength = 0.01 + (severity / 10 - 0.01) * torch.rand(DEPTH, count * WIDTH, generator=generator)
    sign = torch.randint(2, (DEPTH, count * WIDTH), generator=generator) * 2.0 - 1.0
    ended = torch.arange(DEPTH)[:, None] >= depth
    weights = exponential / exponential.sum(dim=0)
    return Chains(weights, share, operations.masked_fill(ended, -1), strength, sign)


def augmix(images_BCHW: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Return float images [B, 3, H, W] in [0, 1], each blended with its chains; `severity` is 3 in the authors' code."""
    chains = draw_chains(len(images_BCHW), severity, generator)
    shares = (chains.weights * chains.share).to(images_BCHW.device, non_blocking=True)[:, :, None, None, None]
    images_BCHW = images_BCHW.contiguous()  # separate colours: a third faster here than channels last
    pixels = (images_BCHW * 255).round_().repeat(WIDTH, 1, 1, 1)
    places, signed = chains.operations - len(COLOURS), chains.strength * chains.sign
    matrices = geometry_matrices(places.flatten(), signed.flatten()).view(DEPTH, -1, 2, 3)
    for depth in range(DEPTH):
        _apply_colours(pixels, chains.operations[depth], chains.strength[depth])
        _apply_geometry(pixels, places[depth], matrices[depth])
    mixture = images_BCHW * (1 - shares.sum(dim=0))
    for chain, share in zip(pixels.chunk(WIDTH), shares / 255, strict=True):
        mixture.addcmul_(chain, share)
    return mixture


def _apply_colours(pixels: Tensor, operations: Tensor, strength: Tensor) -> None:
    for index, function in enumerate(COLOURS):
        rows = (operations == index).nonzero()[:, 0]
        if len(rows):
            chosen = strength[rows].to(pixels.device, non_blocking=True)[:, None, None, None]
            rows = rows.to(pixels.device, non_blocking=True)
            pixels.index_copy_(0, rows, function(pixels.index_select(0, rows), chosen))


def _apply_geometry(pixels: Tensor, operations: Tensor, matrices: Tensor) -> None:
    rows = (operations >= 0).nonzero()[:, 0]
    if len(rows):
        chosen = matrices[rows].to(pixels.device, non_blocking=True)
        rows = rows.to(pixels.device, non_blocking=True)
        pixels.index_copy_(0, rows, resample(pixels.index_select(0, rows), chosen))


def geometry_matrices(operations: Tensor, signed: Tensor) -> Tensor:
    """Return float [N, 2, 3], which maps points of the result to points of the image, in coordinates of a sampling grid.

    Args:
        operations: int64 [N], index into GEOMETRY; below 0 the matrix is the identity.
        signed: float [N] in [-1, 1], strength with its direction.
    """
    matrices = torch.eye(2, 3).repeat(len(operations), 1, 1)
    for index, (row, column, largest) in enumerate(GEOMETRY[1:], start=1):
        chosen = operations == index
        matrices[chosen, row, column] = signed[chosen] * largest
    turned = operations == 0
    angle = signed[turned] * MAX_ROTATION
    matrices[turned, 0, 0] = matrices[turned, 1, 1] = angle.cos()
    matrices[turned, 0, 1], matrices[turned, 1, 0] = -angle.sin(), angle.sin()
    return matrices


def resample(pixels_NCHW: Tensor, matrices_N23: Tensor) -> Tensor:
    """Return images sampled bilinearly at transformed points, rounded; black for points outside, as in Pillow."""
    height, width = pixels_NCHW.shape[2:]
    (xx, xy, x0), (yx, yy, y0) = (row[:, :, None, None].unbind(1) for row in matrices_N23.unbind(1))
    across, down = _centres(width, pixels_NCHW.device), _centres(height, pixels_NCHW.device)[:, None]
    x_NHW = xx * across + (xy * down + x0)
    y_NHW = yx * across + (yy * down + y0)
    inside = torch.maximum(x_NHW.abs(), y_NHW.abs()).le_(1)  # 1 or 0 as floats, because products with booleans are slower
    found = grid_sample(
        pixels_NCHW, torch.view_as_real(torch.complex(x_NHW, y_NHW)), padding_mode="border", align_corners=False
    )
    return found.round_().mul_(inside[:, None])


def _centres(count: int, device: torch.device) -> Tensor:
    """Return the centres of `count` pixels on an axis from -1 to 1."""
    return (2 * torch.arange(count, device=device) + 1) / count - 1


def autocontrast(pixels_NCHW: Tensor, strength: Tensor) -> Tensor:
    """Stretch every colour of every image to 0..255."""
    low, high = pixels_NCHW.amin(dim=(2, 3), keepdim=True), pixels_NCHW.amax(dim=(2, 3), keepdim=True)
    single = low == high  # a single value stays unchanged: p * 255 / 255
    low, high = low.masked_fill(single, 0), high.masked_fill(single, 255)
    return (pixels_NCHW - low).mul_(255).div_(high - low).floor_()


def equalize(pixels_NCHW: Tensor, strength: Tensor) -> Tensor:
    """Equalize the histogram of every colour of every image, with the result of Pillow's `ImageOps.equalize`."""
    values = pixels_NCHW.flatten(2).long()
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int32, device=values.device)
    counts.scatter_add_(2, values, torch.ones_like(values, dtype=torch.int32))
    step = (values.shape[2] - counts.gather(2, values.amax(dim=2, keepdim=True))) // 255
    before = counts.cumsum(dim=2, dtype=torch.int32) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=values.device))
    return table.to(pixels_NCHW.dtype).gather(2, values).view(pixels_NCHW.shape)


def posterize(pixels_NCHW: Tensor, strength: Tensor) -> Tensor:
    """Keep the highest 4 bits of every colour; only 3 from strength 0.25 on."""
    step = torch.exp2(4 + (strength * 4).floor())
    return (pixels_NCHW / step).floor_().mul_(step)


def solarize(pixels_NCHW: Tensor, strength: Tensor) -> Tensor:
    """Invert every colour above a threshold."""
    threshold = 256 - (strength * 256).floor()
    inverted = pixels_NCHW.clone().ge_(threshold)
    return pixels_NCHW.sub(inverted, alpha=255).abs_()  # |p - 255|: no branch per pixel


COLOURS: tuple[Colours, ...] = (autocontrast, equalize, posterize, solarize)

GEOMETRY = (
    (-1, -1, MAX_ROTATION),  # rotation, of which four entries differ
    (0, 1, MAX_SHEAR),
    (1, 0, MAX_SHEAR),
    (0, 2, MAX_TRANSLATION),
    (1, 2, MAX_TRANSLATION),
)
"""Matrix entry that an operation changes (rotation, shear x and y, shift x and y), and the change at strength 1."""
