"""Convert any image file into RGB pixels of one size by fixed rules, or reject it with a reason."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from tckr.data.dicom import DicomFile, is_dicom
from tckr.data.intensity import DARKEST, FULL_RANGE, to_eight_bits
from tckr.data.layouts.names import suffix_of
from tckr.data.rejections import MAX_ASPECT, MIN_SIDE_PX, RULES, RejectedImageError
from tckr.data.treatment import Treatment

FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": ("png", "apng"),
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"),
    "MPO": ("jpg", "jpeg", "mpo"),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "TIFF": ("tif", "tiff"),
    "BMP": ("bmp", "dib"),
    "PPM": ("ppm", "pgm", "pbm", "pnm"),
    "JPEG2000": ("jp2", "j2k", "jpx", "jpf", "j2c", "jpc"),
    "AVIF": ("avif", "avifs"),
    "DICOM": ("dcm", "dicom"),
}
"""Formats that are decoded, with their extensions: DICOM by pydicom, all others by Pillow.

EPS and PDF are excluded, because they would start other programs."""

EXTENSIONS = {extension for extensions in FORMATS.values() for extension in extensions}
AS_IS = Treatment()

FITTED = {"crop": "cropped", "pad": "padded", "squash": "squashed"}
"""`prepare.fit` -> the rule that is counted for images that are not square."""

ORIENTATION_TAG = 0x0112
BITS_TAG = 258


@dataclass(frozen=True)
class NormalisedImage:
    """An image after all rules.

    Attributes:
        pixels: uint8 [S, S, 3].
        size: the source's (width, height) in px.
        rules: the rules that changed it.
        group: digest of the patient's id in a DICOM file; empty if there is none.
        values: smallest and largest value of a grey image with more than 8 bits, and the one that becomes white; else ().
    """

    pixels: np.ndarray
    size: tuple[int, int]
    rules: tuple[str, ...]
    values: tuple[float, ...] = ()
    group: str = ""

    @property
    def is_black(self) -> bool:
        """Return whether all pixels are black or nearly black."""
        return int(self.pixels.max()) <= DARKEST


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Make Pillow reject truncated files and decompression bombs, and hide other warnings.

    Warnings of pydicom are hidden because they may quote a patient's data.

    Both settings are global to the process: use this context once around all decoding threads.
    """
    Image.init()  # load all plugins now; otherwise Pillow loads them in a thread
    truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\..*|pydicom.*|tckr\.stages\.prepare\.dicom")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated


def max_file_bytes(max_pixels: int) -> int:
    """Return the size of an uncompressed 16-bit RGBA image of `max_pixels`, plus 1 MiB for the rest of the file."""
    return 8 * max_pixels + 2**20


def normalise_image(
    data: bytes, file: str, image_size: int, max_pixels: int, treatment: Treatment = AS_IS
) -> NormalisedImage:
    """Return the image in `data` as uint8 RGB [image_size, image_size, 3].

    The square made by `treatment.fit` is scaled with Pillow's antialiased bicubic filter; a crop equals scaling the
    shorter side to `image_size` and cropping. Call inside `strict_pillow`.

    Args:
        data: the encoded file.
        file: its name; only the extension is used.
        image_size: side in px.
        max_pixels: larger images are rejected before any pixel is decoded.
        treatment: how it is converted to a square with 8 bits.

    Raises:
        RejectedImageError: with the reason.
    """
    if not data:
        raise RejectedImageError("zero_bytes")
    if len(data) > max_file_bytes(max_pixels):
        raise RejectedImageError("file_too_large", f"{len(data)} bytes; at most {max_file_bytes(max_pixels)}")
    if is_dicom(data):
        return _from_dicom(data, file, image_size, max_pixels, treatment)
    try:
        with Image.open(io.BytesIO(data), formats=_readable()) as image:
            _check_header(image, max_pixels, treatment)
            return _decode(image, data, file, image_size, treatment)
    except RejectedImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RejectedImageError("too_many_pixels") from None
    except UnidentifiedImageError:
        raise RejectedImageError("not_an_image") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, IndexError, MemoryError, ...
        raise RejectedImageError("corrupt", " ".join(f"{type(error).__name__}: {error}".split())[:200]) from None


def _from_dicom(data: bytes, file: str, image_size: int, max_pixels: int, treatment: Treatment) -> NormalisedImage:
    try:
        opened = DicomFile(data)
        _check_size(opened.size, max_pixels)
        colour, rules, values = opened.picture(treatment)
        rules += [] if _extension_fits("DICOM", file) else ["extension"]
        return replace(fit_square(colour, rules, values, image_size, treatment), group=opened.group)
    except RejectedImageError:
        raise
    except Exception as error:  # its text may quote the file; a missing decoder raises RuntimeError
        raise RejectedImageError("corrupt", f"{type(error).__name__} in a DICOM file") from None


def _readable() -> list[str]:
    """Return the formats that this build of Pillow reads (MPO is read as JPEG; AVIF and JPEG 2000 may be missing)."""
    return [name for name in FORMATS if name in Image.OPEN]


def _check_header(image: ImageFile.ImageFile, max_pixels: int, treatment: Treatment) -> None:
    _check_size(image.size, max_pixels)
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise RejectedImageError("animated", f"{image.format} with several frames or pages")
    if image.mode in {"I", "F"} and treatment.intensity == "full":
        detail = f"mode {image.mode}; set prepare.intensity=range or window to define black and white"
        raise RejectedImageError("no_brightness_range", detail)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    detail = f"{width} x {height} px"
    if width * height > max_pixels:
        raise RejectedImageError("too_many_pixels", f"{detail}; at most {max_pixels} pixels")
    if min(width, height) < MIN_SIDE_PX:
        raise RejectedImageError("too_small", detail)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise RejectedImageError("too_elongated", detail)


def _decode(image: ImageFile.ImageFile, data: bytes, file: str, image_size: int, treatment: Treatment) -> NormalisedImage:
    rules = [] if _extension_fits(image.format or "", file) else ["extension"]
    rules += ["first_picture"] if image.format == "MPO" and getattr(image, "n_frames", 1) > 1 else []
    deep = _is_sixteen_bit(image, data)
    image.load()
    upright, turned = _turn_upright(image)
    values: tuple[float, ...] = ()
    if upright.mode.startswith("I") or upright.mode == "F":
        grey, values, spread = to_eight_bits(_as_native(np.asarray(upright)), treatment, FULL_RANGE)
        colour, changed = Image.fromarray(grey).convert("RGB"), ["greyscale", *spread]
        deep = deep and not spread
    else:
        colour, changed = _to_rgb(upright)
    rules += [*(["sixteen_bit"] if deep else []), *turned, *changed]
    return fit_square(colour, rules, values, image_size, treatment)


def _as_native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="))


def fit_square(
    colour: Image.Image, rules: list[str], values: tuple[float, ...], image_size: int, treatment: Treatment
) -> NormalisedImage:
    """Return the RGB image as a square, by `treatment.fit`; `rules` and `values` are stored with it."""
    width, height = colour.size
    if width != height:
        rules = [*rules, FITTED[treatment.fit]]
    if (max if treatment.fit == "pad" else min)(width, height) < image_size:
        rules = [*rules, "enlarged"]
    assert set(rules) <= RULES.keys(), rules
    square = (image_size, image_size)
    if treatment.fit == "crop":
        fitted = ImageOps.fit(colour, square, method=Image.Resampling.BICUBIC)
    elif treatment.fit == "pad":
        fitted = ImageOps.pad(colour, square, method=Image.Resampling.BICUBIC, color="black")
    else:
        fitted = colour.resize(square, Image.Resampling.BICUBIC)
    return NormalisedImage(np.asarray(fitted), (width, height), tuple(rules), values)


def _extension_fits(kind: str, file: str) -> bool:
    extension = suffix_of(file).lower().lstrip(".")
    return extension not in EXTENSIONS or extension in FORMATS.get(kind, ())


def _is_sixteen_bit(image: ImageFile.ImageFile, data: bytes) -> bool:
    if image.format == "PNG":
        return data[24] == 16  # IHDR: signature 8, length 4, type 4, width 4, height 4, then bits per channel
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(BITS_TAG, 8)
        return 16 in (bits if isinstance(bits, tuple) else (bits,))
    return image.mode.startswith("I;16")


def _turn_upright(image: Image.Image) -> tuple[Image.Image, list[str]]:
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        if orientation not in range(2, 9):
            return image, []
        return ImageOps.exif_transpose(image), ["exif_rotation"]
    except Exception:  # the pixels may be valid although the EXIF block is broken; its reader raises various types
        return image, ["exif_unreadable"]


def _to_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Return the image in 8-bit RGB and the colour rules that were applied."""
    rules = []
    if image.mode in {"P", "PA"}:
        rules.append("palette")
    elif image.mode in {"1", "L", "LA", "La"}:
        rules.append("greyscale")
    elif image.mode == "CMYK":
        rules.append("cmyk")
    elif image.mode in {"YCbCr", "LAB", "HSV"}:
        rules.append("colour_space")
    if image.has_transparency_data:
        rules.append("transparency")
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"), rules
    return image.convert("RGB"), rules
