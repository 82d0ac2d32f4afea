"""The arrays that an audit judges, from runs of TCKR or from given tables.

Shape suffixes: R runs (row 0 = target, 1.. = reference runs), N pool records, T test images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.special import softmax
from scipy.stats import chi2_contingency

from tckr.artifacts.audit import Unit
from tckr.membership.scorers.quantile_regression import AmongAlike
from tckr.metrics.calibration import proper_scores
from tckr.surfaces import SIGNALS

IMAGES_ALONE = "images_alone"
"""Input and predictions of the Student trained only on images and the classes of their prompts."""

RATES_DIFFER = 1e-6
"""Probability that classes with equal membership rates are taken for different ones."""


@dataclass(frozen=True)
class Predictions:
    """Predictions on the locked test split: class int64 [T], its probability, Brier score and log loss, float64 [T]."""

    classes: np.ndarray
    confidences: np.ndarray
    brier_scores: np.ndarray
    log_losses: np.ndarray

    @classmethod
    def from_logits(cls, logits_TK: np.ndarray, labels: np.ndarray) -> Predictions:
        """Compute the predictions from logits and the true classes."""
        probabilities = softmax(logits_TK.astype(np.float64), axis=1)
        return cls(probabilities.argmax(axis=1), probabilities.max(axis=1), *proper_scores(logits_TK, labels))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All data that is judged.

    Attributes:
        class_names: index = label.
        labels: int64 [N], of the pool.
        members: the membership matrix, bool [R, N]; row 0 is the target's.
        records: ids [N] by which the score table names the records, int64 or str; None = 0 to N - 1.
        surfaces: surface -> its signals, the declared one first; a surface without signals was not measured.
        signals: signal -> float64 [R, N], higher = more likely a member; one row if no run repeated what the signal needs.
        correct: model -> bool [R, N], whether its prediction for the record was correct; for parity.
        controls: `null` and `positive` -> signal -> float64 [N].
        test_labels: int64 [T].
        test: model -> its predictions on the test split; empty for tables from elsewhere.
        features: what an attacker knows about each record without the attacked models, float64 [N, D]; None = nothing.
        why_no_references: signal -> the reason to show if it has only one row.
        num_left_out: records that were left out because their membership never varies.
        groups: ids [N], int64 or str, of what each record belongs to (patient, part). Either all records of a group are
        members of a run or none is, and `units.of_groups` is what is judged; None = every record stands for itself.
        balanced_runs: whether each record is in equally many runs: some attacks would read membership off this.
        independent_runs: whether the rows of `members` were sampled independently; otherwise row 0 alone is attacked.
    """

    class_names: Sequence[str]
    labels: np.ndarray
    members: np.ndarray
    records: np.ndarray | None = None
    surfaces: Mapping[str, Sequence[str]] = field(default_factory=lambda: SIGNALS)
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)
    correct: Mapping[str, np.ndarray] = field(default_factory=dict)
    controls: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    test_labels: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    test: Mapping[str, Predictions] = field(default_factory=dict)
    features: np.ndarray | None = None
    why_no_references: Mapping[str, str] = field(default_factory=dict)
    num_left_out: int = 0
    groups: np.ndarray | None = None
    balanced_runs: bool = False
    independent_runs: bool = True

    @cached_property
    def strata(self) -> np.ndarray:
        """Return which records were sampled together, int64 [N].

        These are the classes if every run has as many members of each (up to rounding), or if their rates differ; else all
        records form one stratum. Records that are the only one of their class form a stratum of their own: each always has
        as many members, up to rounding, and alone it could not be redrawn.
        """
        if not len(self.class_names):
            return np.zeros(len(self.labels), dtype=np.int64)
        if self.compared_within is not None:
            return self.labels
        _, counts_RC = self._members_by_class
        if np.ptp(counts_RC, axis=0).max() > 1:
            return np.zeros(len(self.labels), dtype=np.int64)
        sizes = np.bincount(self.labels)
        return np.where(sizes[self.labels] == 1, len(sizes), self.labels)

    @cached_property
    def compared_within(self) -> np.ndarray | None:
        """Return the classes if their membership rates differ, because an attack could use the class; else None.

        Members that `prepare` samples have the same rate in every class; those of given tables may not.
        """
        if not len(self.class_names):
            return None
        sizes, counts_RC = self._members_by_class
        seen = counts_RC.sum(axis=0)
        table = np.stack([seen, sizes * len(self.members) - seen])
        differ = table.shape[1] > 1 and table.sum(axis=1).all() and chi2_contingency(table).pvalue < RATES_DIFFER
        return self.labels if differ else None

    @property
    def _members_by_class(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the sizes of the classes, [C], and the members of each in every run, [R, C]; without empty classes."""
        sizes = np.bincount(self.labels)
        counts_RC = np.stack([np.bincount(self.labels[row], minlength=len(sizes)) for row in self.members])
        return sizes[sizes > 0], counts_RC[:, sizes > 0]

    @cached_property
    def attacked(self) -> dict[tuple[str, str], Mapping[str, np.ndarray]]:
        """Return (signal, null control) -> scorer -> scores [N], kept by `findings.target_scores`: several ask for them."""
        return {}

    @cached_property
    def aucs_over_runs(self) -> dict[str, dict[tuple[int, ...], np.ndarray]]:
        """Return signal -> numbers of runs -> the declared scorer's AUC of each, attacked with the others as references.

        Kept by `findings.membership_findings`: the difference of Student and Teacher over runs asks for them again.
        """
        return {}

    @cached_property
    def quantile_attack(self) -> AmongAlike | None:
        """Return quantile regression on the features; None without features, or with too few records."""
        found = None if self.features is None else AmongAlike(self.features)
        return found if found and found.is_usable else None

    @property
    def unit(self) -> Unit:
        """Return the sampled unit, which counts as one observation."""
        return "record" if self.groups is None else "group"

    @property
    def measured_surfaces(self) -> list[str]:
        """Return the surfaces whose declared signal was measured."""
        return [name for name, signals in self.surfaces.items() if signals[0] in self.signals]

    def surface_of(self, signal: str) -> str:
        """Return the surface that `signal` attacks."""
        return next(name for name, signals in self.surfaces.items() if signal in signals)

    def signals_of(self, surface: str) -> list[str]:
        """Return the signals that attack `surface` and were measured, the declared one first."""
        return [signal for signal in self.surfaces[surface] if signal in self.signals]

    def has_references(self, signal: str) -> bool:
        """Return whether `signal` was also measured on reference runs."""
        return len(self.signals[signal]) > 1

    def members_of(self, signal: str) -> np.ndarray:
        """Return the rows of the membership matrix for which `signal` has values."""
        return self.members[: len(self.signals[signal])]

    def why_alone(self, signal: str) -> str:
        """Return why `signal` has no reference runs."""
        return self.why_no_references.get(signal, "no reference run repeated this")

    def without_records(self, left_out: np.ndarray) -> Evidence:
        """Return the same evidence without the records `left_out`, which are column numbers."""
        records = np.arange(len(self.labels)) if self.records is None else self.records

        def rest(values: np.ndarray) -> np.ndarray:
            return np.delete(values, left_out, axis=-1)

        return replace(
            self,
            labels=rest(self.labels),
            members=rest(self.members),
            records=rest(records),
            signals={name: rest(values) for name, values in self.signals.items()},
            correct={name: rest(values) for name, values in self.correct.items()},
            controls={
                control: {name: rest(values) for name, values in found.items()} for control, found in self.controls.items()
            },
            features=None if self.features is None else np.delete(self.features, left_out, axis=0),
            num_left_out=self.num_left_out + len(left_out),
            groups=None if self.groups is None else rest(self.groups),
        )

    def without_references(self, signals: Iterable[str], reason: str) -> Evidence:
        """Return the same evidence with the target as the only run of `signals`."""
        chosen = list(signals)
        alone = {signal: self.signals[signal][:1] for signal in chosen}
        reasons = dict.fromkeys(chosen, reason)
        return replace(self, signals={**self.signals, **alone}, why_no_references={**self.why_no_references, **reasons})
