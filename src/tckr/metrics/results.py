"""What metrics that give more than one number return, as models that are stored as they are. Knows no stage.

Every number is an `Estimate` {value, low, high, n, method} or a `NotMeasurable` {reason, n}; both print with `str()`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tckr.metrics.estimate import Measured


class Result(BaseModel):
    """Findings that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EpsilonBound(Result):
    """Lower bound on the epsilon of any (epsilon, delta) guarantee that the model could have."""

    value: float = Field(ge=0, description="0 when the attack shows nothing.")
    confidence: float
    delta: float
    threshold: float | None = Field(
        description="Score above which a record is called a member; fixed on the reference runs. Like the two counts None "
        "in a report that may be shared."
    )
    true_positives: int | None
    false_positives: int | None
    num_members: int
    num_non_members: int
    method: str


class LargestClass(Result):
    """The class with most test images: what a model reaches that has learned nothing but which class is frequent."""

    name: str
    share: float = Field(description="Of the test images, in [0, 1]: the accuracy of always answering this class.")


class PairedTest(Result):
    """Student and Teacher on the same test images: who was right where the other was not."""

    num_test: int
    both_right: int | None = Field(description="This and the next three are None in a report that may be shared.")
    only_student: int | None
    only_teacher: int | None
    both_wrong: int | None
    difference: Measured = Field(description="Accuracy, Student minus Teacher, paired: the same as `differences.cas`.")
    p_value: float = Field(description="Exact two-sided McNemar test that both are right equally often.")
    by_class: dict[str, Measured] = Field(description="`difference` on the images of each class.")


class FidelityScores(Result):
    """How much one set of images looks like the reference set."""

    fid: Measured = Field(description="Frechet distance of Gaussians; 0 = alike. Biased upwards, the more with few images.")
    kid: Measured = Field(description="Unbiased squared maximum mean discrepancy, cubic kernel; 0 = alike.")
    precision: Measured = Field(description="Share of the images within reach of a reference image (k = 3).")
    recall: Measured = Field(description="Share of the reference images within reach of one of the images (k = 3).")
    density: Measured = Field(description="Reference images in whose reach an image lies, over k = 5; 1 = alike.")
    coverage: Measured = Field(description="Share of the reference images that have one of the images in reach (k = 5).")


class FidelityResult(Result):
    """Fidelity of the synthetic images, beside that of real images which neither generator nor Teacher ever saw."""

    features: str = Field(description="Model in whose features everything was measured: `Teacher` or a checkpoint's name.")
    dimensions: int = Field(description="Numbers per image.")
    num_images: int = Field(
        description="Images of every side: members, synthetic, hold-out; equally many of every class, drawn at random."
    )
    synthetic: FidelityScores = Field(description="Synthetic images against members.")
    holdout: FidelityScores = Field(description="Hold-out records against members: what a perfect generator would score.")


class GaussianBound(Result):
    """Lower bound on mu of the Gaussian differential privacy that a model could have (`tckr.metrics.gaussian_dp`)."""

    mu: float = Field(ge=0, description="Without unit; 0 when the attack shows nothing.")
    epsilon: float | None = Field(
        description="Of the (epsilon, delta) guarantee that a mechanism with exactly this Gaussian trade-off has; None for "
        "delta 0, where none is finite. No lower bound for other mechanisms."
    )
    confidence: float = Field(description="Of this bound alone: it is above the true mu with probability 1 - this at most.")
    delta: float = Field(description="Of `epsilon`.")
    n: int = Field(description="Canaries, or what is judged: records or groups.")
    method: str
    assumes: str = Field(description="What must hold for it.")


class OneRunBound(Result):
    """Lower bounds from guessing the coins of one run's canaries: on epsilon (`tckr.metrics.one_run`), beside it on mu."""

    value: float = Field(ge=0, description="0 when the guesses show nothing.")
    confidence: float = Field(description="Of this bound alone, not of the largest of several.")
    delta: float
    num_canaries: int = Field(description="Records put in or left out by a fair coin each.")
    guesses: int = Field(description="Canaries guessed for this value; abstained from the rest. Best of a declared few.")
    correct: int | None = Field(description="Right guesses among them; None in a report that may be shared.")
    method: str
    assumes: str = Field("", description="What must hold for `value`; empty in older results.")
    gaussian: GaussianBound | None = Field(
        None, description="The f-DP bound from the same guesses (Mahloujifar et al. 2024); None in older results."
    )


class FlaggedImage(Result):
    """A synthetic image that looks like a copy of a member. Private: it names training records."""

    synthetic: int = Field(description="`index` of the synthetic image.")
    member: int = Field(description="`record` of the nearest member.")
    member_distance: float
    holdout: int = Field(description="`record` of the nearest hold-out record.")
    holdout_distance: float


class CopiesResult(Result):
    """How often synthetic images come too near to training records, against records the generator never saw.

    All numbers belong to one feature space. Defined in `tckr.metrics.copies`.
    """

    excess: Measured = Field(
        description="Share of synthetic images near a member less the share near a hold-out record, at equal set sizes. "
        "0 = the generator comes no nearer to its training images than to others; 1 = every image is a copy."
    )
    p_value: float | None = Field(
        None, description="Chance of such an excess when the generator comes no nearer to members; None in older results."
    )
    near_member: Measured = Field(description="Share of synthetic images near a member, at equal set sizes.")
    near_holdout: Measured = Field(description="Share of synthetic images near a hold-out record, at equal set sizes.")
    closer: Measured = Field(
        description="Share of synthetic images closer to a member than to any hold-out record, at equal set sizes; a tie "
        "counts half. 0.5 = no memorization found."
    )
    threshold: float | None = Field(description="Distance up to which an image is near a record; None if not measurable.")
    quantile: float = Field(description="Share of the real records that have another real record within the threshold.")
    num_synthetic: int
    num_members: int
    num_holdout: int
    flagged: list[FlaggedImage] = Field(
        default_factory=list,
        description="Images near a member and closer to it than to any hold-out record (all records count here, whatever "
        "the set sizes): most suspicious first, by the ratio of the two distances.",
    )
    num_flagged: int = Field(0, description="How many images are flagged; a report that may be shared has no list.")
    num_mirrored: int = Field(
        0,
        description="How many would be flagged with members and hold-out exchanged: what chance alone flags when both sets "
        "have the same size.",
    )
