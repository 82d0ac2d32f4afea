"""Results of metrics with more than one number, as models that are stored as JSON.

Every number is an `Estimate` {value, low, high, n, method} or a `NotMeasurable` {reason, n}; both print with `str()`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tckr.metrics.estimate import Measured


class Result(BaseModel):
    """Base class of results."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EpsilonBound(Result):
    """Lower bound on the epsilon of any (epsilon, delta) guarantee that the model could have."""

    value: float = Field(ge=0, description="0 if the attack shows nothing.")
    confidence: float
    delta: float
    threshold: float | None = Field(
        description="Score above which a record is called a member; fixed on the reference runs. Like the two counts, None "
        "in a shareable report."
    )
    true_positives: int | None
    false_positives: int | None
    num_members: int
    num_non_members: int
    method: str


class LargestClass(Result):
    """The class with the most test images, and the accuracy of always predicting it."""

    name: str
    share: float = Field(description="Share of the test images, in [0, 1]: the accuracy of always predicting this class.")


class PairedTest(Result):
    """Student and Teacher on the same test images: how often only one of them was right."""

    num_test: int
    both_right: int | None = Field(description="This and the next three are None in a shareable report.")
    only_student: int | None
    only_teacher: int | None
    both_wrong: int | None
    difference: Measured = Field(description="Accuracy, Student minus Teacher, paired: the same as `differences.cas`.")
    p_value: float = Field(description="Exact two-sided McNemar test of equal accuracy.")
    by_class: dict[str, Measured] = Field(description="`difference` on the images of each class.")


class FidelityScores(Result):
    """Similarity of one set of images to the reference set."""

    fid: Measured = Field(
        description="Frechet distance of Gaussians; 0 = identical. Biased upwards, more so with few images."
    )
    kid: Measured = Field(description="Unbiased squared maximum mean discrepancy, cubic kernel; 0 = identical.")
    precision: Measured = Field(description="Share of the images within reach of a reference image (k = 3).")
    recall: Measured = Field(description="Share of the reference images within reach of one of the images (k = 3).")
    density: Measured = Field(
        description="Mean number of reference images that have an image in reach, divided by k = 5; 1 = identical."
    )
    coverage: Measured = Field(description="Share of the reference images that have one of the images in reach (k = 5).")


class FidelityResult(Result):
    """Fidelity of the synthetic images, and of real images on which neither generator nor Teacher was trained."""

    features: str = Field(description="Model of the features: `Teacher` or a checkpoint's name.")
    dimensions: int = Field(description="Feature dimensions per image.")
    num_images: int = Field(
        description="Images per side (members, synthetic, hold-out); equally many of every class, sampled at random."
    )
    synthetic: FidelityScores = Field(description="Synthetic images against members.")
    holdout: FidelityScores = Field(description="Hold-out records against members: the score of a perfect generator.")


class GaussianBound(Result):
    """Lower bound on mu of the Gaussian differential privacy that a model could have (`tckr.metrics.gaussian_dp`)."""

    mu: float = Field(ge=0, description="Without unit; 0 if the attack shows nothing.")
    epsilon: float | None = Field(
        description="Epsilon of a mechanism with exactly this Gaussian trade-off at `delta`; None for "
        "delta 0, where none is finite. No lower bound for other mechanisms."
    )
    confidence: float = Field(
        description="Confidence of this bound: it exceeds the true mu with probability at most 1 - confidence."
    )
    delta: float = Field(description="Delta of `epsilon`.")
    n: int = Field(description="Number of canaries, or of judged records or groups.")
    method: str
    assumes: str = Field(description="Assumptions of the bound.")


class OneRunBound(Result):
    """Lower bounds on epsilon (`tckr.metrics.one_run`) and on mu from guessing the coins of one run's canaries."""

    value: float = Field(ge=0, description="0 if the guesses show nothing.")
    confidence: float = Field(description="Confidence of this bound alone, not of the largest of several.")
    delta: float
    num_canaries: int = Field(description="Records included or excluded by a fair coin each.")
    guesses: int = Field(
        description="Number of canaries guessed for this value, without abstentions; best of a few declared shares."
    )
    correct: int | None = Field(description="Right guesses among them; None in a shareable report.")
    method: str
    assumes: str = Field("", description="Assumptions for `value`; empty in older results.")
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
    """How often synthetic images are near training records, compared with records the generator was not trained on.

    All numbers are measured in one feature space and defined in `tckr.metrics.copies`.
    """

    excess: Measured = Field(
        description="Share of synthetic images near a member minus the share near a hold-out record, at equal set sizes. "
        "0 = the generator's images are not nearer to its training images than to others; 1 = every image is a copy."
    )
    p_value: float | None = Field(
        None, description="Probability of such an excess if the images are not nearer to members; None in older results."
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
    num_flagged: int = Field(0, description="Number of flagged images; a shareable report has no list.")
    num_mirrored: int = Field(
        0,
        description="Number that would be flagged with members and hold-out exchanged: the number expected "
        "by chance if both sets have the same size.",
    )
