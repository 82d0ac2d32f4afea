"""Every picture is marked as synthetic, and contains nothing else besides its pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, PngImagePlugin

from tckr.data.images import decode_image
from tckr.releasing.marking import SOURCE_TYPE, mark_png, png_chunks


def picture() -> bytes:
    """Return a PNG with EXIF, a text and a time beside its pixels."""
    pixels, file = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8), io.BytesIO()
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "zoe_winter")
    notes.add(b"tIME", bytes(7))
    exif = Image.Exif()
    exif[0x013B] = "zoe_winter"
    Image.fromarray(pixels).save(file, format="PNG", pnginfo=notes, exif=exif)
    return file.getvalue()


def test_a_marked_picture_has_its_pixels_and_the_mark_alone():
    png = picture()
    marked = mark_png(png)
    assert np.array_equal(decode_image(marked), decode_image(png))
    assert [kind for kind, _ in png_chunks(marked)] == [b"IHDR", b"iTXt", b"IDAT", b"IEND"]
    assert b"zoe_winter" in png
    assert b"zoe_winter" not in marked


def test_the_mark_is_xmp_that_other_programs_read():
    with Image.open(io.BytesIO(mark_png(picture()))) as image:
        image.load()
        assert SOURCE_TYPE in image.info["XML:com.adobe.xmp"]
    assert SOURCE_TYPE.endswith("trainedAlgorithmicMedia")


def test_marking_twice_is_marking_once():
    once = mark_png(picture())
    assert mark_png(once) == once
