"""Near-copies: what is said of them, and what may be shared."""

from __future__ import annotations

from tckr.artifacts.synthetic import ReplacedCopies
from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.results import CopiesResult
from tckr.metrics.rounding import rounded
from tckr.stages.report.copies import TOO_LOW, copies_summary, redraw_command, redrawn_sentence
from tckr.stages.report.headline import headline_of
from tckr.stages.report.shared_audit import shareable_audit
from tests.stages.report.sample import Sample


def audit_of(**changes):
    return Sample(**{"class_names": ["a", "b"], **changes}).audit()


def test_who_has_flagged_images_is_given_the_command_that_replaces_them_and_names_none():
    copies = audit_of().copies
    assert redraw_command(copies, None) == "tckr run RUN_FOLDER generate.redraw_copies=10"
    assert redraw_command(copies, ReplacedCopies(redraws=10, replaced=4, left=3)) == ""
    assert redraw_command(copies.model_copy(update={"num_flagged": 0}), None) == ""


def test_copies_are_reported_with_their_numbers():
    audit = audit_of()
    summary = copies_summary(audit, None, include_private=True)
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
    summary = copies_summary(audit, None, include_private=False)
    assert (summary.flagged, summary.command) == ([], "tckr run RUN_FOLDER generate.redraw_copies=10")
    assert "7.12" not in summary.nearness
    assert (summary.num_flagged, summary.num_mirrored, summary.excess.value) == (3, 2, 0.004)
    shared = shareable_audit(audit).copies
    assert (shared.flagged, shared.threshold) == ([], None)
    assert (shared.num_flagged, shared.num_mirrored, shared.excess) == (3, 2, rounded(audit.copies.excess))


def test_images_generated_again_are_counted_once_and_called_chosen():
    assert redrawn_sentence([], None, True) == ""
    assert redrawn_sentence([2], None, True).startswith("1 image was generated again")
    sentence = redrawn_sentence([2, 7, 2], None, True)
    assert sentence.startswith("2 images were generated again")
    assert TOO_LOW in sentence


def test_replaced_copies_are_said_to_make_the_excess_low_and_those_that_are_left_are_counted():
    assert redrawn_sentence([], ReplacedCopies(redraws=10, replaced=0, left=0), True) == ""
    sentence = redrawn_sentence([5], ReplacedCopies(redraws=10, replaced=1234, left=3), True)
    assert sentence.startswith(
        "1 image was generated again after an earlier audit and 1,234 images were replaced as near-copies"
    )
    assert "too low by construction" in sentence
    assert sentence.endswith("Near-copies left after 10 further samples: 3.")
    assert "1,200 images" in redrawn_sentence([], ReplacedCopies(redraws=10, replaced=1234, left=3), False)


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
    summary = copies_summary(few, None, include_private=False)
    assert summary.headline == "Not measurable: one hold-out record"
    assert summary.excess.value is None
    assert summary.command == summary.nearness == ""
    assert "Copies: not measurable: one hold-out record." in headline_of(few).sentences
    assert copies_summary(few.model_copy(update={"copies": None}), None, include_private=False) is None
