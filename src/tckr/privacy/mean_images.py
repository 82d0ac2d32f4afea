"""How many images a class needs for a noisy mean image, and how long the generator learns from these means.

`tckr.stages.adapt.central` computes them and has the proof of their sensitivity.
"""

from __future__ import annotations

import math

from tckr.errors import UserError
from tckr.privacy.config import UNITS, PrivacyConfig

STEPS, BATCH = 50, 32
"""Length of the training on mean images."""

SIDE = 32
"""Maximum side of the means in px. Larger images are reduced first: fewer values get noise, and a mean has no detail."""

MOST_NOISE = 0.3
"""Maximum standard deviation of the noise of a mean's values, whose range is 1; the other classes have too few images."""


def largest_norm(side: int) -> float:
    """Return the largest norm of an image with values in [-1/2, 1/2], three channels and `side` px."""
    return 0.5 * (3 * side * side) ** 0.5


def fewest_units(noise_multiplier: float, size: int) -> int:
    """Return the number of units that a class needs, so that the noise of its mean is at most `MOST_NOISE`.

    Args:
        noise_multiplier: standard deviation of the noise on each sum, of pixels and of the number of images.
        size: side of the images in px.
    """
    return math.ceil(2**0.5 * noise_multiplier * largest_norm(min(size, SIDE)) / MOST_NOISE)


def refuse_small_classes(privacy: PrivacyConfig, noise_multiplier: float | None, num_units: int, size: int) -> None:
    """Raise an error if no class can have a mean image, because all classes together have too few units.

    Args:
        privacy: settings of the guarantee.
        noise_multiplier: of the sums; None if there are no means.
        num_units: of the set; a run gives the noisy number.
        size: side of the images in px.

    Raises:
        UserError: the set is too small.
    """
    if noise_multiplier is None or num_units >= (needed := fewest_units(noise_multiplier, size)):
        return
    units = UNITS[privacy.unit]
    raise UserError(
        f"privacy.central_images: with this budget a class needs {needed:,} {units} for a mean image, but the set has about "
        f"{num_units:,} {units} in all; set privacy.central_images=false"
    )
