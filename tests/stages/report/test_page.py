"""What the page promises: alone, accessible, escaped, and the same numbers as report.json."""

from __future__ import annotations

import re

from tckr.artifacts.audit import AuditResult, Package, SurfaceResult
from tckr.artifacts.guarantee import Guarantee, Refutation
from tckr.membership.wording import package_text, surface_text
from tckr.metrics.estimate import NotMeasurable
from tckr.stages.report.collect import collect
from tckr.stages.report.config import ReportConfig
from tckr.stages.report.gallery import why_withheld
from tckr.stages.report.page import render
from tckr.stages.report.report_json import Contents
from tests.stages.report.conftest import SMALL, make_report
from tests.stages.report.sample import Sample
from tests.stages.report.sample_audit import DECLARED


def numbers_in(value):
    if isinstance(value, dict):
        return set().union(*map(numbers_in, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(numbers_in, value)) if value else set()
    return {float(value)} if isinstance(value, int | float) else set()


def row_of(html, kind, name):
    """Return the text of one row of the surfaces (`surface`) or of the packages (`package`)."""
    row = re.search(rf'<tr data-{kind}="{re.escape(name)}">(.*?)</tr>', html, re.DOTALL).group(1)
    return re.sub(r"<title>.*?</title>|<[^>]+>", "", row)


def test_the_page_needs_nothing_from_outside(report, private_report):
    for page in (report.html, private_report.html):
        assert not re.search(r"https?://", page)
        assert "url(" not in page
        assert "@import" not in page
    for made in (report, private_report):
        assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in made.elements.found}
        for tag, attributes in made.elements.found:
            for name in ("src", "href", "data", "poster", "srcset"):
                address = attributes.get(name)
                assert address is None or address.startswith(("#", "data:image/png;base64,")), (tag, name, address)
            assert not [name for name in attributes if name.startswith("on")], tag


def test_the_page_forbids_the_browser_to_load_anything(report):
    policy = next(meta["content"] for meta in report.elements.named("meta") if meta.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_number_of_the_page_is_in_report_json(report):
    known = numbers_in(report.data)
    shown = [float(data["value"]) for data in report.elements.named("data")]
    assert len(shown) > 60
    assert [value for value in shown if value not in known] == []


def test_every_headline_number_of_report_json_is_printed_with_its_interval(report):
    rows = dict(re.findall(r'<tr data-key="([^"]+)">(.*?)</tr>', report.html, re.DOTALL))
    assert list(rows) == [row["key"] for row in report.data["headline"]]
    for row in report.data["headline"]:
        text = re.sub(r"<[^>]+>", "", rows[row["key"]])
        for surface in ("teacher", "student"):
            assert row[surface]["text"] in text, (row["key"], surface)


def test_the_headline_says_where_its_numbers_come_from(report):
    assert report.data["origin"] == (
        "95 % intervals; 8 reference runs, depth distill; declared attack LiRA online, fixed variance, 5 views per record; "
        "647 members, 647 non-members, 360 test images"
    )
    assert report.data["origin"] in report.html


def test_the_training_chapters_say_what_each_was_watched_on_and_which_epoch_was_kept(report):
    """The sample stores epoch 34, counted from 0, of a Student whose last epoch is kept by rule."""
    teach, distill = (
        re.search(f'<section id="{name}">.*?</section>', report.html, re.DOTALL)[0] for name in ("teach", "distill")
    )
    assert "Accuracy on the validation split" in teach
    assert "validation" not in distill
    assert "Agreement with the Teacher&#39;s label on held-out synthetic images (no real ones)" in distill
    assert "<dt>Epoch kept (best)</dt><dd>35</dd>" in teach
    assert "<dt>Epoch kept (last)</dt><dd>35</dd>" in distill


def test_a_difference_whose_interval_contains_zero_is_never_a_gain(report):
    accuracy, balanced, auc, of_target, *others = report.data["headline"]
    assert balanced["key"] == "balanced_accuracy"
    assert balanced["difference"] is None
    assert accuracy["difference"]["text"].startswith("no measurable difference [")
    assert accuracy["change"] == "none"
    assert auc["difference"]["text"] == "\u22120.131 [\u22120.162, \u22120.100]"
    assert (auc["change"], of_target["change"]) == ("better", "better")
    assert all(row["difference"] is None for row in others)
    assert (
        report.data["verdict"]["headline"] == "Less membership leakage through labels, no measurable difference in accuracy"
    )


def test_hostile_class_names_and_captions_are_shown_as_text(tmp_path):
    hostile = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}"]
    made = make_report(tmp_path, Sample(**SMALL | {"class_names": hostile}), include_private=True, title="<b>&\"'")
    tags = {tag for tag, _ in made.elements.found}
    assert "script" not in tags
    assert not [image for image in made.elements.named("img") if not image["src"].startswith("data:image/png;base64,")]
    text = "".join(text for _, text in made.elements.texts)
    assert all(name in text for name in hostile)
    assert "49" not in re.findall(r"<h3>(.*?)<", made.html)
    assert "<h1>&lt;b&gt;&amp;&#34;&#39;</h1>" in made.html


def test_images_charts_and_tables_speak_without_eyes(clean_report):
    report = clean_report
    images, pictures = report.elements.named("img"), report.elements.named("svg")
    assert images
    assert all(image["alt"] for image in images)
    assert pictures
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)
    assert report.html.count("<svg") == len(re.findall(r"<svg[^>]*><title>[^<]+</title>", report.html))
    assert report.html.count("<table") == report.html.count("<thead>")
    assert all(cell.get("scope") in ("row", "col") for cell in report.elements.named("th"))


def test_a_failed_control_greys_the_numbers_and_leads_the_page(invalid_report, report):
    assert invalid_report.data["verdict"]["state"] == "invalid"
    assert invalid_report.data["verdict"]["headline"] == "Audit invalid: null (Teacher)"
    assert "found: 0.57 [0.54, 0.60]" in " ".join(invalid_report.data["verdict"]["sentences"])
    assert invalid_report.html.index("The audit failed its own checks") < invalid_report.html.index(
        "Teacher against Student"
    )
    for chapter in ("leakage", "release"):
        assert f'<section id="{chapter}" class=" greyed"' in invalid_report.html
    assert '<div class="membership greyed">' in invalid_report.html
    assert "No images are shown: without a valid audit" in invalid_report.html
    assert not invalid_report.elements.named("img")
    assert "greyed" not in re.sub(r"<style>.*?</style>", "", report.html, flags=re.DOTALL)


def test_images_whose_guarantee_is_refuted_are_not_shown(clean_report):
    found = Contents.model_validate(clean_report.data)
    assert not why_withheld(found)
    claimed = Guarantee(
        epsilon=1, delta=1e-5, unit="record", noise_multiplier=1, sampling_rate=0.1, steps=1, clip=1, count_noise=1,
        noise_draws=1, noisy_count=24, class_names=["a"],
    )  # fmt: skip
    refuted = Refutation(claimed=claimed, bound=NotMeasurable("a test"), refuted=True)
    changed = found.model_copy(update={"audit": found.audit.model_copy(update={"guarantee": refuted})})
    assert why_withheld(changed) == "canaries refuted the formal guarantee of these images"


def test_a_failed_control_leaves_accuracy_as_it_is(invalid_report):
    """Accuracy, calibration and the classes rest on no attack."""
    greyed = dict(re.findall(r'<tr data-key="([^"]+)"( class="greyed")?', invalid_report.html))
    assert [key for key, grey in greyed.items() if not grey] == ["accuracy", "balanced_accuracy"]
    audit = re.search(r'<section id="audit"(.*?)</section>', invalid_report.html, re.DOTALL)[1]
    inside, _, after = audit.partition('<h3 id="calibration">')
    assert "greyed" in inside
    assert "greyed" not in after
    decision = invalid_report.data["decision"]
    assert decision["accuracy"].startswith("The Student is right on 97.8 %")
    assert "those on accuracy are" in decision["sure"][0]
    assert any("accuracy" in sentence.lower() for sentence in invalid_report.data["verdict"]["sentences"])


def test_without_a_measured_audit_no_membership_number_appears(bare_report):
    assert bare_report.data["verdict"]["state"] == "not measured"
    assert "set prepare.audit_holdout above 0" in bare_report.html
    assert re.findall(r'<tr data-key="([^"]+)"', bare_report.html) == ["accuracy", "balanced_accuracy"]
    assert "ROC" not in re.sub(r"<style>.*?</style>", "", bare_report.html, flags=re.DOTALL)
    assert 'class="surfaces' not in bare_report.html
    assert "so the report cannot support any release" in bare_report.html
    assert '<a href="#what-next">What next?</a> has the command that measures it.' in bare_report.html
    assert 'id="what-next"' in bare_report.html
    assert bare_report.data["packages"] == bare_report.data["canaries"] == []
    assert bare_report.data["copies"] is None


def test_missing_parts_are_described_and_have_no_chart(bare_report, clean_report):
    assert "without an adapter" in bare_report.html
    assert "No images are shown" in bare_report.html
    assert not bare_report.elements.named("img")
    for sentence in ("without an adapter", "No images are shown"):
        assert sentence not in clean_report.html


def test_at_depth_teacher_the_student_has_no_declared_number(tmp_path):
    made = make_report(tmp_path, Sample(**SMALL, depth="teacher", canaries=False))
    auc = next(row for row in made.data["headline"] if row["key"] == "auc")
    assert auc["student"]["value"] is None
    assert auc["student"]["reason"] == "no reference runs of this surface at depth teacher; use audit.depth=distill"
    assert auc["difference"]["text"] == "not measurable"
    assert auc["change"] == "unknown"
    assert "<b>Not measured:</b> captions, adapter, synthetic images, soft labels and Student." in made.html
    assert "Attacks on the Student" in made.html
    student = row_of(made.html, "surface", "student")
    assert "global threshold, without references" in student
    assert "0.530 [0.500, 0.560]" in student
    assert "not measured" in student


def test_the_strongest_attack_is_labelled_and_apart_from_the_declared_one(report):
    assert 'class="badge">declared' in report.html
    assert re.search(r"<b>Strongest attack:</b>.*\(strongest of 5, chosen on the evaluation labels\)", report.html)
    assert report.data["audit"]["declared"]["scorer"] == DECLARED


def test_every_chapter_is_there_in_the_order_of_the_pipeline(report):
    verbs = ["prepare", "caption", "adapt", "generate", "teach", "label", "distill", "audit", "report"]
    chapters = ["decision", "headline", "leakage", "release", "fidelity", *verbs]
    assert re.findall(r'<section id="(\w+)"', report.html) == chapters
    assert [link["href"] for link in report.elements.named("a")][1:15] == [f"#{chapter}" for chapter in chapters]


def test_the_same_artifacts_give_the_same_report(tmp_path, report):
    again = make_report(tmp_path, Sample(**SMALL))
    assert again.html == report.html


def test_the_table_prints_every_surface_of_report_json_in_the_order_in_which_it_is_made(report):
    keys = ["captions", "adapter", "images", "soft_labels", "teacher", "student"]
    assert [row["key"] for row in report.data["surfaces"]] == keys
    assert re.findall(r'<tr data-surface="(\w+)"', report.html) == keys
    for row in report.data["surfaces"]:
        found = report.data["audit"]["surfaces"][row["key"]]
        assert row["auc"]["value"] == found["auc"][found["attack"]]["value"]
        assert row["strongest"]["value"] == found["strongest"]["auc"]["value"]
        assert row["tpr"]["value"] == found["tpr"][found["attack"]]["0.01"].get("value")
        text = row_of(report.html, "surface", row["key"])
        assert (row["state"], row["why"]) == (found["state"], surface_text(SurfaceResult.model_validate(found)))
        for part in ("name", "attack", "state", "why", "strongest_by", "covers"):
            assert row[part] in text, (row["key"], part)
        for number in ("auc", "strongest", "tpr", "epsilon"):
            assert row[number]["text"] in text, (row["key"], number)


def test_the_packages_show_what_they_expose_and_why_in_the_audits_own_words(report):
    audit = AuditResult.model_validate(report.data["audit"])
    packages = report.data["audit"]["packages"]
    assert re.findall(r'<tr data-package="([^"]+)"', report.html) == [package["name"] for package in packages]
    for package in packages:
        text = row_of(report.html, "package", package["name"])
        assert package["state"] in text
        assert package_text(audit, Package.model_validate(package)) in text
        row = re.search(rf'<tr data-package="{package["name"]}">(.*?)</tr>', report.html, re.DOTALL).group(1)
        cells = re.findall(r'<td class="surface">(.*?)</td>', row, re.DOTALL)
        marked = [key for key, cell in zip(report.data["audit"]["surfaces"], cells, strict=True) if "<svg" in cell]
        assert sorted(marked) == sorted(package["exposes"])
    assert "is a measurement, not a guarantee" in report.html


def test_canaries_are_shown_only_where_there_are_some(report, private_report, tmp_path):
    assert "239 of 250 guesses right, 250 canaries" in private_report.html
    assert '<data value="2.375"' in private_report.html
    assert '<span class="judged">250 guesses, 250 canaries' in report.html
    assert "95 % confidence, delta 1e-5" in report.html
    assert '<data value="2.3"' in report.html
    assert "even if all guesses were right, they would show no epsilon" in report.html
    without = make_report(tmp_path, Sample(**SMALL, canaries=False))
    assert 'id="canaries"' not in without.html


def test_canaries_without_reference_runs_are_shown_though_membership_was_not_measured(tmp_path):
    made = make_report(tmp_path, Sample(**SMALL, measured=False))
    assert '<data value="2.3"' in made.html
    assert "without reference runs, only the target" in made.html
    assert "Canaries: epsilon cannot be below 2.30" in " ".join(made.data["verdict"]["sentences"])
    assert 'class="surfaces' not in made.html


def test_images_generated_again_are_mentioned_at_copies_at_the_images_and_at_every_package_with_images(tmp_path, report):
    made = make_report(tmp_path, Sample(**SMALL, redrawn=[4, 9]))
    sentence = "2 images were generated again after an earlier audit"
    assert sentence in row_of(made.html, "surface", "images")
    exposing = [
        package["name"] for package in made.data["packages"] if sentence in row_of(made.html, "package", package["name"])
    ]
    assert exposing == [package["name"] for package in made.data["packages"] if "images" in package["exposes"]]
    assert "adapter" in exposing
    assert sentence in made.html.partition('<h3 id="copies">')[2]
    assert any(sentence in told for told in made.data["verdict"]["sentences"])
    assert "generated again after an earlier audit" not in report.html


def test_a_long_list_of_flagged_images_is_cut_on_the_page_alone(tmp_path):
    contents = collect(Sample(**SMALL).write(tmp_path), ReportConfig(include_private=True))
    flagged = [row.model_copy(update={"synthetic": number}) for number, row in enumerate(contents.copies.flagged * 40)]
    many = contents.model_copy(update={"copies": contents.copies.model_copy(update={"flagged": flagged})})
    table = re.search(r'<table class="flagged stack">.*?</table>', render(many, []), re.DOTALL).group(0)
    assert re.findall(r'<th scope="row">(\d+)</th>', table) == [str(number) for number in range(100)]
    assert "And 20 more, listed in" in render(many, [])
    assert "more, listed in" not in render(contents, [])


def test_controls_that_failed_are_open_and_first(invalid_report, report):
    groups = re.findall(r'<details class="group"( open)?><summary>(.*?)</summary>', invalid_report.html)
    assert [bool(is_open) for is_open, _ in groups[:3]] == [True, False, False]
    assert re.sub(r"<[^>]+>", "", groups[0][1]) == "Teacher: 1 failed, 3 of 4 passed"
    assert '<details class="group" open><summary>Teacher' not in report.html
    for purpose in ("If it finds members, the attack is wrong.", "the absence of findings means nothing"):
        assert purpose in report.html


def test_other_ways_of_asking_stand_beside_the_declared_one(report):
    signals = report.data["audit"]["surfaces"]["student"]["other_signals"]["student_indirect"]
    table = re.search(
        r"<table class=\"attacks others stack\">\s*<thead><tr><th scope=\"col\">Attack, indirect queries.*?</table>",
        report.html,
        re.DOTALL,
    )
    assert [float(value) for value in re.findall(r'<data value="([^"]+)"', table.group(0))] == [
        auc["value"] for auc in signals.values()
    ]


def test_long_words_may_be_broken_everywhere_but_in_cells_that_scroll(long_report):
    style = re.search(r"<style>(.*?)</style>", long_report.html, re.DOTALL)[1]
    assert re.search(r"\nbody \{[^}]*overflow-wrap: anywhere", style)  # unlike break-word it lets columns shrink, too
    for selector in (r"\.classes tbody th", r"\.settings td"):
        assert re.search(selector + r" \{[^}]*overflow-wrap: anywhere", style)
