"""Pictures become squares of 8 bits according to the settings; the range is printed, and black pictures cause a warning."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from tckr.artifacts.data_card import DataCard
from tckr.data.intensity import spread
from tckr.data.layouts.description import read_layout
from tckr.data.normalise import normalise_image, strict_pillow
from tckr.data.treatment import Treatment
from tckr.stages.prepare.config import PrepareConfig
from tckr.stages.prepare.stage import run
from tests.stages.prepare.pictures import encoded, picture, pixels
from tests.tiny_artifacts import Recorder, make_context


def treated(content: bytes, size: int = 12, **treatment: object):
    with strict_pillow():
        return normalise_image(content, "a.png", size, 10**6, Treatment(**treatment))


def twelve_bits(seed: int = 0, dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4096, (12, 12)).astype(dtype)


def test_the_window_scales_all_pictures_alike_and_what_is_outside_is_black_or_white() -> None:
    values = twelve_bits()
    found = treated(encoded(Image.fromarray(values)), intensity="window", window=(1000.0, 3000.0))
    expected = np.round(np.clip((values.astype(float) - 1000) / 2000, 0, 1) * 255)
    assert (found.pixels == expected[:, :, None]).all()
    assert found.values == (values.min(), values.max(), 3000)
    assert set(found.rules) == {"greyscale", "window"}


def test_the_range_is_each_picture_s_own() -> None:
    for values in (twelve_bits() + 500, twelve_bits() // 8):
        found = treated(encoded(Image.fromarray(values.astype(np.uint16))), intensity="range").pixels
        assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pictures_of_32_bits_are_read_where_a_setting_says_what_is_black_and_white(dtype: type) -> None:
    content = encoded(Image.fromarray(twelve_bits(1, dtype) - dtype(2000)), "TIFF")
    found = treated(content, intensity="window", window=(-2000.0, 2095.0))
    assert (found.pixels == np.round(twelve_bits(1) / 4095 * 255)[:, :, None]).all()


def test_what_is_no_number_is_black_and_a_flat_picture_breaks_nothing() -> None:
    assert spread(np.array([np.nan, np.inf, -np.inf, 5.0]), 0, 10).tolist() == [0, 255, 0, 128]
    assert spread(np.array([7.0, 7.0]), 7, 7).tolist() == [0, 0]


def test_full_keeps_the_upper_byte_and_8_bits_are_left_alone() -> None:
    values = twelve_bits()
    assert (treated(encoded(Image.fromarray(values))).pixels == (values >> 8)[:, :, None]).all()
    plain = encoded(picture(3))
    assert (treated(plain, intensity="window", window=(0.0, 9.0)).pixels == pixels(3)).all()


def test_a_pad_shows_all_of_the_picture_between_black_bars() -> None:
    found = treated(encoded(picture(4, size=(12, 6))), fit="pad")
    assert (found.pixels[3:9] == pixels(4, (12, 6))).all()
    assert not found.pixels[:3].any()
    assert not found.pixels[9:].any()
    assert found.rules == ("padded",)


def test_a_squash_shows_all_of_the_picture_without_bars() -> None:
    image = Image.fromarray(np.repeat(np.arange(24, dtype=np.uint8)[None, :] * 10, 12, axis=0))
    found = treated(encoded(image), fit="squash")
    assert found.rules == ("greyscale", "squashed")
    columns = found.pixels[6, :, 0].astype(int)
    assert columns[0] < 20
    assert columns[-1] > 210


def test_a_square_picture_is_the_same_whatever_the_fit() -> None:
    assert all((treated(encoded(picture(5)), fit=fit).pixels == pixels(5)).all() for fit in ("crop", "pad", "squash"))


def write_scans(root: Path, peak: int) -> Path:
    for kind in ("cat", "dog"):
        (root / kind).mkdir(parents=True)
        for number in range(10):
            values = np.random.default_rng([number, kind == "cat"]).integers(0, peak, (12, 12)).astype(np.uint16)
            Image.fromarray(values).save(root / kind / f"{number}.png")
    return root


def told(folder: Path, source: Path, **settings: object) -> str:
    recorder = Recorder()
    run(PrepareConfig(source=str(source), image_size=8, **settings), make_context(folder, {}, recorder=recorder))
    return "\n".join(event["message"] for event in recorder.events if event["event"] == "warning")


def test_a_small_part_of_the_range_is_said_with_the_setting_that_mends_it(tmp_path: Path) -> None:
    data = write_scans(tmp_path / "data", 4096)
    text = told(tmp_path / "dark", data)
    found = re.search(r"20 grey pictures of more than 8 bits use the values \d to 4,0\d\d, and 65,535 becomes white", text)
    assert found
    assert "black" not in text  # the same pictures, and one way to mend it
    setting = re.search(r"prepare.window=\[(\d+),(\d+)\]", text)
    assert setting
    window = [float(setting[1]), float(setting[2])]
    assert told(tmp_path / "mended", data, intensity="window", window=window) == ""
    assert "use the values" in "\n".join(read_layout(tmp_path / "mended" / "out").notes)
    assert DataCard.read(tmp_path / "mended" / "out").normalised == {"greyscale": 20, "window": 20}


def test_black_pictures_are_counted(tmp_path: Path) -> None:
    data = write_scans(tmp_path / "data", 65_536)
    black = np.random.default_rng(0).integers(0, 9, (12, 12)).astype(np.uint8)
    Image.fromarray(black).save(data / "cat" / "black.png")
    assert "1 of 21 pictures come out black: none of their pixels is brighter than 15 of 255" in told(tmp_path, data)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"intensity": "window"}, "do not fit together"),
        ({"window": [0.0, 9.0]}, "do not fit together"),
        ({"intensity": "window", "window": [9.0, 9.0]}, r"is not a window; expected \[low, high\]"),
        ({"intensity": "window", "window": [9.0]}, r"is not a window; expected \[low, high\]"),
    ],
)
def test_a_window_that_is_missing_or_without_effect_is_an_error(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        PrepareConfig(**settings)
