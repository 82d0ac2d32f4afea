"""Every reason to refuse a file and every rule that changes one: the words of rejected.csv, the card and docs/data.md."""

from __future__ import annotations

from dataclasses import dataclass

MIN_SIDE_PX = 4
MAX_ASPECT = 8

REASONS: dict[str, str] = {
    "zero_bytes": "the file is empty",
    "file_too_large": "the file is larger than an uncompressed picture of prepare.max_pixels pixels",
    "too_many_pixels": "the picture has more than prepare.max_pixels pixels (decompression bomb)",
    "too_small": f"the shorter side has fewer than {MIN_SIDE_PX} px",
    "too_elongated": f"the longer side is over {MAX_ASPECT} times the shorter: in a square little of it would be left",
    "not_an_image": "the content is no PNG, JPEG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF or DICOM picture",
    "dicom": "the file is DICOM, and pydicom, which reads it, is not installed",
    "corrupt": "the picture cannot be decoded to its end (corrupt or truncated)",
    "animated": "the file holds several frames or pages, and which one is meant is unknown",
    "no_brightness_range": "32-bit or floating-point pixels have no black and white but by prepare.intensity",
    "unreadable": "the operating system did not let the file or folder be read",
    "symlink": "the link leaves the data folder, is broken or loops, or leads to a folder",
    "not_a_file": "a pipe, socket or device",
    "hidden_folder": "what starts with a dot, and folders of a system (`__MACOSX`, `@eaDir`), are not read",
    "no_class_folder": "the file lies in no class folder",
    "folder_not_read": "the folder lies beside the splits and is none",
    "mask": "the file holds few values and is named like a picture beside it: its mask",
    "not_in_table": "no row of the table names the picture",
    "other_file": "the file is not part of the tables that were read",
    "corrupt_table": "the table, or a part of it, cannot be read, or lacks the columns",
    "split_not_used": "prepare reads prepare.hub_split and prepare.test_split only",
    "no_image": "the row has no image",
    "no_label": "the row has no label",
    "no_group": "prepare.group_column or prepare.group_pattern finds no group for the picture",
    "label_out_of_range": "the label is no index into the class names",
    "class_name_empty": "nothing readable is left of the class name",
    "class_name_too_long": "the class name has over 100 characters",
    "class_name_ambiguous": "another class has a name that looks the same",
    "empty_class": "the class has no usable image",
    "class_too_small": "the class has fewer than prepare.min_images_per_class usable images",
    "too_few_groups": "the class is in fewer than 4 groups: test, validation, members and non-members need one each",
    "group_in_test": "the source's own test split has pictures of the same group",
    "duplicate": "the same pixels were there before with the same label",
    "conflicting_labels": "the same pixels occur under different labels",
}
"""Reason -> what it means. A refused file or row has exactly one."""

RULES: dict[str, str] = {
    "greyscale": "grey or black-and-white: the grey value becomes red, green and blue",
    "palette": "palette colours are looked up",
    "transparency": "transparent pixels are laid over white",
    "cmyk": "CMYK becomes RGB by Pillow's formula, without colour profile",
    "colour_space": "YCbCr, LAB or HSV becomes RGB",
    "sixteen_bit": "of 16 bits per channel the upper 8 are kept",
    "exif_rotation": "the picture is turned as its EXIF orientation says",
    "exif_unreadable": "the EXIF block cannot be read: the picture stays as stored",
    "first_picture": "of a multi-picture JPEG (MPO: previews, depth, stereo) the first picture is taken",
    "extension": "the file name's extension names another format: the content decides",
    "dicom": "DICOM: the first window in the file says what is black and white; MONOCHROME1 is inverted",
    "range": "prepare.intensity=range: the picture's smallest value becomes black, its largest white",
    "window": "prepare.intensity=window: the values of prepare.window become black and white",
    "cropped": "not square: the centre square is taken",
    "padded": "not square: black bars are added (prepare.fit=pad)",
    "squashed": "not square: the sides are scaled to one length (prepare.fit=squash)",
    "enlarged": "the side that decides the scale was smaller than prepare.image_size",
    "nested_folder": "the file lies in a subfolder of its class folder and belongs to that class",
    "class_name": 'class names: Unicode NFC, no control or invisible characters, `/ \\ : " | ? *` become `-`, `<` and `>` '
    "become `under` and `over`, single spaces, no dots at the ends",
}
"""Rule -> what it does. All but the last are counted per kept image; `class_name` per class."""


class RejectedImageError(Exception):
    """Says why a picture is refused: `reason` is a key of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Hold the reason to the dictionary."""
        assert reason in REASONS, reason
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """One line of rejected.csv.

    Attributes:
        file: the file or row, as the source names it.
        reason: a key of REASONS.
        detail: what was found here.
    """

    file: str
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        """Hold every reason to the dictionary."""
        assert self.reason in REASONS, self.reason
