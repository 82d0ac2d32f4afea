"""What `report.json` holds: every number of the report, once. The page prints these and computes none of its own.

In a report that may be shared all of it is made from `shared_audit.py` and `shared.py`, which name what leaves.

Knows neither artifacts nor HTML.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tckr.artifacts.audit import AuditResult, State, VerdictState
from tckr.artifacts.data_card import DataCard
from tckr.html.numbers import Number
from tckr.membership.rows import CanaryRow, SurfaceRow

SCHEMA_VERSION = "6"

Direction = Literal["higher", "lower"]
Change = Literal["better", "worse", "none", "unknown"]
Reading = Literal["no difference measured", "short of real images", "closer than real images", "not compared"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NextStep(_Part):
    """What to do next, and the command that does it; empty where none does."""

    text: str
    command: str = ""


class PackageAnswer(_Part):
    """Whether one package may be released.

    Attributes:
        holds: what it is, for who does not know the name.
        answer: in one or two words.
        leak: the size of the leak, or why nothing is known of it, in words without field terms.
        command: measures what was not measured; empty where no audit would.
    """

    name: str
    holds: str
    state: State
    answer: str
    leak: str
    command: str = ""


class Decision(_Part):
    """The first screen: everything that somebody needs who decides and does not know attacks.

    Attributes:
        done: what was done, in one line.
        answer: may it be released, in one sentence.
        scale: how the size of a leak is counted, with the largest that was found.
        sure: how sure the audit is of itself.
        not_covered: what nothing here says anything about.
        accuracy: in one sentence, with the worst case of its interval.
    """

    done: str
    answer: str
    scale: str
    packages: list[PackageAnswer]
    sure: list[str]
    not_covered: list[str]
    accuracy: str
    next_steps: list[NextStep]


class Comparison(_Part):
    """One measure of Teacher and Student side by side.

    Attributes:
        key: stable name, e.g. `auc`.
        note: the field's own term or the conditions of the number.
        better: which direction is good for the owner of the data.
        membership: whether the number is one of the attack's, absent when membership was not measured.
        difference: Student minus Teacher; None where the audit measured no paired difference.
        change: what the difference means to the owner; `none` when its interval contains zero.
    """

    key: str
    name: str
    note: str
    better: Direction
    membership: bool
    teacher: Number
    student: Number
    difference: Number | None = None
    change: Change = "unknown"


class VerdictText(_Part):
    """The first thing a reader sees."""

    state: VerdictState
    headline: str
    sentences: list[str]


class ClassRow(_Part):
    """One class across the stages.

    Attributes:
        difference: accuracy, Student minus Teacher, paired over its test images; None for given tables.
        agreement: share of its synthetic images that the Teacher takes for it.
        advice: what to change next.
    """

    name: str
    num_test: int
    teacher_accuracy: Number
    student_accuracy: Number
    difference: Number | None
    teacher_auc: Number
    student_auc: Number
    agreement: Number
    num_synthetic: int
    advice: str = ""


class ConfusedPair(_Part):
    """Test images of one class that the Student takes for another; `of` = images of the class, `by_teacher` the same."""

    name: str
    answer: str
    count: int
    of: int
    by_teacher: int


class PackageRow(_Part):
    """Things that are usually released together.

    Attributes:
        exposes: key of each surface that its holder can attack -> state of that surface.
        together: what the attack on all of its surfaces found; empty where fewer than two have references.
        also: what else to know before releasing it.
    """

    name: str
    exposes: dict[str, State]
    state: State
    reason: str
    together: str = ""
    also: str


class FlaggedRow(_Part):
    """A synthetic image that looks like a copy of a member, with its nearest records."""

    synthetic: int
    member: int
    member_distance: Number
    holdout: int
    holdout_distance: Number


class CopiesSummary(_Part):
    """Near-copies of members among the synthetic images; which ones, and how near, only in a report that is private.

    Attributes:
        closer: share of the images that are closer to a member than to any hold-out record; a half is chance.
        nearness: what counts as near.
        flagged: most suspicious first; empty in a report that may be shared.
        num_mirrored: how many would be flagged with members and hold-out exchanged.
        command: has flagged images replaced; empty where there are none.
    """

    headline: str
    excess: Number
    closer: Number
    near_member: Number
    near_holdout: Number
    nearness: str
    flagged: list[FlaggedRow]
    num_flagged: int
    num_mirrored: int
    command: str


class FidelityRow(_Part):
    """One measure of the synthetic images and, as a yardstick, of real hold-out records against the same members.

    `reading` compares the two intervals; where they touch, it says `no difference measured`.
    """

    key: str
    name: str
    note: str
    synthetic: Number
    holdout: Number
    reading: Reading


class FidelitySummary(_Part):
    """How much the synthetic images look like members: `num_images` of each side, in the features of one model."""

    features: str
    num_images: int
    sentence: str
    rows: list[FidelityRow]


class PairedSummary(_Part):
    """Student and Teacher on the same test images, with the p-value of the exact McNemar test."""

    sentence: str
    p_value: float


class CalibrationRow(_Part):
    """One measure of the probabilities that Teacher and Student state on the test split; lower is better."""

    key: str
    name: str
    note: str
    teacher: Number
    student: Number


class CaptionSummary(_Part):
    """Captions in numbers; none of their words."""

    num_captions: int
    num_distinct: int
    median_words: float


class Training(_Part):
    """History and summary of one classifier's training, as the stage wrote them."""

    history: list[dict[str, Any]]
    metrics: dict[str, Any]


class StageRecord(_Part):
    """What one step of the target run was, cost and depended on; what may be shared has no fingerprint."""

    stage: str
    sensitivity: str
    seconds: float
    peak_memory_mb: float
    size_mb: float
    created: str
    fingerprint: str
    version: int
    config: dict[str, Any]


class Contents(_Part):
    """The whole of `report.json`.

    Attributes:
        understood: how the data were read, split and grouped.
        confused: most confused pairs of classes; empty in a report that may be shared.
        redrawn: what it means for the numbers of the images that some were drawn anew; empty when none was.
    """

    schema_version: str = SCHEMA_VERSION
    title: str
    created: str
    contains_private: bool
    decision: Decision
    verdict: VerdictText
    origin: str
    headline: list[Comparison]
    paired: PairedSummary | None
    calibration: list[CalibrationRow]
    fidelity: FidelitySummary | None
    surfaces: list[SurfaceRow]
    coverage: list[str]
    packages: list[PackageRow]
    copies: CopiesSummary | None
    redrawn: str
    canaries: list[CanaryRow]
    classes: list[ClassRow]
    confused: list[ConfusedPair]
    data: DataCard
    understood: list[str]
    captions: CaptionSummary
    adaptation: list[dict[str, float]]
    num_synthetic: dict[str, int]
    teacher: Training
    student: Training
    agreement: Number
    low_agreement: list[str]
    stages: list[StageRecord]
    libraries: dict[str, str]
    settings: dict[str, dict[str, Any]]
    glossary: dict[str, str]
    audit: AuditResult
