"""Every odd file is refused with its reason or normalised by its rule, counted and listed; none is skipped silently."""

from __future__ import annotations

import csv
import io
import os
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tckr.artifacts.data_card import DataCard
from tckr.data import normalise
from tckr.data.images import load_images
from tckr.data.normalise import RejectedImageError, normalise_image, strict_pillow
from tckr.data.rejections import REASONS, RULES
from tckr.data.sources.files import read_file
from tckr.errors import printable
from tests.stages.prepare.pictures import encoded, picture, pixels, png, prepared, write_classes


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def bomb() -> bytes:
    """Return a small PNG that claims 50,000 x 50,000 px."""
    return raw_png(50_000, 50_000, 8, 2, b"\0" * 100)


def sixteen_bit_colour() -> bytes:
    samples = np.random.default_rng(90).integers(0, 2**16, (12, 12 * 3)).astype(">u2")
    return raw_png(12, 12, 16, 2, b"".join(b"\0" + row.tobytes() for row in samples))


def grey_sixteen() -> Image.Image:
    return Image.fromarray(np.random.default_rng(91).integers(0, 2**16, (12, 12)).astype(np.uint16))


def animation(kind: str) -> bytes:
    frames = [picture(seed) for seed in range(100, 103)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def broken_exif() -> bytes:
    return encoded(picture(92), "JPEG", exif=b"Exif\0\0" + b"MM\0*" + b"\xff" * 40)


def transparent_palette() -> bytes:
    return encoded(picture(93).quantize(8), "PNG", transparency=0)


def truncated(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def flipped_bit(data: bytes) -> bytes:
    """Return the PNG with a damaged byte inside its pixel data."""
    place = data.index(b"IDAT") + 30
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def rejected(out: Path) -> dict[str, tuple[str, str]]:
    with (out / "rejected.csv").open(encoding="utf-8", newline="") as file:
        return {line["file"]: (line["reason"], line["detail"]) for line in csv.DictReader(file)}


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "zero_bytes"),
    "truncated.png": (truncated(png(200)), "corrupt"),
    "truncated.jpg": (truncated(encoded(picture(201, size=(64, 64)), "JPEG")), "corrupt"),
    "truncated.gif": (truncated(encoded(picture(202, size=(64, 64)), "GIF")), "corrupt"),
    "truncated.webp": (truncated(encoded(picture(203), "WEBP")), "corrupt"),
    "truncated.tif": (truncated(encoded(picture(204), "TIFF")), "corrupt"),
    "truncated.bmp": (truncated(encoded(picture(205), "BMP")), "corrupt"),
    "damaged.png": (flipped_bit(png(206)), "corrupt"),
    "header only.png": (png(207)[:8], "not_an_image"),
    "bomb.png": (bomb(), "too_many_pixels"),
    "large.png": (encoded(Image.new("RGB", (2100, 2100))), "too_many_pixels"),
    "huge file.png": (b"\0" * (9 * 2**20 * 5), "file_too_large"),
    "animated.gif": (animation("GIF"), "animated"),
    "animated.webp": (animation("WEBP"), "animated"),
    "animated.png": (animation("PNG"), "animated"),
    "pages.tiff": (animation("TIFF"), "animated"),
    "one pixel.png": (encoded(picture(208, size=(1, 1))), "too_small"),
    "thin.png": (encoded(picture(209, size=(3, 12))), "too_small"),
    "elongated.png": (encoded(picture(210, size=(200, 12))), "too_elongated"),
    "float.tiff": (encoded(picture(211, "F"), "TIFF"), "no_brightness_range"),
    "int32.tiff": (encoded(picture(212, "I"), "TIFF"), "no_brightness_range"),
    "notes.txt": (b"remember the milk", "not_an_image"),
    ".DS_Store": (b"\0\0\0\1Bud1", "hidden_folder"),
    "._000.png": (b"\0\5\26\7\0\2\0\0Mac OS X", "hidden_folder"),
    "page.html.png": (b"<html><img src=x onerror=alert(1)></html>", "not_an_image"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "not_an_image"),
    "archive.zip": (b"PK\3\4" + b"\0" * 60, "not_an_image"),
    "evil.pkl": (b"\x80\x04cos\nsystem\n(S'touch /tmp/pwned'\ntR.", "not_an_image"),
    "a,b\n=1+1.png": (b"nothing", "not_an_image"),
}
"""File in class `odd` -> (content, the reason it must be refused for)."""

NORMALISED: dict[str, tuple[bytes, set[str]]] = {
    "plain.png": (png(300), set()),
    "UPPER.PNG": (png(301), set()),
    "no extension": (png(302), set()),
    "really a png.jpg": (png(303), {"extension"}),
    "really a jpeg.png": (encoded(picture(304), "JPEG"), {"extension"}),
    "photo.jpeg": (encoded(picture(305), "JPEG"), set()),
    "progressive.jpg": (encoded(picture(306), "JPEG", progressive=True), set()),
    "still.gif": (encoded(picture(307).quantize(16), "GIF"), {"palette"}),
    "still.webp": (encoded(picture(308), "WEBP"), set()),
    "still.tiff": (encoded(picture(309), "TIFF"), set()),
    "still.bmp": (encoded(picture(310), "BMP"), set()),
    "still.ppm": (encoded(picture(311), "PPM"), set()),
    "still.jp2": (encoded(picture(312), "JPEG2000"), set()),
    "grey.png": (encoded(picture(313, "L")), {"greyscale"}),
    "bits.png": (encoded(picture(314, "1")), {"greyscale"}),
    "grey alpha.png": (encoded(picture(315, "LA")), {"greyscale", "transparency"}),
    "alpha.png": (encoded(picture(316, "RGBA")), {"transparency"}),
    "palette.png": (encoded(picture(317).quantize(16)), {"palette"}),
    "clear palette.png": (transparent_palette(), {"palette", "transparency"}),
    "print.jpg": (encoded(picture(318, "CMYK"), "JPEG"), {"cmyk"}),
    "print.tif": (encoded(picture(319, "CMYK"), "TIFF"), {"cmyk"}),
    "lab.tif": (encoded(picture(320, "LAB"), "TIFF"), {"colour_space"}),
    "deep grey.png": (encoded(grey_sixteen()), {"greyscale", "sixteen_bit"}),
    "deep grey.tif": (encoded(grey_sixteen().rotate(180), "TIFF"), {"greyscale", "sixteen_bit"}),
    "deep colour.png": (sixteen_bit_colour(), {"sixteen_bit"}),
    "turned.jpg": (encoded(picture(321, size=(16, 12)), "JPEG", exif=exif(6)), {"exif_rotation", "cropped"}),
    "broken exif.jpg": (broken_exif(), set()),
    "stereo.jpg": (encoded(picture(322), "MPO", save_all=True, append_images=[picture(323)]), {"first_picture"}),
    "wide.png": (encoded(picture(324, size=(60, 12))), {"cropped"}),
    "small.png": (encoded(picture(325, size=(5, 5))), {"enlarged"}),
    "sub/deeper/below.png": (png(326), {"nested_folder"}),
    "näme — 猫.png": (png(327), set()),
}
"""File in class `odd` -> (content, the rules that must be counted)."""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare one folder that holds every odd file beside a plain class."""
    root = tmp_path_factory.mktemp("odd")
    data = write_classes(root / "data", {"plain": 12})
    for name, (content, _) in {**REFUSED, **NORMALISED}.items():
        path = data / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    add_traps(root, data)
    return prepared(root, data, max_pixels=2000 * 2000)


def add_traps(root: Path, data: Path) -> None:
    """Add links, pipes, stray files, and folders that are not classes."""
    (root / "outside.png").write_bytes(png(400))
    (data / "odd" / "outside.png").symlink_to(root / "outside.png")
    (data / "odd" / "inside.png").symlink_to(data / "odd" / "plain.png")
    (data / "odd" / "loop.png").symlink_to(data / "odd" / "loop.png")
    (data / "odd" / "dangling.png").symlink_to(data / "nowhere.png")
    (data / "odd" / "loop folder").symlink_to(data, target_is_directory=True)
    os.mkfifo(data / "odd" / "pipe.png")
    (data / "odd" / "again.png").write_bytes(NORMALISED["plain.png"][0])
    (data / "odd" / "conflict.png").write_bytes(png(401))
    (data / "plain" / "conflict.png").write_bytes(png(401))
    (data / "stray.png").write_bytes(png(402))
    (data / "readme.txt").write_text("hello")
    (data / ".git").mkdir()
    (data / "empty").mkdir()
    write_classes(data, {"few": 3}, first_seed=500)


TRAPS = {
    "odd/outside.png": "symlink",
    "odd/loop.png": "symlink",
    "odd/dangling.png": "symlink",
    "odd/loop folder": "symlink",
    "odd/pipe.png": "not_a_file",
    "odd/plain.png": "duplicate",
    "odd/inside.png": "duplicate",
    "odd/conflict.png": "conflicting_labels",
    "plain/conflict.png": "conflicting_labels",
    "stray.png": "no_class_folder",
    "readme.txt": "no_class_folder",
    ".git": "hidden_folder",
    "empty": "empty_class",
    "few/000.png": "class_too_small",
    "few/001.png": "class_too_small",
    "few/002.png": "class_too_small",
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unusable_file_is_refused_with_its_reason(artifact: Path, name: str) -> None:
    assert rejected(artifact)[printable(f"odd/{name}")][0] == REFUSED[name][1]


@pytest.mark.parametrize("name", TRAPS)
def test_links_pipes_copies_and_strays_are_refused_with_their_reason(artifact: Path, name: str) -> None:
    assert rejected(artifact)[name][0] == TRAPS[name]


@pytest.mark.parametrize("name", NORMALISED)
def test_an_unusual_file_is_normalised_by_its_rules(name: str) -> None:
    content, rules = NORMALISED[name]
    with strict_pillow():
        image = normalise_image(content, name, 8, 10**6)
    assert set(image.rules) == rules - {"nested_folder"}
    assert image.pixels.shape == (8, 8, 3)
    assert image.pixels.dtype == np.uint8


def test_nothing_else_is_refused_and_every_rule_is_counted(artifact: Path) -> None:
    card = DataCard.read(artifact)
    assert set(rejected(artifact)) == {printable(f"odd/{name}") for name in REFUSED} | set(TRAPS)
    assert card.rejected == dict(Counter(reason for reason, _ in rejected(artifact).values()))
    rules = Counter(rule for name, (_, rules) in NORMALISED.items() for rule in rules)
    assert card.normalised == dict(rules)
    assert card.class_names == ["odd", "plain"]
    assert sum(card.counts["odd"].values()) == len(NORMALISED)


def test_a_duplicate_names_the_file_it_repeats(artifact: Path) -> None:
    assert rejected(artifact)["odd/plain.png"][1] == "same pixels as odd/again.png"
    assert "plain/conflict.png" in rejected(artifact)["odd/conflict.png"][1]


def test_every_reason_and_rule_is_explained_in_the_docs() -> None:
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    for word, meaning in {**REASONS, **RULES}.items():
        assert f"| `{word}` | {meaning.replace('|', chr(92) + '|')} |" in text, word


def test_more_than_thirty_kinds_are_tried() -> None:
    assert len(REFUSED) + len(TRAPS) + len(NORMALISED) > 70


def test_a_vanished_or_forbidden_file_is_unreadable(tmp_path: Path) -> None:
    assert read_file(tmp_path / "gone.png", 100) == (b"", "unreadable", "No such file or directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_files_and_folders_are_listed(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"cat": 9, "dog": 9})
    (data / "cat" / "000.png").chmod(0)
    (data / "dog" / "locked").mkdir(mode=0)
    found = rejected(prepared(tmp_path, data))
    (data / "dog" / "locked").chmod(0o700)
    assert {name: reason for name, (reason, _) in found.items()} == {"cat/000.png": "unreadable", "dog/locked": "unreadable"}


def test_truncated_files_stay_refused_when_another_library_allows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise.ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with strict_pillow(), pytest.raises(RejectedImageError, match="corrupt"):
        normalise_image(REFUSED["truncated.jpg"][0], "a.jpg", 8, 10**6)
    assert normalise.ImageFile.LOAD_TRUNCATED_IMAGES is True


def one(content: bytes, size: int = 12) -> np.ndarray:
    with strict_pillow():
        return normalise_image(content, "a.png", size, 10**6).pixels


def test_a_picture_of_the_right_size_keeps_its_pixels() -> None:
    assert (one(png(1)) == pixels(1)).all()


def test_transparency_becomes_white() -> None:
    layer = Image.fromarray(np.dstack([pixels(2), np.zeros((12, 12), np.uint8)]))
    assert (one(encoded(layer)) == 255).all()


def test_sixteen_bit_grey_keeps_the_upper_byte() -> None:
    image = grey_sixteen()
    assert (one(encoded(image)) == (np.asarray(image) >> 8)[:, :, None]).all()


def test_sixteen_bit_colour_keeps_the_upper_byte() -> None:
    samples = np.random.default_rng(90).integers(0, 2**16, (12, 12, 3))
    assert (one(sixteen_bit_colour()) == samples >> 8).all()


def test_exif_orientation_six_turns_the_picture_clockwise() -> None:
    upright = encoded(picture(3), "PNG", exif=exif(6))
    assert (one(upright) == np.rot90(pixels(3), -1)).all()


def test_the_centre_square_is_taken() -> None:
    assert (one(encoded(picture(4, size=(20, 12)))) == pixels(4, (20, 12))[:, 4:16]).all()


def test_stored_images_are_rgb_png_of_the_requested_size(artifact: Path) -> None:
    images = load_images(artifact / "pool", None)
    assert images.images.shape[1:] == (8, 8, 3)
    with Image.open(io.BytesIO(encoded(picture(0)))) as image:
        assert image.format == "PNG"
