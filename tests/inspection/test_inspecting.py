"""`tckr inspect` describes a data set, finds alike pictures, small classes, 16 bits and groups, and writes a page."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tckr.cli import main
from tckr.data.alike import difference_hash, find_alike, halves_of
from tests.cli.test_commands import call


def smooth(seed: int, side: int = 64) -> Image.Image:
    """Return a picture of a few blurred colours."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write two classes of 10, in splits, one test picture a brighter JPEG of a training picture, and one emu."""
    root = tmp_path / "data"
    for kind, first in (("cat", 0), ("dog", 100)):
        for split, count in (("train", 10), ("test", 3)):
            (root / split / kind).mkdir(parents=True)
            for number in range(count):
                place = root / split / kind / f"patient{number // 2}_{number}.png"
                smooth(first + number + (50 if split == "test" else 0)).save(place)
    smooth(0).point(lambda value: value * 0.9 + 10).save(root / "test" / "cat" / "again.jpg")
    (root / "train" / "emu").mkdir()
    smooth(300).save(root / "train" / "emu" / "0.png")
    deep = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    Image.fromarray(deep).save(root / "train" / "cat" / "deep.png")
    (root / "train" / "cat" / "broken.png").write_bytes(b"")
    return root


def inspect(monkeypatch, capsys, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["tckr", "inspect", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


def test_it_names_the_requested_groups(monkeypatch, capsys, data: Path) -> None:
    text = inspect(monkeypatch, capsys, data, "prepare.group_pattern=patient([0-9]+)_")
    assert re.search(r"5 groups from 'patient\(\[0-9\]\+\)_' in the path", text)
    assert "splits and membership are sampled by group" in text


@pytest.mark.parametrize(
    "said",
    [
        "understood as class folders in folders of splits",
        r"emu\D+1\D+0",
        r"1 class has fewer than 8 images to train on and would be left out: emu \(1\)",
        "refused: zero_bytes",
        r"use the values 0 to 4,09., and 65,535 becomes white: they come out dark. Set prepare.intensity=window",
        r"2 images look like another one \(1 pairs\): 1 pairs are divided between training and test split, 0 have",
        "again.jpg and",
        "5 different numbers of patients or parts in 26 images",
    ],
)
def test_it_says_what_is_there(monkeypatch, capsys, data: Path, said: str) -> None:
    assert re.search(said, inspect(monkeypatch, capsys, data))


def test_it_says_when_too_few_classes_are_left_for_a_run(monkeypatch, capsys, data: Path) -> None:
    assert "a run needs" not in inspect(monkeypatch, capsys, data)
    asked = "prepare.min_images_per_class=11"  # 11 cats and 10 dogs; the emu alone lacks more
    assert "1 class would be left: a run needs at least 2 with 11" in inspect(monkeypatch, capsys, data, asked)


def test_the_page_contains_its_pictures_and_loads_nothing_else(monkeypatch, capsys, data: Path, tmp_path: Path) -> None:
    inspect(monkeypatch, capsys, data, "--page", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 6 + 6 + 1  # of each class, at most six
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)


def test_a_layout_that_is_refused_is_the_users_error(monkeypatch, capsys, tmp_path: Path) -> None:
    (tmp_path / "data" / "images").mkdir(parents=True)
    smooth(0).save(tmp_path / "data" / "images" / "0.png")
    monkeypatch.setattr(sys, "argv", ["tckr", "inspect", str(tmp_path / "data")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "'images' are not classes" in capsys.readouterr().err


def test_hashes_that_differ_in_three_bits_at_most_are_found_and_flat_ones_left_out() -> None:
    generator = np.random.default_rng(0)
    halves = generator.integers(2**64, size=(2000, 2), dtype=np.uint64).tolist()
    hashes = [one << 64 | other for one, other in halves]
    three, four = 0b1011, 1 << 5 | 1 << 20 | 1 << 40 | 1 << 60
    hashes += [hashes[5] ^ (three << 64) ^ three, hashes[7] ^ (four << 64), hashes[9] ^ four, 0, 0]
    assert find_alike([half for value in hashes for half in halves_of(value)]).tolist() == [[5, 2000]]


def test_a_hash_does_not_follow_size_or_brightness_and_a_flat_picture_has_none() -> None:
    one, other = (np.asarray(smooth(3, side)) for side in (64, 64))
    darker = (other * 0.8).astype(np.uint8)
    assert (difference_hash(one) ^ difference_hash(darker)).bit_count() <= 3
    assert difference_hash(one[::-1]) != difference_hash(one) != difference_hash(one[:, ::-1])
    assert difference_hash(np.full((64, 64, 3), 9, np.uint8)) == 0


def test_the_page_overwrites_no_file_and_is_its_owner_s_alone(monkeypatch, capsys, data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    inspect(monkeypatch, capsys, data, "--page", page)
    assert page.stat().st_mode & 0o777 == 0o600
    page.write_text("mine")
    status, _, err = call(monkeypatch, capsys, "inspect", str(data), "--page", str(page))
    assert (status, page.read_text()) == (2, "mine")
    assert "exists and is not overwritten" in err
