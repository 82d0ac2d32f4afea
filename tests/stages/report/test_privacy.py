"""The report may be shared: it contains nothing private unless this was requested."""

from __future__ import annotations

import base64
import html
import json
import re

import numpy as np
import pytest

from tckr.artifacts.audit import FindingReason
from tckr.artifacts.pictures import images_by_number
from tckr.data.images import decode_image, load_images
from tckr.data.sources import SourceKind
from tckr.membership.wording import finding_text, surface_text
from tckr.metrics.rounding import bound_below
from tckr.sharing.allowed_models import UNNAMED
from tckr.stages.report.config import ReportConfig
from tckr.stages.report.gallery import MAX_SIDE_PX, data_uri, galleries
from tckr.stages.report.shared_audit import shareable_audit, shown
from tests.stages.report.conftest import SMALL, make_report
from tests.stages.report.sample import SECRET_CAPTION, Sample

FLAGGED = [2, 3, 1]
"""Synthetic images that the sample's audit flags, most suspicious first."""

HOLDOUT_NEIGHBOURS = [11, 12, 10]
"""Their nearest hold-out records."""


def pixels_of(report):
    encoded = re.findall(r'src="data:image/png;base64,([^"]+)"', report.html)
    return {decode_image(base64.b64decode(text)).tobytes() for text in encoded}


def pool_of(report):
    pool = load_images(report.inputs["data"] / "pool", None)
    members = np.load(report.inputs["data"] / "membership.npy")[0]
    return {image.tobytes() for image in pool.images[members]}, {image.tobytes() for image in pool.images[~members]}


def flagged_pixels(report):
    encoded = images_by_number(report.inputs["synthetic"] / "data", "index", FLAGGED)
    return {decode_image(image).tobytes() for image in encoded.values()}


def test_no_private_pixel_word_or_path_appears_unless_requested(clean_report):
    report = clean_report
    members, others = pool_of(report)
    shown = pixels_of(report)
    assert len(shown) == 15, "18 without the three that are flagged as near-copies"
    assert not shown & (members | others)
    assert not shown & flagged_pixels(report)
    for text in (report.html, str(report.data)):
        assert SECRET_CAPTION not in text
        assert "/home/ann" not in text
        assert "_ann" not in text, "names of tables, columns and splits"
        assert "Understood as class folders in folders of splits." in text
        assert "The test split is that of the source" in text
    assert "Contains private images" not in report.html
    assert report.data["contains_private"] is False


def test_if_requested_members_appear_with_their_captions_under_a_banner(private_report):
    members, others = pool_of(private_report)
    shown = pixels_of(private_report)
    assert members <= shown
    neighbours = images_by_number(private_report.inputs["data"] / "pool", "record", HOLDOUT_NEIGHBOURS)
    allowed = {decode_image(image).tobytes() for image in neighbours.values()}
    assert shown & others == allowed, "of the hold-out images, which were never captioned, only neighbours of flagged ones"
    assert flagged_pixels(private_report) <= shown
    assert SECRET_CAPTION in private_report.html
    assert "patients_ann.csv" in private_report.html, "how the data were understood, in the words of the reader"
    assert "<b>Contains private images.</b>" in private_report.html
    assert private_report.html.index("Contains private images") < private_report.html.index("May I release it?")


def test_report_json_has_no_caption_even_when_images_are_shown(private_report):
    assert SECRET_CAPTION not in str(private_report.data)


MARKER = "zoe_winter"
PLANTED = {
    "data": {"image_column": MARKER, "label_column": MARKER, "class_names": {MARKER: "0"}, "hub_split": MARKER},
    "captions": {"prompt": f"what has {MARKER}?", "file": f"/home/{MARKER}/{MARKER}.json", "class_names": {"0": MARKER}},
    "adapter": {"model": f"/home/{MARKER}/net", "lora": f"/x/{MARKER}.safetensors", "descriptions": {"0": MARKER}},
    "synthetic": {"few_step_adapter": f"{MARKER}/lcm", "redraw": [31337, 31338]},
    "teacher": {"model": f"{MARKER}/net", "other_models": [f"/home/{MARKER}/net"], "revision": MARKER},
    "labels": {"invented": MARKER},
    "student": {"model": f"models/{MARKER}", "revision": MARKER},
    "audit": {"fidelity_model": f"{MARKER}/net@main"},
}
"""Input of the report -> settings with private words."""


def test_no_private_word_of_any_setting_is_shared_and_no_seed_fingerprint_or_index_of_a_replaced_image(tmp_path):
    sample = Sample(**SMALL, settings=PLANTED, source=f"/home/{MARKER}/set", name=MARKER, fidelity_features=f"{MARKER}/net")
    shared, private = make_report(tmp_path / "shared", sample), make_report(tmp_path / "p", sample, include_private=True)
    text = shared.html + json.dumps(shared.data)
    for word in (MARKER, "31337", "0123456789abcdef", "5f2c5f2c", SECRET_CAPTION):
        assert word not in text, word
        assert word in private.html + json.dumps(private.data) + SECRET_CAPTION, word
    assert {stage["fingerprint"] for stage in shared.data["stages"]} == {""}
    assert shared.data["settings"]["adapt"] == {"model": UNNAMED, "rank": 8, "steps": 50}


def test_the_settings_say_what_auto_became_and_nothing_that_is_not_on_the_list(tmp_path):
    settings = {"adapter": {"steps": "auto", "rank": 8}}
    became = {"adapter": {"steps": 613, "rank": 8, "images_per_pass": 16, "descriptions": MARKER, "invented": MARKER}}
    report = make_report(tmp_path, Sample(**SMALL, settings=settings, became=became))
    assert MARKER not in report.html + json.dumps(report.data)
    told = next(stage["became"] for stage in report.data["stages"] if stage["stage"] == "adapt")
    assert told == {"device": "cpu", "threads": 3, "steps": 613, "rank": 8, "images_per_pass": 16}
    rows = re.findall(
        r"<tr><th[^>]*>(.*?)</th><td>(.*?)</td></tr>", report.html.split("<summary>adapt</summary>")[1].split("</table>")[0]
    )
    assert ("<code>steps</code>", "auto &rarr; 613") in rows
    assert ("<code>rank</code>", "8") in rows
    assert ("images per pass<small>as computed</small>", "16") in rows


def test_every_number_of_a_shared_report_comes_from_the_rounded_audit(tmp_path):
    exact = Sample(**SMALL).audit()
    shared = make_report(tmp_path, Sample(**SMALL))
    assert shared.data["audit"] == json.loads(shareable_audit(exact).model_dump_json())
    for surface in shared.data["audit"]["surfaces"].values():
        assert surface["confusion"] == []
        assert surface["balanced_accuracy"] is None
        assert all(len(curve) < 10 for curve in surface["roc"].values())
        assert all("value" not in auc for auc in surface["auc_by_class"].values())
        assert all(found["runs"] == [] for found in surface["leave_one_out"].values())
    assert all(
        "value" not in control["found"] for control in shared.data["audit"]["controls"] if control["name"] == "parity"
    )
    numbers = re.findall(r'<data value="([^"]+)"(?! title="n = [\d,]+; share of all synthetic images")', shared.html)
    assert numbers
    assert [number for number in numbers if len(number.removesuffix(".0").strip("-0.").replace(".", "")) > 4] == []


@pytest.mark.parametrize("surface", ["teacher", "student"])
def test_a_shared_figure_shows_no_more_points_than_its_curve_has(report, private_report, surface):
    num_points = {}
    for made in (report, private_report):
        title = rf'aria-label="ROC curves of \d+ scorers against {surface.capitalize()}'
        chart = re.search(rf"<svg [^>]*{title}.*?</svg>", made.html, re.DOTALL).group(0)
        num_points[made is report] = max(path.count("L") for path in re.findall(r' d="([^"]+)"', chart))
    assert num_points[True] < 10 < num_points[False]


def test_galleries_show_the_first_images_of_each_class_by_index(tmp_path):
    sample = Sample(class_names=["a", "b"], per_class=5, image_size=16)
    inputs = sample.write(tmp_path)
    shown = galleries(inputs, sample._card(), ReportConfig(gallery_images_per_class=2))
    assert [[picture.alt for picture in gallery.synthetic] for gallery in shown] == [
        ["synthetic a, 1", "synthetic a, 2"],
        ["synthetic b, 1", "synthetic b, 2"],
    ], "no index: a gap would tell which image is flagged"
    first = images_by_number(inputs["synthetic"] / "data", "index", range(4))
    assert [picture.uri for gallery in shown for picture in gallery.synthetic] == [
        data_uri(first[index])[0] for index in (0, 2, 1, 3)
    ]
    assert all(picture.pixelated and not picture.words for gallery in shown for picture in gallery.synthetic)
    assert not any(gallery.real for gallery in shown)


def test_large_images_are_shrunk_and_not_shown_as_squares():
    from tckr.data.images import encode_png

    uri, pixelated = data_uri(encode_png(np.zeros((300, 200, 3), dtype=np.uint8)))
    image = decode_image(base64.b64decode(uri.partition(",")[2]))
    assert image.shape == (MAX_SIDE_PX, MAX_SIDE_PX * 2 // 3, 3)
    assert not pixelated


def test_flagged_images_appear_between_their_neighbours_if_requested(private_report):
    listed = re.search(r'<ol class="likenesses".*?</ol>', private_report.html, re.DOTALL).group(0)
    shown = [decode_image(base64.b64decode(text)).tobytes() for text in re.findall(r"base64,([^\"]+)", listed)]
    synthetic = images_by_number(private_report.inputs["synthetic"] / "data", "index", FLAGGED)
    real = images_by_number(private_report.inputs["data"] / "pool", "record", [*FLAGGED, *HOLDOUT_NEIGHBOURS])
    wanted = [
        encoded
        for index, holdout in zip(FLAGGED, HOLDOUT_NEIGHBOURS, strict=True)
        for encoded in (synthetic[index], real[index], real[holdout])
    ]
    assert shown == [decode_image(encoded).tobytes() for encoded in wanted]
    assert re.findall(r'<data value="([^"]+)"', listed) == ["1.2", "9.5", "2.25", "8.125", "6.5", "7.75"]


def test_a_private_report_lists_every_flagged_image_with_its_neighbours_and_how_to_replace_it(private_report):
    table = re.search(r'<table class="flagged stack">.*?</table>', private_report.html, re.DOTALL).group(0)
    assert re.findall(r'<th scope="row">(\d+)</th>', table) == [str(index) for index in FLAGGED]
    assert re.findall(r'<data value="([^"]+)"', table) == ["1.2", "9.5", "2.25", "8.125", "6.5", "7.75"]
    assert [row["member"] for row in private_report.data["copies"]["flagged"]] == FLAGGED
    assert html.unescape(re.search(r'<pre class="command"><code>(.*?)</code>', private_report.html).group(1)) == (
        "tckr run RUN_FOLDER generate.redraw_copies=10"
    )


def test_a_shareable_report_does_not_say_which_images_are_flagged_or_how_near_they_are(report):
    page = re.sub(r"<style>.*?</style>", "", report.html, flags=re.DOTALL)
    for word in ("likenesses", 'class="flagged', "Nearest member", "generate.redraw=", "index 0", "7.12"):
        assert word not in page, word
    assert "tckr report RUN_FOLDER report.include_private=true" in page
    assert "<b>3</b> of 647 images are flagged" in page
    assert "<b>2</b>; this many are expected by chance" in page
    assert report.data["audit"]["copies"]["flagged"] == report.data["copies"]["flagged"] == []
    assert report.data["copies"]["command"] == "tckr run RUN_FOLDER generate.redraw_copies=10"
    assert report.data["copies"]["num_flagged"] == 3


def test_only_a_private_report_says_which_images_were_generated_again(tmp_path):
    sample = Sample(**SMALL, redrawn=[13, 17])
    private = make_report(tmp_path / "private", sample, include_private=True)
    shared = make_report(tmp_path / "shared", sample)
    assert private.data["settings"]["generate"]["redraw"] == [13, 17]
    assert "[13, 17]" in private.html
    shown = [shared.data["settings"]["generate"]]
    shown += [stage["config"] for stage in shared.data["stages"] if stage["stage"] == "generate"]
    assert not any("redraw" in settings for settings in shown)
    assert "13, 17" not in shared.html
    assert "2 images were generated again" in shared.html, "how many, which is what the numbers suffer from"


def test_images_that_leak_or_copy_are_not_shown_in_a_shareable_report(tmp_path):
    leaking = make_report(tmp_path / "leaking", Sample(**SMALL, image_leak=1.0))
    assert not leaking.elements.named("img")
    assert "No images are shown: the audit found that they leak: AUC 0.598 [0.568, 0.628] (p = 0.001)." in leaking.html
    copying = make_report(tmp_path / "copying", Sample(**SMALL, copy_excess=0.02))
    assert not copying.elements.named("img")
    assert (
        "No images are shown: the audit found that they leak: excess of near-copies 0.020 [0.011, 0.029] (p = 0.001"
        in copying.html
    )
    telling = make_report(tmp_path / "telling", Sample(**SMALL, images_tell=True))
    assert not telling.elements.named("img")
    assert "leak: a model trained only on the images reveals their members" in telling.html


def test_images_that_were_not_measured_are_shown_only_where_a_setting_or_a_public_source_allows_it(tmp_path):
    """Depth distill attacks the images without references alone: their state is `not measured`."""
    hub = {"source": "zoe/set", "source_kind": SourceKind.HUB}
    found = {
        name: make_report(tmp_path / name, Sample(**SMALL, **kind), **settings).elements.named("img")
        for name, kind, settings in [
            ("private", {}, {}),
            ("asked for", {}, {"show_images": True}),
            ("digits", {"source": "digits", "source_kind": SourceKind.DIGITS}, {}),
            ("hub", hub, {}),
            ("public hub", {**hub, "public": True}, {}),
            ("public folder", {"public": True}, {}),
            ("public path like a name of the hub", {"source": "zoe/set", "public": True}, {}),
        ]
    }
    assert [name for name, images in found.items() if images] == ["asked for", "digits", "public hub"]
    assert {len(images) for images in found.values()} == {0, 15}, "flagged near-copies stay out"


def test_what_may_be_shared_of_a_finding_makes_the_same_sentence_and_no_longer_number():
    audit = Sample(**SMALL).audit()
    shared = shareable_audit(audit)
    for name, surface in audit.surfaces.items():
        assert surface_text(surface) == surface_text(shared.surfaces[name]), name
        for exact, reason in zip(surface.reasons, shared.surfaces[name].reasons, strict=True):
            assert reason.p_value in (None, 0.0, float(f"{exact.p_value or 0:.1g}"))
            assert reason.found in (None, exact.found and shown(exact.found))


def test_a_p_value_that_would_tell_more_than_its_sentence_is_not_shared():
    exact = FindingReason(kind="tail", epsilon=1.23456, p_value=0.00041, detectable_auc=0.56789)
    audit = Sample(**SMALL).audit()
    surfaces = {"student": audit.surfaces["student"].model_copy(update={"reasons": [exact]})}
    reason = shareable_audit(audit.model_copy(update={"surfaces": surfaces})).surfaces["student"].reasons[0]
    assert (reason.p_value, reason.detectable_auc) == (0.0, 0.57)
    assert reason.epsilon == bound_below(1.23456) != 1.23456
    assert finding_text(reason) == finding_text(exact)
