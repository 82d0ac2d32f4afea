"""`card.json`: what `prepare` found, kept and refused."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tckr.artifacts.document import Document


class DataCard(Document):
    """What `prepare` found, kept and refused.

    Attributes:
        name: short name of the data set.
        source: what the user named as source.
        source_kind: what `source` was when it was read (`tckr.data.sources.SourceKind`); empty in older cards.
        public: whether everybody may see the images and know who is a member (`prepare.public`).
        class_names: index = label, everywhere.
        renamed_classes: the source's class name -> the name used, where they differ.
        image_size: side of every stored image in px.
        counts: class name -> `{"pool": n, "validation": n, "test": n}`.
        num_pool: records that can be members (columns of the membership matrix).
        num_validation: records for model selection, in no row of the matrix.
        num_test: locked test records.
        num_members: records that the target run trains on (row 0 of the matrix). Without canaries every row has as many;
            with canaries, whose membership is a coin each, the other rows differ from it by a few.
        rejected: reason -> number of files (`tckr.data.rejections.REASONS`); the files are in rejected.csv.
        normalised: rule -> number of kept images or of classes (`tckr.data.rejections.RULES`).
        duplicates: rejected because the same pixels were there before, with the same label.
        test_sha256: lock of the test split, an HMAC (`tckr.artifacts.split_lock`); its key is not in the card.
        audit_holdout: fraction of the pool that a run does not train on.
        groups: split, and `members` of the target run -> number of groups (patients, parts); empty without groups.
        canaries: kind -> number of pool records (`CANARY_KINDS`); `counts` counts a mislabelled one under its wrong label.
        grey: whether no kept image has colour; images drawn for the set then get none.
        sizes: shorter side of the kept source images in px: `{"min", "median", "max"}`.
    """

    file_name: ClassVar[str] = "card.json"

    name: str
    source: str
    source_kind: str = ""
    public: bool = False
    class_names: list[str]
    renamed_classes: dict[str, str] = Field(default_factory=dict)
    image_size: int
    counts: dict[str, dict[str, int]]
    num_pool: int
    num_validation: int
    num_test: int
    num_members: int
    rejected: dict[str, int]
    normalised: dict[str, int]
    duplicates: int
    test_sha256: str
    audit_holdout: float
    groups: dict[str, int] = Field(default_factory=dict)
    canaries: dict[str, int] = Field(default_factory=dict)
    grey: bool = False
    sizes: dict[str, float]
