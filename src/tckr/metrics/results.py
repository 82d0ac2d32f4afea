"""What `audit.json` holds: the schema that the audit writes and the report reads. Knows no stage.

Every number is an `Estimate` {value, low, high, n, method} or a `NotMeasurable` {reason, n}; both print with `str()`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tckr.metrics.estimate import Measured, NotMeasurable

SHARED_GENERATOR = "shared generator"
"""Name of the check whether images that all runs share know the target's members."""

PLAIN = "global_threshold"
"""The attack that needs no reference run."""

State = Literal["leaks", "no measurable leakage", "not measured"]


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Declared(_Result):
    """What was fixed before anything was trained, and the sizes behind every number."""

    scorer: str = Field(description="Attack whose AUC goes into AOP.")
    depth: str = Field(description="What a reference run repeats: `teacher`, `distill` or `full`; empty for given tables.")
    num_reference_runs: int
    num_members: int = Field(description="Pool records the target was trained on, canaries apart.")
    num_non_members: int = Field(description="Pool records the target never saw, canaries apart.")
    num_test: int = Field(description="Images of the locked test split behind CAS.")
    num_queries: int = Field(description="Views of a record averaged into a classifier's signal.")
    confidence: float = Field(description="Level of every interval, e.g. 0.95.")
    delta: float = Field(description="Delta of the epsilon lower bound.")
    aop_lambda: float = Field(description="Exponent of AOP.")
    family_level: float | None = Field(
        None, description="How often an audit may say `leaks` of any surface when nothing leaks; None in older results."
    )

    @property
    def generator_shared(self) -> bool:
        """Return whether the Student's numbers leave out what it learned of members through the generator's images."""
        return self.depth in ("teacher", "distill")


class LeaveOneOut(_Result):
    """AUC of one scorer with every run in turn as the target of the others."""

    mean: Measured = Field(description="Mean over runs with a t-interval; n = runs.")
    spread: float = Field(description="Standard deviation over runs.")
    runs: list[float] = Field(description="AUC of run 0 (the target), 1, ..., R; empty in a report that may be shared.")


class Strongest(_Result):
    """The signal and scorer with the highest AUC: chosen on the evaluation labels, so it flatters the attacker."""

    signal: str
    scorer: str
    auc: Measured
    aop: Measured
    note: str = Field(description="The label that must stand beside the number: `strongest of k, chosen on ...`.")
    family_p_value: float | None = Field(
        None, description="Chance that any attack on any surface finds as much when nothing leaks; None in older results."
    )


class LeakTest(_Result):
    """One statistic of a surface against what it is when the target's members are drawn again."""

    name: str = Field(
        description="`above`, `below`: the target's AUC against 0.5; `tail`: members above the threshold of epsilon; "
        "`runs`: the AUC of all runs together; `natural canaries`, `mislabelled canaries`."
    )
    attack: str = Field(description="Scorer; empty for canaries.")
    p_value: float = Field(description="Of this statistic alone: the chance of one as large when nothing leaks.")
    family_p_value: float = Field(description="The chance that any statistic of the audit is as surprising.")


class EpsilonBound(_Result):
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


class SurfaceResult(_Result):
    """One release surface: what it is worth, and what it tells about the target's training records.

    Membership fields (from `signal` on) are None or empty when membership was not measured. A surface that no reference run
    repeated is attacked without references: its dictionaries by scorer have the global threshold alone.
    """

    cas: Measured = Field(
        description="Accuracy on the locked test split; of captions, adapter, images and soft labels, which are no "
        "classifiers, that of the Student trained on what they give."
    )
    per_class: dict[str, Measured] = Field(default_factory=dict, description="Models: accuracy by class name.")
    confusion: list[list[int]] = Field(default_factory=list, description="Models: counts [true class][predicted class].")
    balanced_cas: Measured | None = Field(None, description="Models: mean over classes of the accuracy on each.")
    over_largest: Measured | None = Field(
        None, description="Models: accuracy less that of always answering the largest class, paired over test images."
    )
    ece: Measured | None = Field(None, description="Models: expected calibration error on the test split.")
    brier: Measured | None = Field(None, description="Models: Brier score on the test split, summed over classes: 0 to 2.")
    nll: Measured | None = Field(None, description="Models: mean negative log-likelihood of the true class, nats.")
    signal: str = Field("", description="The declared signal; what follows is its, if it says nothing else.")
    attack: str = Field("", description="Scorer of the headline number: the declared one, or what works without references.")
    state: State = Field("not measured", description="What was found; `no measurable leakage` only with reference runs.")
    why: str = Field("", description="The findings behind `state`, with their numbers.")
    aop: Measured | None = Field(None, description="CAS / (2 max(AUC, 0.5)) ** lambda with the declared scorer.")
    strongest: Strongest | None = None
    auc: dict[str, Measured] = Field(default_factory=dict, description="Target's AUC by scorer; n = records.")
    other_signals: dict[str, dict[str, Measured]] = Field(
        default_factory=dict, description="Target's AUC by signal that is not the declared one, then by scorer."
    )
    leave_one_out: dict[str, LeaveOneOut] = Field(default_factory=dict, description="By scorer.")
    tpr: dict[str, dict[str, Measured]] = Field(default_factory=dict, description='By scorer, then "0.1", "0.01", "0.001".')
    balanced_accuracy: Measured | None = Field(None, description="Declared scorer, threshold fixed on the reference runs.")
    epsilon_lower_bound: EpsilonBound | None = Field(None, description="Declared scorer.")
    auc_by_class: dict[str, Measured] = Field(default_factory=dict, description="Declared scorer, by class name.")
    tests: list[LeakTest] = Field(default_factory=list, description="What `state` follows from; empty in older results.")
    detectable_auc: float | None = Field(
        None, description="AUC, of the target and of every reference run, that would be found in 80 of 100 audits like this."
    )
    roc: dict[str, list[tuple[float, float]]] = Field(default_factory=dict, description="By scorer: at most 400 (FPR, TPR).")

    @property
    def headline(self) -> Measured | None:
        """Return the AUC of `attack`."""
        return self.auc.get(self.attack)


class Differences(_Result):
    """Student minus Teacher on the same test images and the same records. Print with `describe_difference`."""

    cas: Measured
    auc: Measured | None = Field(None, description="Declared scorer, paired over the target's records.")
    auc_over_runs: Measured | None = Field(None, description="Declared scorer, paired over all runs; None in older results.")


class LargestClass(_Result):
    """The class with most test images: what a model reaches that has learned nothing but which class is frequent."""

    name: str
    share: float = Field(description="Of the test images, in [0, 1]: the accuracy of always answering this class.")


class ImagesAlone(_Result):
    """A Student of the synthetic images and the classes of their prompts: what the images are worth by themselves."""

    cas: Measured = Field(description="Its accuracy on the locked test split.")
    balanced_cas: Measured = Field(description="Mean over classes of the accuracy on each.")
    over_largest: Measured = Field(description="Accuracy less that of always answering the largest class, paired.")
    difference: Measured = Field(description="Its accuracy less the Teacher's, paired over test images.")


class PairedTest(_Result):
    """Student and Teacher on the same test images: who was right where the other was not."""

    num_test: int
    both_right: int | None = Field(description="This and the next three are None in a report that may be shared.")
    only_student: int | None
    only_teacher: int | None
    both_wrong: int | None
    difference: Measured = Field(description="Accuracy, Student minus Teacher, paired: the same as `differences.cas`.")
    p_value: float = Field(description="Exact two-sided McNemar test that both are right equally often.")
    by_class: dict[str, Measured] = Field(description="`difference` on the images of each class.")


class FidelityScores(_Result):
    """How much one set of images looks like the reference set."""

    fid: Measured = Field(description="Frechet distance of Gaussians; 0 = alike. Biased upwards, the more with few images.")
    kid: Measured = Field(description="Unbiased squared maximum mean discrepancy, cubic kernel; 0 = alike.")
    precision: Measured = Field(description="Share of the images within reach of a reference image (k = 3).")
    recall: Measured = Field(description="Share of the reference images within reach of one of the images (k = 3).")
    density: Measured = Field(description="Reference images in whose reach an image lies, over k = 5; 1 = alike.")
    coverage: Measured = Field(description="Share of the reference images that have one of the images in reach (k = 5).")


class FidelityResult(_Result):
    """Fidelity of the synthetic images, beside that of real images which neither generator nor Teacher ever saw."""

    features: str = Field(description="Model in whose features everything was measured: `Teacher` or a checkpoint's name.")
    dimensions: int = Field(description="Numbers per image.")
    num_images: int = Field(
        description="Images of every side: members, synthetic, hold-out; equally many of every class, drawn at random."
    )
    synthetic: FidelityScores = Field(description="Synthetic images against members.")
    holdout: FidelityScores = Field(description="Hold-out records against members: what a perfect generator would score.")


class Control(_Result):
    """One check of the audit itself."""

    name: str = Field(description="null, shared generator, positive, planted or parity.")
    surface: str = Field(description="Whose reference runs were used.")
    signal: str = Field(description="What the runs were asked.")
    measure: str = Field(description="Scorer behind the AUC; for parity `accuracy` or `mean`.")
    passed: bool
    decides: bool = Field(description="Whether failing makes the audit invalid; the others are shown for information.")
    expected: str = Field(description="In words and numbers.")
    found: Measured


class OneRunBound(_Result):
    """Lower bound on epsilon from guessing the coins of the canaries of one run (`tckr.metrics.one_run`)."""

    value: float = Field(ge=0, description="0 when the guesses show nothing.")
    confidence: float = Field(description="Of this bound alone, not of the largest of several.")
    delta: float
    num_canaries: int = Field(description="Records put in or left out by a fair coin each.")
    guesses: int = Field(description="Canaries guessed for this value; abstained from the rest. Best of a declared few.")
    correct: int | None = Field(description="Right guesses among them; None in a report that may be shared.")
    method: str


class FlaggedImage(_Result):
    """A synthetic image that looks like a copy of a member. Private: it names training records."""

    synthetic: int = Field(description="`index` of the synthetic image.")
    member: int = Field(description="`record` of the nearest member.")
    member_distance: float
    holdout: int = Field(description="`record` of the nearest hold-out record.")
    holdout_distance: float


class CopiesResult(_Result):
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


class Package(_Result):
    """Things that are usually released together, and what the audit says of all that they expose."""

    name: str
    exposes: list[str] = Field(description="Surfaces that whoever holds it can attack.")
    state: State
    reason: str = Field(description="The surfaces that decide, with their numbers.")


class AuditResult(_Result):
    """The whole of `audit.json`.

    Three cases: `measured` false (no hold-out or too few reference runs: only accuracy is reported, `reason` says why);
    `measured` true and `valid` false (a control failed: show the numbers greyed out); both true.
    """

    measured: bool
    reason: str = ""
    valid: bool = Field(description="True exactly when membership was measured and every deciding control passed.")
    verdict: str = Field(
        description="`audit valid`, `audit invalid: <controls>` or `not measured: <reason>`; then what could not be checked."
    )
    declared: Declared
    surfaces: dict[str, SurfaceResult] = Field(
        description="Keys `captions`, `adapter`, `images`, `soft_labels`, `teacher`, `student`; the last two alone when "
        "membership was not measured; for given tables their own names."
    )
    largest_class: LargestClass | None = Field(None, description="Of the test split; None for given tables.")
    images_alone: ImagesAlone | None = Field(None, description="None where no such Student was trained.")
    differences: Differences | None = Field(None, description="None for given tables.")
    paired: PairedTest | None = Field(None, description="None for given tables.")
    fidelity: FidelityResult | None = Field(None, description="None for given tables.")
    controls: list[Control] = Field(default_factory=list)
    packages: list[Package] = Field(default_factory=list, description="What may be released together, and what it exposes.")
    copies: CopiesResult | None = Field(None, description="Near-copies of members among the images.")
    canaries: dict[str, dict[str, OneRunBound | NotMeasurable]] = Field(
        default_factory=dict, description="Surface -> kind of canary -> what one run proves; empty without canaries."
    )

    @property
    def generator_leaks(self) -> bool:
        """Return whether the shared generator was found to know the target's members, so that no reference fits."""
        return any(control.name == SHARED_GENERATOR and not control.passed for control in self.controls)

    @classmethod
    def read(cls, folder: Path) -> AuditResult:
        """Read `audit.json` of an audit artifact."""
        return cls.model_validate_json((folder / "audit.json").read_text(encoding="utf-8"))
