"""Read a DICOM file: its pixels, by the window in the file, and a digest of the patient. All other tags are ignored.

Needs pydicom (the extra `dicom`). Messages of pydicom are not shown, because they may quote a patient's data.
"""

from __future__ import annotations

import hashlib
import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tckr.data.intensity import to_eight_bits
from tckr.data.rejections import RejectedImageError
from tckr.data.treatment import Treatment

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128
MARK = b"DICM"
PATIENT = "PatientID"
SHAPE = ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration")
BITS = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
PALETTE = tuple(
    f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")
)
GREY = (
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
)
READ = (PATIENT, "PixelData", *SHAPE, *BITS, *PALETTE, *GREY)
"""Tags that are read; all others are skipped."""


def is_dicom(data: bytes) -> bool:
    """Return whether a file starts like a DICOM file."""
    return data[PREAMBLE : PREAMBLE + len(MARK)] == MARK


class DicomFile:
    """An open DICOM file whose pixels are not decoded yet."""

    def __init__(self, data: bytes) -> None:
        """Read the tags in `READ`.

        Raises:
            RejectedImageError: pydicom is not installed, or the file cannot be read, has several frames, or no pixels.
        """
        try:
            import pydicom
        except ImportError:
            raise RejectedImageError("dicom", "install it with: pip install 'tckr[dicom]'") from None
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        logging.getLogger("pydicom").setLevel(logging.CRITICAL)
        self._tags: Dataset = pydicom.dcmread(io.BytesIO(data), specific_tags=list(READ))
        if "PixelData" not in self._tags:
            raise RejectedImageError("not_an_image", "DICOM without pixel data")
        if (frames := int(self._tags.get("NumberOfFrames") or 1)) > 1:
            advice = "save the frames that are separate images as one file each"
            raise RejectedImageError("animated", f"DICOM with {frames} frames; {advice}")
        self.size = int(self._tags.Columns), int(self._tags.Rows)

    @property
    def group(self) -> str:
        """Return a digest of the patient's id; empty if the file has none."""
        patient = str(self._tags.get(PATIENT) or "").strip()
        return hashlib.sha256(f"DICOM patient {patient}".encode()).hexdigest() if patient else ""

    def picture(self, treatment: Treatment) -> tuple[Image.Image, list[str], tuple[float, ...]]:
        """Return the image in RGB, the rules that changed it, and the values of a grey image."""
        from pydicom.pixels import apply_color_lut, pixel_array

        pixels = pixel_array(self._tags)
        colours = str(self._tags.PhotometricInterpretation)
        if colours.startswith("MONOCHROME"):
            return self._grey(pixels, treatment, inverted=colours == "MONOCHROME1")
        if colours == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, self._tags)
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        rules = ["palette"] if colours == "PALETTE COLOR" else ["colour_space"] if colours.startswith("YBR") else []
        return Image.fromarray(np.ascontiguousarray(pixels[..., :3], dtype=np.uint8)), ["dicom", *rules], ()

    def _grey(
        self, stored: np.ndarray, treatment: Treatment, *, inverted: bool
    ) -> tuple[Image.Image, list[str], tuple[float, ...]]:
        from pydicom.pixels import apply_modality_lut

        values = np.asarray(apply_modality_lut(stored, self._tags), dtype=np.float64)
        full = self._full_range()
        if treatment.intensity == "full":
            values, full = self._windowed(values, full)
        grey, found, rules = to_eight_bits(values, treatment, full)
        grey = 255 - grey if inverted else grey
        return Image.fromarray(grey).convert("RGB"), ["dicom", "greyscale", *rules], found

    def _full_range(self) -> tuple[float, float]:
        """Return the smallest and largest value of the stored bits, rescaled."""
        from pydicom.pixels import apply_modality_lut

        bits, signed = int(self._tags.BitsStored), bool(self._tags.PixelRepresentation)
        ends = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1]
        if "ModalityLUTSequence" in self._tags:
            return 0.0, float(2 ** int(self._tags.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
        low, high = sorted(np.asarray(apply_modality_lut(np.array(ends), self._tags), dtype=np.float64).tolist())
        return low, high

    def _windowed(self, values: np.ndarray, full: tuple[float, float]) -> tuple[np.ndarray, tuple[float, float]]:
        """Return the values, and which of them become black and white by the file's first window (DICOM PS3.3 C.11.2)."""
        from pydicom.pixels import apply_voi

        if "VOILUTSequence" in self._tags:
            table = self._tags.VOILUTSequence[0]
            seen = apply_voi(values.astype(np.int64), self._tags)
            return np.asarray(seen, dtype=np.float64), (0.0, float(2 ** int(table.LUTDescriptor[2]) - 1))
        centre, width = (_first(self._tags.get(name)) for name in ("WindowCenter", "WindowWidth"))
        if centre is None or width is None or width < 1:
            return values, full
        kind = str(self._tags.get("VOILUTFunction") or "LINEAR")
        if kind == "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))), (0.0, 1.0)
        if kind == "LINEAR_EXACT":
            return values, (centre - width / 2, centre + width / 2)
        return values, (centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _first(value: Any) -> float | None:
    """Return the first of one or several numbers."""
    if value is None or value == "":
        return None
    return float(value if isinstance(value, (int, float, str)) else value[0])
