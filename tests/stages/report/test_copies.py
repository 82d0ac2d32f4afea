"""Near-copies: what is said of them, and what may be shared."""

from __future__ import annotations

from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.results import CopiesResult
from tckr.metrics.rounding import rounded
from tckr.stages.report.copies import copies_summary, redraw_command, redrawn_sentence
from tckr.stages.report.shared_audit import shareable_audit
from tckr.stages.report.wording import verdict_of
from tests.stages.report.sample import Sample


def audit_of(**changes):
    return Sample(**{"class_names": ["a", "b"], **changes}).audit()


def test_redrawing_keeps_what_was_redrawn_before():
    audit = audit_of()
    assert redraw_command(audit.copies, []) == "tckr run RUN_FOLDER 'generate.redraw=[1,2,3]'"
    assert redraw_command(audit.copies, [2, 7]) == "tckr run RUN_FOLDER 'generate.redraw=[1,2,2,3,7]'"
    assert redraw_command(audit.copies.model_copy(update={"flagged": []}), [7]) == ""


def test_copies_are_told_with_their_numbers():
    audit = audit_of()
    summary = copies_summary(audit, [], include_private=True)
    assert summary.headline == "No measurable excess of near-copies of members"
    assert (summary.excess.value, summary.excess.text) == (0.004, "+0.40 % [\u22120.50 %, +1.30 %]")
    assert summary.closer.text == "51.2 % [47.2 %, 55.2 %]"
    assert (summary.num_flagged, summary.num_mirrored) == (3, 2)
    assert "within 7.12" in summary.nearness
    assert "5 % of the 1,294 real records" in summary.nearness
    assert [(row.synthetic, row.member, row.member_distance.value) for row in summary.flagged] == [
        (2, 2, 1.2),
        (3, 3, 2.25),
        (1, 1, 6.5),
    ]


def test_what_may_be_shared_of_copies_is_counts_and_shares():
    audit = audit_of()
    summary = copies_summary(audit, [7], include_private=False)
    assert (summary.flagged, summary.command) == ([], "")
    assert "7.12" not in summary.nearness
    assert (summary.num_flagged, summary.num_mirrored, summary.excess.value) == (3, 2, 0.004)
    shared = shareable_audit(audit).copies
    assert (shared.flagged, shared.threshold) == ([], None)
    assert (shared.num_flagged, shared.num_mirrored, shared.excess) == (3, 2, rounded(audit.copies.excess))


def test_redrawn_images_are_counted_once_and_said_to_be_chosen():
    assert redrawn_sentence([]) == ""
    assert redrawn_sentence([2]).startswith("1 image was drawn anew")
    sentence = redrawn_sentence([2, 7, 2])
    assert sentence.startswith("2 images were drawn anew")
    assert "excess and AUC of the images are too low, and the adapter still draws the copies" in sentence


def test_copies_that_cannot_be_measured_say_why():
    none = NotMeasurable("one hold-out record", 1)
    copies = CopiesResult(
        **dict.fromkeys(("excess", "near_member", "near_holdout", "closer"), none),
        threshold=None,
        quantile=0.05,
        num_synthetic=1,
        num_members=2,
        num_holdout=1,
    )
    few = audit_of().model_copy(update={"copies": copies})
    summary = copies_summary(few, [], include_private=False)
    assert summary.headline == "Not measurable: one hold-out record"
    assert summary.excess.value is None
    assert summary.command == summary.nearness == ""
    assert "Copies: not measurable: one hold-out record." in verdict_of(few).sentences
    assert copies_summary(few.model_copy(update={"copies": None}), [], include_private=False) is None
