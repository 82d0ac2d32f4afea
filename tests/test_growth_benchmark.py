"""The exponents of `benchmarks/growth.py` are those of the seconds it measured, and it marks what is worse than linear."""

from __future__ import annotations

import pytest
from benchmarks.growth import Row, exponent

NUMBERS = (160, 640, 2560)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("constant", [0.0, 40.0])
def test_a_power_is_found_beside_a_constant(power: float, constant: float) -> None:
    seconds = [constant + 0.1 * number**power for number in NUMBERS]
    assert exponent(NUMBERS, seconds) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize("seconds", [(3.0, 3.1, 3.2), (3.0, 2.9, 9.0), (9.0, 5.0, 3.0)])
def test_what_does_not_grow_has_none(seconds: tuple[float, ...]) -> None:
    assert exponent(NUMBERS, seconds) is None


@pytest.mark.parametrize(
    ("power", "megabytes", "remarks"),
    [(1.0, (500, 505, 520), ""), (2.0, (500, 500, 500), "time"), (None, (500, 550, 600), "memory")],
)
def test_what_grows_too_much_is_marked(power: float | None, megabytes: tuple[float, ...], remarks: str) -> None:
    assert Row("private", "audit", NUMBERS, (1, 2, 3), megabytes, power).remarks == remarks
