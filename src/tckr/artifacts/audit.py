"""`audit.json`: findings of the audit on every surface, its controls and its verdict.

Every number is an `Estimate` {value, low, high, n, method} or a `NotMeasurable` {reason, n}; both print with `str()`.
`tckr.membership.wording` makes the sentences.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tckr.artifacts.at_risk import AtRisk, WorstClass
from tckr.artifacts.document import Document
from tckr.artifacts.guarantee import Refutation
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.results import (
    CopiesResult,
    EpsilonBound,
    FidelityResult,
    GaussianBound,
    LargestClass,
    OneRunBound,
    PairedTest,
    Result,
)

SHARED_GENERATOR = "shared generator"
"""Name of the control that tests whether images shared by all runs contain information about the target's members."""

PLAIN = "global_threshold"
"""The attack that needs no reference run."""

State = Literal["leaks", "no measurable leakage", "not measured"]
Unit = Literal["record", "group"]
"""Unit of membership: single records, or groups of records that are members together."""

VerdictState = Literal["valid", "invalid", "not measured"]

Finding = Literal[
    "auc_above",
    "auc_below",
    "auc_of_runs",
    "records_above",
    "records_below",
    "auc_of_package",
    "tail",
    "canaries",
    "near_copies",
    "images_tell",
    "nothing_found",
    "no_references",
    "no_attack",
]
"""Reason for the state of a surface or package. The first ten are leaks: the AUC of the target above or below 0.5; the mean
AUC of all runs; with groups, the AUC of single records above or below 0.5; the AUC of the attack on all surfaces of a
package; members among the highest scores; canaries; an excess of near-copies; and a model trained only on the images that
reveals their members."""

Remark = Literal[
    "no_non_members",
    "too_few_runs",
    "control_failed",
    "memorizer_missed",
    "no_references",
    "control_not_given",
    "control_not_measurable",
    "dependent_runs",
    "never_varied",
]
"""Reason of a verdict (the first three), or something that it leaves open."""


class FindingReason(Result):
    """One finding behind the state of a surface, with its numbers; a number that does not apply is None."""

    kind: Finding
    found: Measured | None = Field(None, description="AUC, mean AUC or excess of near-copies.")
    attack: str = Field("", description="Scorer, if it is not that of the surface.")
    signal: str = Field("", description="Signal, if it is not the declared one.")
    canaries: str = Field("", description="Kind of the canaries that were guessed.")
    epsilon: float | None = Field(None, description="Lower bound that the finding proves; 0 = none.")
    p_value: float | None = Field(
        None,
        description="Probability of any finding as extreme if nothing leaks; for near-copies, of them alone. In a shareable "
        "report it has one digit, and 0 stands for less than 0.001.",
    )
    level: float | None = Field(None, description="Level to which the p-value of near-copies is compared.")
    detectable_auc: float | None = Field(None, description="The AUC that 80 of 100 such audits would detect.")


class VerdictReason(Result):
    """One reason of a verdict, or one thing that it leaves open."""

    kind: Remark
    control: str = Field("", description="Name of the control.")
    surfaces: list[str] = Field(default_factory=list, description="Surfaces concerned; empty = all (missing control).")
    num_reference_runs: int | None = None
    num_records: int | None = Field(None, description="Records left out: in all reference runs or in none.")


class Verdict(Result):
    """Whether the results of the attacks are valid."""

    state: VerdictState = Field(
        description="`invalid`: a deciding control failed. `not measured`: no hold-out, or too few reference runs."
    )
    reasons: list[VerdictReason] = Field(default_factory=list)


class Declared(Result):
    """Settings fixed before anything was trained, and sample sizes."""

    scorer: str = Field(description="Attack whose AUC is used in AOP.")
    depth: str = Field(description="What a reference run repeats: `teacher`, `distill` or `full`; empty for given tables.")
    num_reference_runs: int
    unit: Unit = Field(
        "record",
        description="What is judged: single records, or groups of them (patients, parts) by the means of their signals.",
    )
    num_records: int | None = Field(None, description="Number of records in the groups; None if the unit is the record.")
    num_members: int = Field(description="Units of the pool that the target was trained on, without canaries.")
    num_non_members: int = Field(description="Units of the pool that the target was not trained on, without canaries.")
    num_test: int = Field(description="Images of the locked test split behind CAS.")
    num_queries: int = Field(description="Views of a record averaged into a classifier's signal.")
    confidence: float = Field(description="Level of every interval, e.g. 0.95.")
    delta: float = Field(description="Delta of the epsilon lower bound.")
    aop_lambda: float = Field(description="Exponent of AOP.")
    family_level: float | None = Field(
        None,
        description="Probability that an audit reports `leaks` for any surface if nothing leaks; None in older results.",
    )

    rules: str = Field("", description="Version and date of attacks, level and rules; empty in older results.")

    @property
    def generator_shared(self) -> bool:
        """Return whether the Student's numbers exclude leakage through the generator's images."""
        return self.depth in ("teacher", "distill")


class LeaveOneOut(Result):
    """AUC of one scorer with every run in turn as the target of the others."""

    value: float | None = Field(None, description="Mean over runs; None in older results.")
    mean: Measured = Field(description="The same with its interval, for the declared scorer; n = runs.")
    spread: float = Field(description="Standard deviation over runs.")
    runs: list[float] = Field(description="AUC of run 0 (the target), 1, ..., R; empty in a report that may be shared.")


class LowFpr(Result):
    """The declared attack at one low false positive rate (FPR), with thresholds from other runs than the attacked one."""

    tpr: Measured = Field(
        description="Members found, mean over runs; each threshold is fixed on the non-members of all other runs; n = runs."
    )
    tpr_of_target: Measured = Field(
        description="Share of the target's members above the threshold that this rate of reference non-members passes."
    )
    ppv: dict[str, Measured] = Field(
        description="Share of true members among the records called members, at `tpr`, by the ratio of "
        "members to non-members that the attacker tests: `1:1`, `1:10`, `1:100`."
    )


class Strongest(Result):
    """The signal and scorer with the highest AUC, chosen with knowledge of the members, which favours the attacker."""

    signal: str
    scorer: str
    auc: Measured
    aop: Measured
    note: str = Field(description="Remark to print beside the number: `strongest of k, chosen on ...`.")
    family_p_value: float | None = Field(
        None, description="Probability that any attack on any surface is as extreme if nothing leaks; None in older results."
    )


class LeakTest(Result):
    """One statistic of a surface, compared with its distribution when the target's members are sampled again."""

    name: str = Field(
        description="`above`, `below`: the target's AUC against 0.5; `tail`: members above the threshold of epsilon; "
        "`runs`: the AUC of all runs together; `records above`, `records below`: that of single records, if the unit is "
        "the group; `package`: the target's AUC by the attack on all surfaces of a package; `natural canaries`, "
        "`mislabelled canaries`."
    )
    attack: str = Field(description="Scorer; empty for canaries.")
    signal: str = Field("", description="Signal, if it is not the declared one.")
    p_value: float = Field(description="Of this statistic: the probability of one as large if nothing leaks.")
    family_p_value: float = Field(description="Probability that any statistic of the audit is as extreme.")


class OfRecords(Result):
    """The attack on single records, if the other numbers are for groups."""

    auc: Measured = Field(description="On the target; its interval counts a group as one observation.")
    leave_one_out: LeaveOneOut | None = Field(None, description="None without reference runs.")


class SurfaceResult(Result):
    """Results of one release surface: its accuracy, and what it reveals about the target's training records.

    Membership fields (from `signal` on) are None or empty if membership was not measured. A surface that no reference run
    repeated is attacked without references: its dictionaries by scorer contain only the global threshold and quantile
    regression.
    """

    cas: Measured = Field(
        description="Accuracy on the locked test split. Captions, adapter, images and soft labels are no "
        "classifiers; for them it is the accuracy of the Student trained with them."
    )
    per_class: dict[str, Measured] = Field(default_factory=dict, description="Models: accuracy by class name.")
    confusion: list[list[int]] = Field(default_factory=list, description="Models: counts [true class][predicted class].")
    balanced_cas: Measured | None = Field(None, description="Models: mean over classes of the accuracy on each class.")
    over_largest: Measured | None = Field(
        None, description="Models: accuracy minus that of always predicting the largest class, paired over test images."
    )
    ece: Measured | None = Field(None, description="Models: expected calibration error on the test split.")
    brier: Measured | None = Field(None, description="Models: Brier score on the test split, summed over classes: 0 to 2.")
    nll: Measured | None = Field(None, description="Models: mean negative log-likelihood of the true class, nats.")
    signal: str = Field("", description="The declared signal, used for the following fields unless stated otherwise.")
    attack: str = Field("", description="Scorer of the headline number: the declared one, or one without references.")
    state: State = Field("not measured", description="Result; `no measurable leakage` only with reference runs.")
    reasons: list[FindingReason] = Field(
        default_factory=list, description="The findings behind `state`; empty if the audit is not valid."
    )
    aop: Measured | None = Field(None, description="CAS / (2 max(AUC, 0.5)) ** lambda with the declared scorer.")
    strongest: Strongest | None = None
    auc: dict[str, Measured] = Field(default_factory=dict, description="Target's AUC by scorer; n = records.")
    other_signals: dict[str, dict[str, Measured]] = Field(default_factory=dict, description="Other signal -> scorer -> AUC.")
    leave_one_out: dict[str, LeaveOneOut] = Field(default_factory=dict, description="By scorer.")
    tpr: dict[str, dict[str, Measured]] = Field(default_factory=dict, description='By scorer, then "0.1", "0.01", "0.001".')
    low_fpr: dict[str, LowFpr] = Field(
        default_factory=dict,
        description='Declared scorer over all runs, "0.1", "0.01", "0.001"; empty in older results and without references.',
    )
    balanced_accuracy: Measured | None = Field(None, description="Declared scorer, threshold fixed on the reference runs.")
    epsilon_lower_bound: EpsilonBound | None = Field(None, description="Declared scorer.")
    mu_lower_bound: GaussianBound | None = Field(
        None,
        description="Declared scorer: lower bound on mu of Gaussian differential privacy; None in older results.",
    )
    auc_by_class: dict[str, Measured] = Field(default_factory=dict, description="Declared scorer, by class name.")
    worst_class: WorstClass | None = Field(None, description="Declared scorer; None in a shareable report.")
    at_risk: AtRisk | NotMeasurable | None = Field(
        None, description="Units at risk by the declared signal, over all runs; None in a shareable report."
    )
    of_records: OfRecords | None = Field(None, description="None if the unit is the record.")
    tests: list[LeakTest] = Field(default_factory=list, description="Tests that determine `state`; empty in older results.")
    detectable_auc: float | None = Field(
        None, description="AUC, of the target and of every reference run, that 80 of 100 such audits would detect."
    )
    roc: dict[str, list[tuple[float, float]]] = Field(default_factory=dict, description="By scorer: at most 400 (FPR, TPR).")

    @property
    def headline(self) -> Measured | None:
        """Return the mean AUC of `attack` over runs (leakage of training of this kind); without runs, that of the target."""
        return self.over_runs or self.of_target

    @property
    def over_runs(self) -> Estimate | None:
        """Return the mean AUC of `attack` over runs, if it has an interval."""
        found = self.leave_one_out.get(self.attack)
        return found.mean if found and isinstance(found.mean, Estimate) else None

    @property
    def on_records(self) -> Measured | None:
        """Return the AUC of `attack` on single records if groups are judged: the mean over runs, else that on the target."""
        if self.of_records is None:
            return None
        runs = self.of_records.leave_one_out
        return runs.mean if runs and isinstance(runs.mean, Estimate) else self.of_records.auc

    @property
    def of_target(self) -> Measured | None:
        """Return the AUC of `attack` on the target: leakage of this one model."""
        return self.auc.get(self.attack)


class Differences(Result):
    """Student minus Teacher on the same test images and the same records. Print with `describe_difference`."""

    cas: Measured
    auc: Measured | None = Field(None, description="Declared scorer on the target, paired over its records.")
    auc_over_runs: Measured | None = Field(None, description="Declared scorer, mean over runs, paired; or None.")

    @property
    def headline(self) -> Measured | None:
        """Return the difference over runs; without runs, that of the target."""
        return self.auc_over_runs if isinstance(self.auc_over_runs, Estimate) else self.auc


class Control(Result):
    """One control of the audit."""

    name: str = Field(description="null, shared generator, positive, planted or parity.")
    surface: str = Field(description="Surface whose reference runs were used.")
    signal: str = Field(description="Signal that was queried.")
    measure: str = Field(description="Scorer behind the AUC; for parity `accuracy` or `mean`.")
    passed: bool
    decides: bool = Field(description="Whether its failure makes the audit invalid; otherwise it is for information.")
    expected: str = Field(description="Expected result, as text.")
    found: Measured


class Together(Result):
    """One attack on several surfaces of a package: a weighted sum of their scores, with weights from reference runs."""

    surfaces: dict[str, float] = Field(
        description="Surfaces that reference runs repeated -> weight, by linear discriminant analysis of reference "
        "runs; absolute values add up to 1."
    )
    auc: Measured = Field(description="On the target.")
    test: LeakTest = Field(description="Test of its AUC, with the target's members sampled again.")


class Package(Result):
    """Surfaces that are usually released together, and the audit's result for the package."""

    name: str
    exposes: list[str] = Field(description="Surfaces that a holder of the package can attack.")
    state: State
    deciding: list[str] = Field(description="The surfaces that decide its state; their reasons are the package's.")
    reasons: list[FindingReason] = Field(default_factory=list, description="Further findings of the attack on all of them.")
    together: Together | None = Field(
        None, description="None in older results, and if reference runs repeated fewer than two of its surfaces."
    )


class ImagesAlone(Result):
    """A Student trained only on the synthetic images and the classes of their prompts: the value of the images alone."""

    cas: Measured = Field(description="Its accuracy on the locked test split.")
    balanced_cas: Measured = Field(description="Mean over classes of the accuracy on each class.")
    over_largest: Measured = Field(description="Accuracy minus that of always predicting the largest class, paired.")
    difference: Measured = Field(description="Its accuracy minus the Teacher's, paired over test images.")


class AuditResult(Document):
    """The complete result of an audit.

    `verdict.state` has three values: `not measured` (only accuracy and canaries are reported), `invalid` (a control failed:
    show the numbers greyed out), `valid`.
    """

    file_name: ClassVar[str] = "audit.json"

    verdict: Verdict
    declared: Declared
    surfaces: dict[str, SurfaceResult] = Field(
        description="Keys `captions`, `adapter`, `images`, `soft_labels`, `teacher`, `student`; only the last two if "
        "membership was not measured; for given tables their own names."
    )
    largest_class: LargestClass | None = Field(None, description="Of the test split; None for given tables.")
    images_alone: ImagesAlone | None = Field(None, description="None if no such Student was trained.")
    differences: Differences | None = Field(None, description="None for given tables.")
    paired: PairedTest | None = Field(None, description="None for given tables.")
    fidelity: FidelityResult | None = Field(None, description="None for given tables.")
    controls: list[Control] = Field(default_factory=list)
    packages: list[Package] = Field(default_factory=list, description="Surfaces that may be released together.")
    copies: CopiesResult | None = Field(None, description="Near-copies of members among the images.")
    canaries: dict[str, dict[str, OneRunBound | NotMeasurable]] = Field(
        default_factory=dict, description="Surface -> kind of canary -> bound from one run; empty without canaries."
    )
    guarantee: Refutation | None = Field(None, description="What canaries say of the formal guarantee; None without one.")

    @property
    def measured(self) -> bool:
        """Return whether membership was measured."""
        return self.verdict.state != "not measured"

    @property
    def valid(self) -> bool:
        """Return whether membership was measured and every deciding control passed."""
        return self.verdict.state == "valid"

    @property
    def refuted(self) -> bool:
        """Return whether canaries prove the formal guarantee wrong."""
        return self.guarantee is not None and self.guarantee.refuted

    @property
    def generator_leaks(self) -> bool:
        """Return whether the shared generator was found to leak the target's members, so reference runs do not apply."""
        return any(control.name == SHARED_GENERATOR and not control.passed for control in self.controls)
