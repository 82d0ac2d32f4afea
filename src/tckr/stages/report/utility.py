"""The report's sections on the fidelity of the images and on the paired comparison of Student and Teacher."""

from __future__ import annotations

from tckr.artifacts.audit import AuditResult
from tckr.html.numbers import fraction, measured_number, p_text, percent
from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.results import FidelityResult, PairedTest
from tckr.stages.report.report_json import CalibrationRow, FidelityRow, FidelitySummary, Number, PairedSummary, Reading

FIDELITY = {
    "fid": ("FID", "Frechet distance of the features", "lower"),
    "kid": ("KID", "kernel distance of the features, unbiased", "lower"),
    "precision": ("Precision", "synthetic images in reach of a member, k = 3", "higher"),
    "recall": ("Recall", "members in reach of a synthetic image, k = 3", "higher"),
    "density": ("Density", "members around a synthetic image, over k = 5", "higher"),
    "coverage": ("Coverage", "members with a synthetic image in reach, k = 5", "higher"),
}
"""Measure -> name, note, and the direction that means more similar to the members."""

CALIBRATION = {
    "ece": ("Calibration error", "ECE, 15 bins"),
    "brier": ("Brier score", "squared error of the probabilities, 0 to 2"),
    "nll": ("Log loss", "negative log-likelihood of the true class, nats"),
}


def fidelity_summary(audit: AuditResult) -> FidelitySummary | None:
    """Return the measures of the synthetic images beside those of the hold-out; None if they were not measured."""
    found = audit.fidelity
    if found is None:
        return None
    rows = [_fidelity_row(found, key) for key in FIDELITY]
    return FidelitySummary(features=found.features, num_images=found.num_images, sentence=_sentence(rows), rows=rows)


def paired_summary(audit: AuditResult) -> PairedSummary | None:
    """Return the paired comparison of both models on the test images; None for given tables."""
    test = audit.paired
    if test is None:
        return None
    return PairedSummary(sentence=paired_sentence(test), p_value=test.p_value)


def paired_sentence(test: PairedTest) -> str:
    """Return the counts of the paired test, if they may be shown, and its p-value."""
    test_words = f"exact McNemar test, p {p_text(test.p_value)}"
    counts = (test.only_student, test.only_teacher, test.both_right, test.both_wrong)
    if None in counts:
        return f"Student and Teacher on the same {test.num_test:,} test images: {test_words}"
    student, teacher, both, neither = (f"{count:,}" for count in counts)
    return (
        f"Of {test.num_test:,} test images, only the Student got {student} right, only the Teacher {teacher}, both {both}, "
        f"neither {neither}; {test_words}"
    )


def calibration_rows(audit: AuditResult) -> list[CalibrationRow]:
    """Return the three measures of the probabilities of Teacher and Student."""
    sides = audit.surfaces["teacher"], audit.surfaces["student"]
    return [
        CalibrationRow(
            key=key,
            name=name,
            note=note,
            teacher=measured_number(getattr(sides[0], key)),
            student=measured_number(getattr(sides[1], key)),
        )
        for key, (name, note) in CALIBRATION.items()
    ]


def _fidelity_row(found: FidelityResult, key: str) -> FidelityRow:
    name, note, better = FIDELITY[key]
    synthetic, holdout = (getattr(side, key) for side in (found.synthetic, found.holdout))
    form = percent if key in ("precision", "recall", "coverage") else fraction if key == "density" else _three_digits
    numbers: list[Number] = [measured_number(measured, form) for measured in (synthetic, holdout)]
    reading = _reading(synthetic, holdout, better)
    return FidelityRow(key=key, name=name, note=note, synthetic=numbers[0], holdout=numbers[1], reading=reading)


def _reading(synthetic: Measured, holdout: Measured, better: str) -> Reading:
    """Return how the images compare with real ones; overlapping intervals show no difference."""
    if not isinstance(synthetic, Estimate) or not isinstance(holdout, Estimate):
        return "not compared"
    if synthetic.low <= holdout.high and holdout.low <= synthetic.high:
        return "no difference measured"
    return "closer than real images" if (synthetic.value > holdout.value) == (better == "higher") else "short of real images"


def _sentence(rows: list[FidelityRow]) -> str:
    """Return one sentence that summarises the rows."""
    short, closer = (
        [row.name for row in rows if row.reading == f"{what} real images"] for what in ("short of", "closer than")
    )
    if all(row.reading == "not compared" for row in rows):
        return "Without hold-out records there is no comparison with real images."
    if not short and not closer:
        return (
            "No measure shows a difference from real images that the generator was not trained on; this "
            "does not prove that there is none."
        )
    parts = [f"fall short of real images by {', '.join(short)}"] if short else []
    if closer:
        parts.append(f"are closer to the members than real images are by {', '.join(closer)}, as copies would be")
    return f"The synthetic images {' and '.join(parts)}."


def _three_digits(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}") if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"
