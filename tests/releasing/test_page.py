"""The released report: no time of day, and every picture in it is marked."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from tckr.data.images import decode_image, encode_png
from tckr.errors import UserError
from tckr.releasing.marking import SOURCE_TYPE, png_chunks
from tckr.releasing.page import write_report

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
