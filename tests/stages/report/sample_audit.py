"""What the audit of the sample run says, with plausible numbers; its states are those that the audit itself would state."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from tckr.artifacts.audit import (
    PLAIN,
    AuditResult,
    Control,
    Declared,
    Differences,
    ImagesAlone,
    LeakTest,
    LeaveOneOut,
    Strongest,
    SurfaceResult,
    Verdict,
    VerdictReason,
)
from tckr.membership.family import Family
from tckr.membership.packages import packages, stated
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.results import (
    CopiesResult,
    EpsilonBound,
    FidelityResult,
    FidelityScores,
    FlaggedImage,
    LargestClass,
    OneRunBound,
    PairedTest,
)
from tests.stages.report.sample_bounds import CANARIES, TOGETHER, around, low_fpr_of, mu_of

if TYPE_CHECKING:
    from tests.stages.report.sample import Sample

DECLARED = "lira_online_fixed_variance"
SEPARATION = {
    PLAIN: 0.35,
    "lira_online": 0.7,
    DECLARED: 0.8,
    "lira_offline": 0.62,
    "lira_offline_fixed_variance": 0.68,
}
LEAKS = {"captions": 0.05, "adapter": 0.7, "images": 0.1, "soft_labels": 0.25, "teacher": 1.0, "student": 0.3}
"""Surface -> how far its attacks' normal scores are apart, in units of SEPARATION."""

OTHERS = {"images": {"images_pixels": 0.6}, "student": {"student_indirect": 1.3}}
"""Surface -> further signals and how far they are apart, in units of the declared one."""

REPEATED = {
    "captions": ("full",),
    "adapter": ("full",),
    "images": ("full",),
    "soft_labels": ("distill", "full"),
    "teacher": ("teacher", "distill", "full"),
    "student": ("distill", "full"),
}
"""Surface -> the depths at which reference runs repeat it."""


def audit_of(sample: Sample) -> AuditResult:
    """Return the audit of a Student that leaks less than its Teacher."""
    differences = Differences(cas=difference_of(sample))
    if not sample.measured:
        return AuditResult(
            verdict=Verdict(state="not measured", reasons=[VerdictReason(kind="no_non_members")]),
            declared=declared_of(sample),
            surfaces={name: classifier(cas, sample) for name, cas in (("teacher", 0.992), ("student", 0.978))},
            largest_class=largest_of(sample),
            images_alone=images_alone_of(),
            differences=differences,
            canaries=canaries_of(sample),
            paired=paired_of(sample),
            fidelity=fidelity_of(sample),
        )
    paired: Measured = Estimate(-0.131, -0.162, -0.1, 1294, "paired DeLong over records")
    if sample.depth == "teacher":
        paired = NotMeasurable(why_alone("student", sample.depth))
    attacks = {name: attacked(name, sample) for name in LEAKS}
    found, bounds = copies(sample), canaries_of(sample)
    judged = {"level": 0.045, "copies_level": 0.005, "images_tell": sample.images_tell}
    family = family_of(attacks, bounds)
    surfaces = stated(attacks, family, copies=found, canaries=bounds, **judged) if sample.valid else attacks
    return AuditResult(
        verdict=verdict_of(sample),
        declared=declared_of(sample),
        surfaces=surfaces,
        largest_class=largest_of(sample),
        images_alone=images_alone_of(),
        differences=differences.model_copy(update={"auc": paired, "auc_over_runs": replace(paired, n=9)}),
        controls=controls(sample),
        packages=packages(surfaces, attacked=TOGETHER),
        copies=found,
        canaries=bounds,
        paired=paired_of(sample),
        fidelity=fidelity_of(sample),
    )


def difference_of(sample: Sample) -> Estimate:
    """Return Student minus Teacher: on few test images an interval that says nothing."""
    few = sample.num_test < 100  # and then their interval is 15 times as wide
    ends = (-0.188, -0.544, 0.321) if few else (-0.014, -0.031, 0.003)
    return Estimate(*ends, sample.num_test, "Bonett-Price")


def images_alone_of() -> ImagesAlone:
    """Return a Student that learned less from images and prompts' classes than from soft labels."""
    return ImagesAlone(
        cas=around(0.846, 0.04, 360),
        balanced_cas=around(0.844, 0.045, 360),
        over_largest=around(0.746, 0.05, 360),
        difference=Estimate(-0.146, -0.186, -0.106, 360, "Bonett-Price"),
    )


def largest_of(sample: Sample) -> LargestClass:
    """Return the first class as the one with most test images."""
    return LargestClass(name=sample.class_names[0], share=sample.largest_share)


def paired_of(sample: Sample) -> PairedTest:
    """Return a Student that is right three times where the Teacher is not, and wrong eight times where it is."""
    return PairedTest(
        num_test=sample.num_test,
        both_right=sample.num_test - 11,
        only_student=3,
        only_teacher=8,
        both_wrong=0,
        difference=difference_of(sample),
        p_value=0.2265625,
        by_class={name: Estimate(-0.0625, -0.125, 0.0625, 36, "Bonett-Price") for name in sample.class_names},
    )


def fidelity_of(sample: Sample) -> FidelityResult:
    """Return images that are worse by FID, better by precision and like the hold-out by the rest."""

    def scores(fid: float, precision: float) -> FidelityScores:
        rest = {"kid": 0.0125, "recall": 0.8125, "density": 0.9375, "coverage": 0.8125}
        return FidelityScores(
            fid=Estimate(fid, fid - 0.5, fid + 0.5, 647, "jackknife"),
            precision=around(precision, 0.01, 647),
            **{name: around(value, 0.03, 647) for name, value in rest.items()},
        )

    return FidelityResult(
        features=sample.fidelity_features,
        dimensions=128,
        num_images=647,
        synthetic=scores(9.5, 0.9375),
        holdout=scores(3.25, 0.875),
    )


def verdict_of(sample: Sample) -> Verdict:
    """Return a verdict that the null control fails in an invalid audit, and that names what no reference run repeats."""
    failed = [] if sample.valid else [VerdictReason(kind="control_failed", control="null", surfaces=["teacher"])]
    names = [name for name, depths in REPEATED.items() if sample.depth not in depths]
    alone = [VerdictReason(kind="no_references", surfaces=names)] if names else []
    return Verdict(state="valid" if sample.valid else "invalid", reasons=[*failed, *alone])


def canaries_of(sample: Sample) -> dict[str, dict[str, OneRunBound | NotMeasurable]]:
    """Return the bounds from canaries, which need no reference run."""
    return CANARIES if sample.canaries else {}


def declared_of(sample: Sample) -> Declared:
    """Return what was fixed before anything was trained."""
    return Declared(
        scorer=DECLARED,
        depth=sample.depth,
        num_reference_runs=8 if sample.measured else 0,
        num_members=647,
        num_non_members=sample.num_non_members,
        num_test=sample.num_test,
        num_queries=5,
        confidence=0.95,
        delta=1e-5,
        aop_lambda=2,
        family_level=0.05,
    )


def classifier(cas: float, sample: Sample) -> SurfaceResult:
    """Return what the audit says of a classifier that nobody attacked."""
    names = sample.class_names
    wide = 1.0 if sample.num_test >= 100 else 15.0
    return SurfaceResult(
        cas=around(cas, 0.009 * wide, sample.num_test),
        balanced_cas=around(cas - 0.003, 0.011 * wide, sample.num_test),
        over_largest=around(cas - sample.largest_share, 0.02, 360),
        per_class={name: around(cas - 0.01 * (number % 4), 0.05, 36) for number, name in enumerate(names)},
        confusion=confusion_of(sample),
        ece=around(0.021, 0.008, 360),
        brier=around(0.03125, 0.01, 360),
        nll=around(0.0625, 0.02, 360),
    )


def confusion_of(sample: Sample) -> list[list[int]]:
    """Return a Student that takes two images of the first class for the second, and one of each other for the first."""
    names, per_class = sample.class_names, sample.num_test // 10
    counts = [[per_class if row == column else 0 for column in range(len(names))] for row in range(len(names))]
    for row, counted in enumerate(counts):
        wrong = min(2 if row == 0 else 1, per_class)
        counted[row] -= wrong
        counted[1 if row == 0 else 0] += wrong
    return counts


def attacked(name: str, sample: Sample) -> SurfaceResult:
    """Return a surface with its attacks; without references where the depth repeats nothing of it."""
    leak = sample.leak * (sample.image_leak if name == "images" else LEAKS[name])
    cas = 0.992 if name == "teacher" else 0.978
    bare = classifier(cas, sample) if name in ("teacher", "student") else SurfaceResult(cas=around(cas, 0.009, 360))
    has_references = sample.depth in REPEATED[name]
    scorers = SEPARATION if has_references else {PLAIN: SEPARATION[PLAIN]}
    separation = {scorer: leak * distance for scorer, distance in scorers.items()}
    auc = aucs(separation)
    others = {
        signal: aucs({scorer: share * distance for scorer, distance in separation.items()})
        for signal, share in OTHERS.get(name, {}).items()
    }
    found = {
        "signal": name,
        "attack": DECLARED if has_references else PLAIN,
        "aop": NotMeasurable(why_alone(name, sample.depth)),
        "strongest": strongest(cas, {name: auc} | others),
        "auc": auc,
        "other_signals": others,
        "tpr": {scorer: rates(distance, sample.num_non_members) for scorer, distance in separation.items()},
        "balanced_accuracy": NotMeasurable("no reference runs"),
        "roc": {scorer: roc(distance, sample.num_non_members) for scorer, distance in separation.items()},
    }
    return bare.model_copy(update=found | (with_references(cas, leak, auc, sample) if has_references else {}))


def family_of(attacks: dict[str, SurfaceResult], bounds: dict[str, dict[str, OneRunBound | NotMeasurable]]) -> Family:
    """Return p-values that say of every statistic what its interval or bound says."""

    def tested(name: str, attack: str, found: bool) -> LeakTest:
        p = 0.001 if found else 0.4
        return LeakTest(name=name, attack=attack, p_value=p / 10, family_p_value=p)

    tests: dict[str, list[LeakTest]] = {}
    for name, surface in attacks.items():
        auc, bound = surface.headline, surface.epsilon_lower_bound
        tests[name] = [tested("above", surface.attack, isinstance(auc, Estimate) and auc.low > 0.5)]
        tests[name] += [tested("tail", surface.attack, bound.value > 0)] if bound else []
        for kind, proven in bounds.get(name, {}).items():
            tests[name].append(tested(f"{kind} canaries", "", isinstance(proven, OneRunBound) and proven.value > 0))
    return Family(tests=tests, detectable_auc=dict.fromkeys(attacks, 0.54))


def why_alone(name: str, depth: str) -> str:
    """Return what the audit says of a surface that no reference run repeats."""
    return f"no reference runs of this surface at depth {depth}; use audit.depth={REPEATED[name][0]}"


def aucs(separation: dict[str, float]) -> dict[str, Measured]:
    """Return the AUC of normal scores so far apart."""
    return {scorer: around(NormalDist().cdf(distance / 2**0.5), 0.03, 1294) for scorer, distance in separation.items()}


def strongest(cas: float, by_signal: dict[str, dict[str, Any]]) -> Strongest:
    """Return the highest of all."""
    every = {(signal, scorer): auc for signal, found in by_signal.items() for scorer, auc in found.items()}
    signal, scorer = max(every, key=lambda pair: every[pair].value)
    auc = every[signal, scorer]
    note = f"strongest of {len(every)}, chosen on the evaluation labels"
    return Strongest(signal=signal, scorer=scorer, auc=auc, aop=around(cas / (2 * auc.value) ** 2, 0.05, 1294), note=note)


def with_references(cas: float, leak: float, auc: dict[str, Any], sample: Sample) -> dict[str, Any]:
    """Return what only reference runs can give."""
    return {
        "aop": around(cas / (2 * auc[DECLARED].value) ** 2, 0.05, 1294),
        "leave_one_out": {
            scorer: LeaveOneOut(
                value=estimate.value,
                mean=replace(estimate, n=9) if scorer == DECLARED else NotMeasurable("the declared attack alone", 9),
                spread=0.011,
                runs=[estimate.value] * 9,
            )
            for scorer, estimate in auc.items()
        },
        "balanced_accuracy": around(0.5 + leak * 0.13, 0.03, 1294),
        "epsilon_lower_bound": EpsilonBound(
            value=max(0.0, 0.9 * leak - 0.2),
            confidence=0.95,
            delta=1e-5,
            threshold=1.2,
            true_positives=int(40 * leak) + 4,
            false_positives=4,
            num_members=647,
            num_non_members=sample.num_non_members,
            method="Clopper-Pearson at a threshold fixed in advance",
        ),
        "mu_lower_bound": mu_of(leak),
        "low_fpr": low_fpr_of(leak),
        "auc_by_class": {
            name: around(auc[DECLARED].value + 0.02 * (number % 3 - 1), 0.09, 129)
            for number, name in enumerate(sample.class_names)
        },
    }


def controls(sample: Sample) -> list[Control]:
    """Return some of each kind: a null that fails in an invalid audit, and two for information that do not hold."""

    def delong(value: float, half: float) -> Estimate:
        return Estimate(value, value - half, value + half, 1294, "DeLong")

    null = delong(0.508, 0.032) if sample.valid else delong(0.566, 0.03)
    level = "AUC interval covers 0.5 at 99.38% (all null checks together: 95%)"
    above = "lower end of the AUC interval above 0.5"
    rows: list[tuple[Any, ...]] = [
        ("null", "teacher", "teacher", PLAIN, True, True, level, delong(0.497, 0.033)),
        ("null", "teacher", "teacher", DECLARED, sample.valid, True, level, null),
        ("shared generator", "student", "student_indirect", PLAIN, True, False, level, delong(0.511, 0.034)),
        ("shared generator", "student", "student", DECLARED, not sample.images_tell, False, level, delong(0.489, 0.034)),
        ("positive", "teacher", "teacher", DECLARED, True, True, above, delong(0.941, 0.012)),
        ("positive", "soft_labels", "soft_labels", DECLARED, False, False, above, delong(0.512, 0.031)),
        (
            "planted",
            "student",
            "student",
            DECLARED,
            True,
            True,
            "mean AUC interval above 0.63 (0.76 is the best possible), and a single AUC interval above 0.5 in 13 of "
            "16 draws; found in 16",
            Estimate(0.722, 0.713, 0.731, 720, "t-interval over 16 draws"),
        ),
        ("parity", "teacher", "teacher", "accuracy", True, True, "0.978 to 1", Estimate(0.992, 0.992, 0.992, 360, "point")),
        (
            "parity",
            "student",
            "student",
            "mean",
            False,
            False,
            "at least 4 reference runs",
            NotMeasurable("2 reference runs", 2),
        ),
    ]
    keys = ("name", "surface", "signal", "measure", "passed", "decides", "expected", "found")
    return [Control(**dict(zip(keys, row, strict=True))) for row in rows]


def copies(sample: Sample) -> CopiesResult:
    """Return three flagged images, the first two as near as copies are."""
    half = len(sample.labels) // 2
    places = [(2, 1.2, 9.5), (3, 2.25, 8.125), (1, 6.5, 7.75)]
    return CopiesResult(
        excess=Estimate(sample.copy_excess, sample.copy_excess - 0.009, sample.copy_excess + 0.009, 647, "Bonett-Price"),
        p_value=0.001 if sample.copy_excess > 0.009 else 0.4,
        near_member=around(0.031 + sample.copy_excess, 0.012, 647),
        near_holdout=around(0.031, 0.011, 647),
        closer=around(0.512, 0.04, 647),
        threshold=7.125,
        quantile=0.05,
        num_synthetic=647,
        num_members=647,
        num_holdout=647,
        flagged=[
            FlaggedImage(synthetic=index, member=index, member_distance=near, holdout=half + index, holdout_distance=far)
            for index, near, far in places
        ],
        num_flagged=len(places),
        num_mirrored=2,
    )


def rates(separation: float, num_non_members: int) -> dict[str, Measured]:
    """Return the TPR at three FPRs; not measurable with fewer than 1 / FPR non-members."""
    found: dict[str, Measured] = {}
    for fpr in ("0.1", "0.01", "0.001"):
        tpr = NormalDist().cdf(NormalDist().inv_cdf(float(fpr)) + separation)
        few = num_non_members < 1 / float(fpr)
        found[fpr] = (
            NotMeasurable(f"{num_non_members} non-members, needs {1 / float(fpr):.0f}", num_non_members)
            if few
            else around(tpr, 0.02, 647)
        )
    return found


def roc(separation: float, num_non_members: int) -> list[tuple[float, float]]:
    """Return the ROC curve of normal scores, in steps of one false alarm."""
    normal = NormalDist()
    inner = [count / num_non_members for count in range(1, num_non_members, max(1, num_non_members // 300))]
    return [(0.0, 0.0), *[(fpr, normal.cdf(normal.inv_cdf(fpr) + separation)) for fpr in inner], (1.0, 1.0)]
