"""Content of `report.json`: every number of the report, once. The page prints these numbers and computes none itself.

In a shareable report all of it is derived from `shared_audit.py` and `shared.py`, which list what may leave.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tckr.artifacts.audit import AuditResult, State, VerdictState
from tckr.artifacts.data_card import DataCard
from tckr.html.numbers import Number
from tckr.membership.rows import CanaryRow, SurfaceRow

SCHEMA_VERSION = "10"

Direction = Literal["higher", "lower"]
Change = Literal["better", "worse", "none", "unknown"]
Reading = Literal["no difference measured", "short of real images", "closer than real images", "not compared"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NextStep(_Part):
    """What to do next, and the command for it; empty if there is none."""

    text: str
    command: str = ""


class PackageAnswer(_Part):
    """Whether one package may be released.

    Attributes:
        holds: explanation of its name.
        answer: one or two words.
        leak: the size of the leak, or why it is unknown, in words without field terms.
        command: measures what was not measured; empty if no audit can.
    """

    name: str
    holds: str
    state: State
    answer: str
    leak: str
    command: str = ""


class Decision(_Part):
    """The first screen: the decision for a reader who does not know attacks.

    Attributes:
        done: what was done, one line.
        answer: whether it may be released, one sentence.
        scale: how the size of a leak is counted, with the largest one found.
        sure: how reliable the audit is.
        not_covered: what was not measured at all.
        accuracy: one sentence, with the worst case of its interval.
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
        note: the field's term, or the conditions of the number.
        better: which direction is good for the owner of the data.
        membership: whether the number comes from the attack, so that it is absent if membership was not measured.
        difference: Student minus Teacher; None if the audit measured no paired difference.
        change: meaning of the difference for the owner; `none` if its interval contains zero.
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
    """The verdict, shown first."""

    state: VerdictState
    headline: str
    sentences: list[str]


class ClassRow(_Part):
    """Results of one class from all stages.

    Attributes:
        difference: accuracy, Student minus Teacher, paired over its test images; None for given tables.
        agreement: share of its synthetic images that the Teacher assigns to it.
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
    """Test images of one class assigned to another: `count` by the Student, `by_teacher` by the Teacher, out of `of`."""

    name: str
    answer: str
    count: int
    of: int
    by_teacher: int


class PackageRow(_Part):
    """Surfaces that are usually released together.

    Attributes:
        exposes: key of each surface that its holder can attack -> state of that surface.
        together: result of the attack on all of its surfaces; empty if fewer than two have references.
        also: further remarks for its release.
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
    """Near-copies of members among the synthetic images. Which images, and their distances, are only in a private report.

    Attributes:
        closer: share of the images that are closer to a member than to any hold-out record; a half is chance.
        nearness: definition of near.
        flagged: most suspicious first; empty in a report that may be shared.
        num_mirrored: number that would be flagged with members and hold-out exchanged.
        command: replaces flagged images; empty if there are none.
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
    """One measure of the synthetic images and, for comparison, of real hold-out records against the same members.

    `reading` compares the two intervals; if they overlap, it is `no difference measured`.
    """

    key: str
    name: str
    note: str
    synthetic: Number
    holdout: Number
    reading: Reading


class FidelitySummary(_Part):
    """Similarity of the synthetic images to the members: `num_images` of each, in the features of one model."""

    features: str
    num_images: int
    sentence: str
    rows: list[FidelityRow]


class PairedSummary(_Part):
    """Student and Teacher on the same test images, with the p-value of the exact McNemar test."""

    sentence: str
    p_value: float


class CalibrationRow(_Part):
    """One measure of the probabilities of Teacher and Student on the test split; lower is better."""

    key: str
    name: str
    note: str
    teacher: Number
    student: Number


class CaptionSummary(_Part):
    """Statistics of the captions, without their texts."""

    num_captions: int
    num_distinct: int
    median_words: float


class Training(_Part):
    """History and summary of one classifier's training, as the stage wrote them."""

    history: list[dict[str, Any]]
    metrics: dict[str, Any]


class StageRecord(_Part):
    """One step of the target run: state, cost and dependencies; without a fingerprint in a shareable report.

    Attributes:
        config: the stage's settings.
        became: what settings such as `auto` became, and where and in which portions the stage computed.
    """

    stage: str
    sensitivity: str
    seconds: float
    peak_memory_mb: float
    size_mb: float
    created: str
    fingerprint: str
    version: int
    config: dict[str, Any]
    became: dict[str, Any] = {}


class Leads(_Part):
    """What stages did in this run: the first sentence of their chapters.

    Attributes:
        prompts: whether prompts contain captions.
        truth: with what the Student's answers are compared while it is trained.
    """

    caption: str
    label: str
    distill: str
    prompts: str
    truth: str


class Contents(_Part):
    """The complete `report.json`.

    Attributes:
        understood: how the data were read, split and grouped.
        confused: most confused pairs of classes; empty in a shareable report.
        redrawn: effect of regenerated images on the numbers of the images; empty if there are none.
        labelling: the second step of `teach` under a guarantee, whose Teachers label; None if there is none.
        dp_teacher: training with noise of the Teacher that labels under a guarantee; None if there is none.
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
    leads: Leads
    captions: CaptionSummary
    adaptation: list[dict[str, float]]
    num_synthetic: dict[str, int]
    teacher: Training
    student: Training
    agreement: Number
    low_agreement: list[str]
    stages: list[StageRecord]
    labelling: StageRecord | None
    dp_teacher: Training | None
    libraries: dict[str, str]
    settings: dict[str, dict[str, Any]]
    glossary: dict[str, str]
    audit: AuditResult
