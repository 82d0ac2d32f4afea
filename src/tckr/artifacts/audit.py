"""`audit.json`: what the audit found on every surface, what it checked, and its verdict, as fields.

Every number is an `Estimate` {value, low, high, n, method} or a `NotMeasurable` {reason, n}; both print with `str()`.
`tckr.membership.wording` makes the sentences.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tckr.artifacts.document import Document
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
"""Name of the check whether images that all runs share know the target's members."""

PLAIN = "global_threshold"
"""The attack that needs no reference run."""

State = Literal["leaks", "no measurable leakage", "not measured"]
Unit = Literal["record", "group"]
"""What was drawn as a whole: members of a run are records, or groups of records."""

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
"""Why a surface or package has its state. The first ten are leaks: the AUC of the target is above or below 0.5; the mean
AUC of all runs; where groups are judged, the AUC of single records above or below 0.5; the AUC of the attack on all surfaces
of a package; members among the highest scores; canaries; an excess of near-copies; a model that learned from the images
alone tells their members."""

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
"""Why a verdict is what it is (the first three), or what it leaves open."""


class FindingReason(Result):
    """One finding behind the state of a surface, with its numbers; None where a finding has no such number."""

    kind: Finding
    found: Measured | None = Field(None, description="AUC, mean AUC or excess of near-copies.")
    attack: str = Field("", description="Scorer, where it is not that of the surface.")
    signal: str = Field("", description="Signal, where it is not the declared one.")
    canaries: str = Field("", description="Kind of the canaries that were guessed.")
    epsilon: float | None = Field(None, description="Lower bound that the finding proves; 0 = none.")
    p_value: float | None = Field(
        None,
        description="Chance of any finding as surprising when nothing leaks; of near-copies and of them alone. In a report "
        "that may be shared one digit, and 0 for less than 0.001.",
    )
    level: float | None = Field(None, description="What the p-value of near-copies is compared with.")
    detectable_auc: float | None = Field(None, description="The AUC that would be found in 80 of 100 audits like this.")


class VerdictReason(Result):
    """One reason of a verdict, or one thing that it leaves open."""

    kind: Remark
    control: str = Field("", description="Name of the control.")
    surfaces: list[str] = Field(default_factory=list, description="Concerned; of a control that was not given empty = all.")
    num_reference_runs: int | None = None
    num_records: int | None = Field(None, description="Left out, for all reference runs saw them or none did.")


class Verdict(Result):
    """Whether the numbers of the attacks may be believed."""

    state: VerdictState = Field(
        description="`invalid`: a deciding control failed. `not measured`: no hold-out, or too few reference runs."
    )
    reasons: list[VerdictReason] = Field(default_factory=list)


class Declared(Result):
    """What was fixed before anything was trained, and the sizes behind every number."""

    scorer: str = Field(description="Attack whose AUC goes into AOP.")
    depth: str = Field(description="What a reference run repeats: `teacher`, `distill` or `full`; empty for given tables.")
    num_reference_runs: int
    unit: Unit = Field(
        "record",
        description="What is judged: single records, or groups of them (patients, parts) by the means of their signals.",
    )
    num_records: int | None = Field(None, description="Records in the groups; None where the unit is the record.")
    num_members: int = Field(description="Units of the pool that the target was trained on, canaries apart.")
    num_non_members: int = Field(description="Units of the pool that the target never saw, canaries apart.")
    num_test: int = Field(description="Images of the locked test split behind CAS.")
    num_queries: int = Field(description="Views of a record averaged into a classifier's signal.")
    confidence: float = Field(description="Level of every interval, e.g. 0.95.")
    delta: float = Field(description="Delta of the epsilon lower bound.")
    aop_lambda: float = Field(description="Exponent of AOP.")
    family_level: float | None = Field(
        None, description="How often an audit may say `leaks` of any surface when nothing leaks; None in older results."
    )

    rules: str = Field("", description="Version and date of attacks, level and rules; empty in older results.")

    @property
    def generator_shared(self) -> bool:
        """Return whether the Student's numbers leave out what it learned of members through the generator's images."""
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
        description="Members found, mean over runs, the threshold of each fixed on the non-members of all others; n = runs."
    )
    tpr_of_target: Measured = Field(
        description="The target's members above the threshold that this share of the reference runs' non-members pass."
    )
    ppv: dict[str, Measured] = Field(
        description="Share of members among the records called members, at `tpr`, by how many members and non-members the "
        "attacker asks about: `1:1`, `1:10`, `1:100`."
    )


class Strongest(Result):
    """The signal and scorer with the highest AUC: chosen on the evaluation labels, so it flatters the attacker."""

    signal: str
    scorer: str
    auc: Measured
    aop: Measured
    note: str = Field(description="The label that must stand beside the number: `strongest of k, chosen on ...`.")
    family_p_value: float | None = Field(
        None, description="Chance that any attack on any surface finds as much when nothing leaks; None in older results."
    )


class LeakTest(Result):
    """One statistic of a surface against what it is when the target's members are drawn again."""

    name: str = Field(
        description="`above`, `below`: the target's AUC against 0.5; `tail`: members above the threshold of epsilon; "
        "`runs`: the AUC of all runs together; `records above`, `records below`: that of single records, where the unit is "
        "the group; `package`: the target's AUC by the attack on all surfaces of a package; `natural canaries`, "
        "`mislabelled canaries`."
    )
    attack: str = Field(description="Scorer; empty for canaries.")
    signal: str = Field("", description="Where it is not the declared one.")
    p_value: float = Field(description="Of this statistic alone: the chance of one as large when nothing leaks.")
    family_p_value: float = Field(description="The chance that any statistic of the audit is as surprising.")


class AtRisk(Result):
    """Records, or groups, whose membership shows over all runs. Private: it names training records."""

    records: list[int] | list[str] = Field(description="Ids of the units (of groups as in groups.npy), the surest first.")
    num_records: int = Field(description="How many were tested.")
    num_runs: int
    false_discovery_rate: float = Field(description="Share of the named records that chance alone may name, on average.")


class WorstClass(Result):
    """The class whose members the declared attack tells best from others, on the target."""

    name: str
    auc: Estimate = Field(description="Its interval holds for all classes together (Bonferroni).")
    num_classes: int = Field(description="How many it was chosen from.")


class OfRecords(Result):
    """The attack on single records, where groups of them are judged: beside what the other numbers say of groups."""

    auc: Measured = Field(description="On the target; its interval counts a group as one observation.")
    leave_one_out: LeaveOneOut | None = Field(None, description="None without reference runs.")


class SurfaceResult(Result):
    """One release surface: what it is worth, and what it tells about the target's training records.

    Membership fields (from `signal` on) are None or empty when membership was not measured. A surface that no reference run
    repeated is attacked without references: its dictionaries by scorer have the global threshold and quantile
    regression alone.
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
    reasons: list[FindingReason] = Field(
        default_factory=list, description="The findings behind `state`; empty where the audit is not valid."
    )
    aop: Measured | None = Field(None, description="CAS / (2 max(AUC, 0.5)) ** lambda with the declared scorer.")
    strongest: Strongest | None = None
    auc: dict[str, Measured] = Field(default_factory=dict, description="Target's AUC by scorer; n = records.")
    other_signals: dict[str, dict[str, Measured]] = Field(
        default_factory=dict, description="Target's AUC by signal that is not the declared one, then by scorer."
    )
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
        description="Declared scorer: Gaussian differential privacy that its error rates refute; None in older results.",
    )
    auc_by_class: dict[str, Measured] = Field(default_factory=dict, description="Declared scorer, by class name.")
    worst_class: WorstClass | None = Field(None, description="Declared scorer; None in a report that may be shared.")
    at_risk: AtRisk | NotMeasurable | None = Field(
        None, description="Units by the declared signal, over all runs; None in a report that may be shared."
    )
    of_records: OfRecords | None = Field(None, description="None where the unit is the record.")
    tests: list[LeakTest] = Field(default_factory=list, description="What `state` follows from; empty in older results.")
    detectable_auc: float | None = Field(
        None, description="AUC, of the target and of every reference run, that would be found in 80 of 100 audits like this."
    )
    roc: dict[str, list[tuple[float, float]]] = Field(default_factory=dict, description="By scorer: at most 400 (FPR, TPR).")

    @property
    def headline(self) -> Measured | None:
        """Return the mean AUC of `attack` over runs, what training like this leaks; without runs that of the target."""
        return self.over_runs or self.of_target

    @property
    def over_runs(self) -> Estimate | None:
        """Return the mean AUC of `attack` over runs, where it has an interval."""
        found = self.leave_one_out.get(self.attack)
        return found.mean if found and isinstance(found.mean, Estimate) else None

    @property
    def on_records(self) -> Measured | None:
        """Return the AUC of `attack` on single records where groups are judged: the mean over runs, else on the target."""
        if self.of_records is None:
            return None
        runs = self.of_records.leave_one_out
        return runs.mean if runs and isinstance(runs.mean, Estimate) else self.of_records.auc

    @property
    def of_target(self) -> Measured | None:
        """Return the AUC of `attack` on the target: what this one model tells of its records."""
        return self.auc.get(self.attack)


class Differences(Result):
    """Student minus Teacher on the same test images and the same records. Print with `describe_difference`."""

    cas: Measured
    auc: Measured | None = Field(None, description="Declared scorer on the target, paired over its records.")
    auc_over_runs: Measured | None = Field(
        None, description="Declared scorer, mean over all runs, paired; None without membership."
    )

    @property
    def headline(self) -> Measured | None:
        """Return the difference over runs; without runs that of the target."""
        return self.auc_over_runs if isinstance(self.auc_over_runs, Estimate) else self.auc


class Control(Result):
    """One check of the audit itself."""

    name: str = Field(description="null, shared generator, positive, planted or parity.")
    surface: str = Field(description="Whose reference runs were used.")
    signal: str = Field(description="What the runs were asked.")
    measure: str = Field(description="Scorer behind the AUC; for parity `accuracy` or `mean`.")
    passed: bool
    decides: bool = Field(description="Whether failing makes the audit invalid; the others are shown for information.")
    expected: str = Field(description="In words and numbers.")
    found: Measured


class Together(Result):
    """One attack on several surfaces of a package: their scores by the declared attack, weighed as reference runs show."""

    surfaces: dict[str, float] = Field(
        description="Those that reference runs repeated -> its weight, by linear discriminant analysis of reference "
        "runs; their sizes add up to 1."
    )
    auc: Measured = Field(description="On the target.")
    test: LeakTest = Field(description="Its AUC against what it is when the target's members are drawn again.")


class Package(Result):
    """Things that are usually released together, and what the audit says of all that they expose."""

    name: str
    exposes: list[str] = Field(description="Surfaces that whoever holds it can attack.")
    state: State
    deciding: list[str] = Field(description="The surfaces that decide; their reasons are the package's.")
    reasons: list[FindingReason] = Field(
        default_factory=list, description="What the attack on all of them found beyond these."
    )
    together: Together | None = Field(
        None, description="None in older results, and where reference runs repeated fewer than two of its surfaces."
    )


class ImagesAlone(Result):
    """A Student of the synthetic images and the classes of their prompts: what the images are worth by themselves."""

    cas: Measured = Field(description="Its accuracy on the locked test split.")
    balanced_cas: Measured = Field(description="Mean over classes of the accuracy on each.")
    over_largest: Measured = Field(description="Accuracy less that of always answering the largest class, paired.")
    difference: Measured = Field(description="Its accuracy less the Teacher's, paired over test images.")


class AuditResult(Document):
    """The whole of an audit.

    `verdict.state` tells three cases apart: `not measured` (only accuracy and canaries are reported), `invalid` (a control
    failed: show the numbers greyed out), `valid`.
    """

    file_name: ClassVar[str] = "audit.json"

    verdict: Verdict
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
    def measured(self) -> bool:
        """Return whether membership was measured."""
        return self.verdict.state != "not measured"

    @property
    def valid(self) -> bool:
        """Return whether membership was measured and every deciding control passed."""
        return self.verdict.state == "valid"

    @property
    def generator_leaks(self) -> bool:
        """Return whether the shared generator was found to know the target's members, so that no reference fits."""
        return any(control.name == SHARED_GENERATOR and not control.passed for control in self.controls)
