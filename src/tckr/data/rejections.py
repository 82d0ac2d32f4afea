"""All reasons to reject a file and all rules that change one, as used in rejected.csv, the card and docs/data.md."""

from __future__ import annotations

from dataclasses import dataclass

MIN_SIDE_PX = 4
MAX_ASPECT = 8

REASONS: dict[str, str] = {
    "zero_bytes": "the file is empty",
    "file_too_large": "the file is larger than an uncompressed image with prepare.max_pixels pixels",
    "too_many_pixels": "the image has more than prepare.max_pixels pixels (decompression bomb)",
    "too_small": f"the shorter side has fewer than {MIN_SIDE_PX} px",
    "too_elongated": f"the longer side is over {MAX_ASPECT} times the shorter one: a square would show little of it",
    "not_an_image": "the content is not a PNG, JPEG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF or DICOM image",
    "dicom": "the file is DICOM, and the package pydicom, which reads it, is not installed",
    "corrupt": "the image cannot be decoded completely (corrupt or truncated)",
    "animated": "the file contains several frames or pages, and it is unknown which one to use",
    "no_brightness_range": "32-bit or floating-point pixels need prepare.intensity to define black and white",
    "unreadable": "the operating system refused to read the file or folder",
    "symlink": "the link leaves the data folder, is broken or a loop, or points to a folder",
    "not_a_file": "a pipe, socket or device",
    "hidden_folder": "names that start with a dot, and folders of a system (`__MACOSX`, `@eaDir`), are not read",
    "no_class_folder": "the file is not in a class folder",
    "folder_not_read": "the folder is beside the splits but is not a split",
    "mask": "the file has few values and a name like that of an image beside it, so it is a mask",
    "not_in_table": "no row of the table names the image",
    "other_file": "the file does not belong to the tables that were read",
    "corrupt_table": "the table, or a part of it, cannot be read, or lacks the columns",
    "split_not_used": "prepare reads only prepare.hub_split and prepare.test_split",
    "no_image": "the row has no image",
    "no_label": "the row has no label",
    "no_group": "prepare.group_column or prepare.group_pattern finds no group for the image",
    "label_out_of_range": "the label is not an index into the class names",
    "class_name_empty": "the class name has no readable characters",
    "class_name_too_long": "the class name has more than 100 characters",
    "class_name_ambiguous": "another class has a name that looks the same",
    "empty_class": "the class has no usable image",
    "class_too_small": "the class has fewer than prepare.min_images_per_class usable images",
    "too_few_groups": "the class is in fewer than 4 groups: test, validation, members and non-members need one each",
    "group_in_test": "the source's own test split has images of the same group",
    "duplicate": "an earlier image has the same pixels and the same label",
    "conflicting_labels": "the same pixels occur with different labels",
}
"""Reason -> meaning. A rejected file or row has exactly one reason."""

RULES: dict[str, str] = {
    "greyscale": "grey or black-and-white: the grey value is used for red, green and blue",
    "palette": "palette colours are replaced by their RGB values",
    "transparency": "transparent pixels are put on white",
    "cmyk": "CMYK is converted to RGB by Pillow's formula, without colour profile",
    "colour_space": "YCbCr, LAB or HSV is converted to RGB",
    "sixteen_bit": "the upper 8 of 16 bits per channel are kept",
    "exif_rotation": "the image is rotated by its EXIF orientation",
    "exif_unreadable": "the EXIF block cannot be read: the image is used as stored",
    "first_picture": "the first image of a multi-image JPEG (MPO: previews, depth, stereo) is used",
    "extension": "the file name's extension names another format: the content is used",
    "dicom": "DICOM: the first window in the file defines black and white; MONOCHROME1 is inverted",
    "range": "prepare.intensity=range: the image's smallest value becomes black, its largest white",
    "window": "prepare.intensity=window: the values of prepare.window become black and white",
    "cropped": "not square: the central square is used",
    "padded": "not square: black bars are added (prepare.fit=pad)",
    "squashed": "not square: the sides are scaled to one length (prepare.fit=squash)",
    "enlarged": "the side that decides the scale was smaller than prepare.image_size",
    "nested_folder": "the file is in a subfolder of its class folder and belongs to that class",
    "class_name": 'class names: Unicode NFC, no control or invisible characters, `/ \\ : " | ? *` become `-`, `<` and `>` '
    "become `under` and `over`, single spaces, no dots at the ends",
}
"""Rule -> meaning. All but the last are counted per kept image; `class_name` is counted per class."""


class RejectedImageError(Exception):
    """An image is rejected; `reason` is a key of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Check that the reason is in the dictionary."""
        assert reason in REASONS, reason
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """One line of rejected.csv.

    Attributes:
        file: name of the file or row in the source.
        reason: a key of REASONS.
        detail: what was found here.
    """

    file: str
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        """Check that the reason is in the dictionary."""
        assert self.reason in REASONS, self.reason
