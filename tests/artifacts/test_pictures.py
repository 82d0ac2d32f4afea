"""Pictures are picked by number."""

from __future__ import annotations

from tckr.artifacts.pictures import images_by_number
from tckr.data.images import decode_image, load_images
from tests.stages.report.conftest import SMALL
from tests.stages.report.sample import Sample


def test_images_by_number_reads_exactly_those(tmp_path):
    inputs = Sample(**SMALL).write(tmp_path)
    pool = load_images(inputs["data"] / "pool", None)
    found = images_by_number(inputs["data"] / "pool", "record", [4, 0])
    assert sorted(found) == [0, 4]
    assert all((decode_image(encoded) == pool.images[record]).all() for record, encoded in found.items())
    assert images_by_number(inputs["data"] / "pool", "record", []) == {}
