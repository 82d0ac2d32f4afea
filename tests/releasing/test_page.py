"""The released report: no time of day, and every picture in it is marked."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from tckr.data.images import decode_image, encode_png
from tckr.errors import UserError
from tckr.releasing.checksums import file_digests
from tckr.releasing.marking import SOURCE_TYPE, png_chunks
from tckr.releasing.page import MOST_FILES, SIGNATURE, add_signature, shown_digests, write_report
from tckr.releasing.request import read_request

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def report(folder, *, private: bool = False):
    """Write a report with a picture and times into `folder`."""
    uri = f"data:image/png;base64,{base64.b64encode(encode_png(PICTURE)).decode()}"
    times = "2026-11-29T20:13:22+00:00 2026-11-28 07:01:59.5 2026-11-27T05:00Z"
    folder.mkdir()
    (folder / "report.html").write_text(f'<time>{times}</time><img src="{uri}">')
    (folder / "report.json").write_text(json.dumps({"contains_private": private, "created": times}))
    return folder


def test_times_of_day_are_cut_to_the_day(tmp_path):
    write_report(report(tmp_path / "from"), tmp_path / "to")
    days = "2026-11-29 2026-11-28 2026-11-27"
    assert f"<time>{days}</time>" in (tmp_path / "to" / "report.html").read_text()
    assert json.loads((tmp_path / "to" / "report.json").read_text())["created"] == days


def test_a_picture_in_the_page_is_marked_and_looks_as_before(tmp_path):
    write_report(report(tmp_path / "from"), tmp_path / "to")
    (encoded,) = re.findall(r'base64,([^"]+)"', (tmp_path / "to" / "report.html").read_text())
    picture = base64.b64decode(encoded)
    assert np.array_equal(decode_image(picture), PICTURE)
    assert SOURCE_TYPE.encode() in dict(png_chunks(picture))[b"iTXt"]


def test_a_report_with_private_pictures_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"report\.include_private=false"):
        write_report(report(tmp_path / "from", private=True), tmp_path / "to")


def signed(folder, number_of_files: int, **risk: str) -> str:
    """Return the page of a release of so many files beside it, with a place to sign."""
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "report.html").write_text(f"<p>before</p>{SIGNATURE}<p>after</p>")
    (folder / "train").mkdir()
    for number in range(number_of_files):
        (folder / "train" / f"{number}.png").write_bytes(bytes([number]))
    nothing = {"accept_risk": "", "by": "", "certificate": None, "key": None, "hub_name": ""}
    request = read_request(what=["images", "report"], licence="cc-by-4.0", form="parquet", **nothing | risk)
    add_signature(folder, request, ["images: leaks (AUC <0.7>)"] if risk else [])
    return (folder / "report" / "report.html").read_text()


def test_the_page_has_the_digest_of_every_other_file_and_a_place_for_name_date_and_decision(tmp_path):
    page = signed(tmp_path, 3)
    digests = file_digests(tmp_path)
    rows = dict(re.findall(r'<th scope="row">(.*?)</th><td[^>]*><code class="hash">(\w{64})</code>', page))
    assert rows == {name: digest for name, digest in digests.items() if name != "report/report.html"}
    assert len(rows) == 3
    assert all(f"<dt>{field}</dt>" in page for field in ("Decision", "Name", "Date", "Signature"))
    assert "It holds images, this report under the licence cc-by-4.0." in page
    assert page.startswith("<p>before</p>")
    assert page.endswith("<p>after</p>")
    assert "accepted the risk" not in page


def test_an_accepted_risk_stands_on_the_page_that_is_signed(tmp_path):
    page = signed(tmp_path, 1, accept_risk="the <patients> agreed", by="Data Officer")
    assert "<b>The audit speaks against it:</b> images: leaks (AUC &lt;0.7&gt;)." in page
    assert "<b>Data Officer accepted the risk:</b> the &lt;patients&gt; agreed." in page


def test_of_many_files_a_folder_has_one_digest_over_its_lines_in_the_list():
    found = {f"train/{number}.png": f"{number:064x}" for number in range(MOST_FILES)} | {"README.md": "ab" * 32}
    lines = "".join(f"{digest}  {name}\n" for name, digest in found.items() if name.startswith("train/"))
    assert shown_digests(found) == {"train/": hashlib.sha256(lines.encode()).hexdigest(), "README.md": "ab" * 32}
