"""Settings of `prepare`."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tckr.data.sources import SourceKind
from tckr.data.treatment import Fit, Intensity, Treatment
from tckr.data.unpacking import MOST_UNPACKED
from tckr.stages.config_base import StageConfig
from tckr.strict import MOST_CLASSES, PathName, Word

PILLOW_PIXEL_LIMIT = 89_478_485
"""Above this Pillow itself treats an image as a decompression bomb."""


GreyValue = Annotated[float, Field(ge=-1e9, le=1e9)]


class PrepareConfig(StageConfig):
    """What to read and how to split it."""

    version: ClassVar[int] = 8

    source: PathName = Field(
        "digits",
        min_length=1,
        description=(
            "`digits` (scikit-learn's handwritten digits), a folder class_name/*.png, a .parquet file or a folder of them, "
            "or a Hugging Face data set: owner/name, optionally @revision, or a local folder."
        ),
    )
    public: bool = Field(
        False,
        description=(
            "Declare that the images are public. Splits and membership then depend only on `seed`: every run gives the same "
            "numbers, and anyone can compute who is a member. Never use it for images that may not be "
            "shared. `digits` is always public."
        ),
    )
    layout: Literal["auto", "class_folders", "split_folders", "table"] = Field(
        "auto",
        description=(
            "How to read a folder that can be read in several ways: class_folders (every folder is a class), split_folders "
            "(train/class_name/*), table (labels from a table beside the images). auto = detect, and stop if that is "
            "ambiguous."
        ),
    )
    table: PathName = Field("", description="The table of labels in a folder, relative to it; empty = detect.")
    image_column: Word = Field("", description="Column of the images, or of their paths, in a table; empty = detect.")
    label_column: Word = Field("", description="Column of the labels in a table; empty = detect.")
    follow_links: bool = Field(
        False,
        description=(
            "Read files behind symbolic links that point outside of the data folder, as DVC and git-annex create them. The "
            "author of the folder can then choose which of your files are read. Links to folders are never followed."
        ),
    )
    group_column: Word = Field(
        "",
        description=(
            "Column of a table that names the group of each image (patient, part, sign). A group is never "
            "divided between splits, or between members and non-members. Empty = every image is its own group."
        ),
    )
    group_pattern: Word = Field(
        "",
        description=(
            "Regular expression with one capture group that finds the group in the image's path, relative to the source "
            "(`patient_([0-9]+)`), or in the text of `group_column` if that is set."
        ),
    )
    class_names: dict[Word, Word] = Field(
        default_factory=dict,
        max_length=MOST_CLASSES,
        description=(
            "Name or number of each class in the source -> name to use, for sources that name classes by codes. A class "
            "that already has its final name may be omitted. Empty = the names of the source."
        ),
    )
    hub_split: Word = Field("train", min_length=1, description="Split of a Hugging Face data set to split further.")
    test_split: Word = Field(
        "test",
        description=(
            "The source's split of this name becomes the locked test split. If it does not exist, or if this is empty, "
            "test_fraction is sampled."
        ),
    )
    image_size: int = Field(32, ge=8, le=4096, description="Side of every stored image in px; the models' input size.")
    fit: Fit = Field(
        "crop",
        description=(
            "How an image becomes a square: crop (the central square), pad (the complete image between "
            "black bars), squash (the complete image, its sides scaled to one length)."
        ),
    )
    intensity: Intensity = Field(
        "full",
        description=(
            "Which values of grey images with more than 8 bits become black and white: full (the upper 8 of 16 bits; for "
            "DICOM the window in the file), range (each image's smallest and largest value), window (`window`)."
        ),
    )
    window: list[GreyValue] = Field(
        default_factory=list,
        max_length=2,
        description=(
            "[low, high] for intensity=window: the values that become black and white; for DICOM in its units (Hounsfield "
            "units for CT)."
        ),
    )
    test_fraction: float = Field(0.2, gt=0, lt=1, description="Share of every class that is locked for final numbers.")
    validation_fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description=("Share of the rest, per class, for model selection; never members of a run."),
    )
    audit_holdout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description=(
            "Share of the pool, per class, that a run is not trained on: the audit's non-members. 0 = train on everything, "
            "without an audit of privacy."
        ),
    )
    num_canaries: int = Field(
        0,
        ge=0,
        le=1_000_000,
        multiple_of=2,
        description=(
            "Number of pool records whose membership is an independent fair coin in every run, for the "
            "one-run audit. Half of them keep their label, half get a wrong one, which costs accuracy. 0 = "
            "none. At 95 % confidence, 100 can show an epsilon of at most 2.5, 1,000 of at most 4.8."
        ),
    )
    min_images_per_class: int = Field(
        8,
        ge=4,
        le=1_000_000,
        description=(
            "Smaller classes are left out, because each class needs test, validation, member and non-member images."
        ),
    )
    min_classes: int = Field(2, ge=2, le=MOST_CLASSES, description="With fewer usable classes the run stops.")
    max_pixels: int = Field(
        64_000_000,
        ge=1024,
        le=PILLOW_PIXEL_LIMIT,
        description=("Images with more pixels are rejected without decoding (decompression bombs)."),
    )
    max_unpacked: int = Field(
        MOST_UNPACKED,
        ge=1,
        le=1_000_000,
        description=(
            "A Parquet file of images that unpacks to more than 128 MiB and more than this multiple of its size on disk is "
            "rejected (decompression bombs)."
        ),
    )

    def treatment(self) -> Treatment:
        """Return how images are converted to squares with 8 bits."""
        low, high = self.window or (0.0, 0.0)
        return Treatment(self.fit, self.intensity, (low, high))

    @model_validator(mode="after")
    def _window_counts(self) -> Self:
        """Raise an error for a window that is missing, empty or without effect."""
        if self.window and (len(self.window) != 2 or self.window[0] >= self.window[1]):
            raise ValueError(f"prepare.window {self.window} is not a window; expected [low, high], such as [0, 4095]")
        if bool(self.window) != (self.intensity == "window"):
            raise ValueError(
                f"prepare.intensity={self.intensity} and prepare.window={self.window} do not fit together: "
                "set both, such as prepare.intensity=window prepare.window=[0,4095], or neither"
            )
        return self

    @property
    def uses_device(self) -> bool:
        """Return False: the stage only reads and checks files."""
        return False

    @field_validator("group_pattern")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        try:
            found = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        if pattern and found != 1:
            raise ValueError(
                f"{pattern!r} has {found} capture groups; expected one, around the name of the group: patient_([0-9]+)"
            )
        return pattern

    def opening(self) -> dict[str, Any]:
        """Return the arguments of `open_source` that define how the source is read."""
        return {
            "image_column": self.image_column,
            "label_column": self.label_column,
            "layout": self.layout,
            "table": self.table,
            "follow_links": self.follow_links,
            "group_column": self.group_column,
            "group_pattern": self.group_pattern,
            "train_split": self.hub_split,
            "test_split": self.test_split,
        }

    @property
    def is_public(self) -> bool:
        """Return whether splits depend only on the seed: the set is declared public, or ships with scikit-learn."""
        return self.public or self.source == SourceKind.DIGITS
