"""A release of a real run: opens elsewhere, holds nothing private, equals itself, and is refused where it must be."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import tckr
from tckr.artifacts.soft_labels import read_soft_labels
from tckr.artifacts.synthetic import load_synthetic, synthetic_column
from tckr.data.images import decode_image
from tckr.data.seeds import keyed_root
from tckr.errors import UserError
from tckr.releasing.building import NO_TIME
from tckr.releasing.checksums import verify_checksums
from tckr.releasing.marking import png_chunks
from tckr.releasing.releasing import Release
from tckr.releasing.releasing import release as release_run
from tckr.releasing.request import FORMATS, PARTS
from tests.releasing.conftest import CLASSES, MARKER, NUM_IMAGES, SECRET

ALL = {"license": "cc-by-4.0", "what": PARTS, "accept_risk": "a test of <files>", "by": "Data Officer"}
IMAGES = {**ALL, "what": ["images", "labels"]}


@pytest.fixture(scope="module")
def releases(finished, tmp_path_factory) -> dict[str, Path]:
    """Release everything in every format."""
    root = tmp_path_factory.mktemp("released")
    return {form: release_run(finished.folder, to=root / form, format=form, **ALL).folder for form in FORMATS}


def pictures_of(folder: Path) -> Iterator[bytes]:
    """Yield every picture of a release, of whatever format, those of the report included."""
    for path in sorted(folder.rglob("*.parquet")):
        yield from (row["bytes"] for row in pq.read_table(path).column("image").to_pylist())
    yield from (path.read_bytes() for path in sorted(folder.rglob("*.png")))
    for path in sorted(folder.rglob("*.tar")):
        with tarfile.open(path) as tar:
            yield from (tar.extractfile(member).read() for member in tar if member.name.endswith(".png"))
    for path in sorted(folder.rglob("*.html")):
        yield from map(base64.b64decode, re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", path.read_text()))


def every_byte(folder: Path) -> bytes:
    """Return names and bytes of all files, and everything that is compressed in them as it was before."""
    found = []
    for path in sorted(folder.rglob("*")):
        found.append(str(path.relative_to(folder)).encode())
        found.append(path.read_bytes() if path.is_file() else b"")
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                found += [str(part).encode() for part in (file.schema_arrow.metadata, file.metadata.metadata, file.schema)]
                columns = [name for name in file.schema_arrow.names if name != "image"]
                found.append(str(file.read(columns).to_pylist()).encode())
    for png in pictures_of(folder):
        found += [kind + data for kind, data in png_chunks(png)]
        found.append(decode_image(png).tobytes())
    return b"\n".join(found)


def private_words(finished, source: Path) -> Iterator[str]:
    """Yield what must be nowhere in a release."""
    yield from (MARKER, str(finished.folder.parent), str(source.parent), finished.folder.parent.name, SECRET.hex())
    yield from ('redraw"', "a scan of", str(Path.home()))
    yield from (str(keyed_root(SECRET, label, 0)) for label in ("prepare", "run"))
    for name in ("prompt", "seed"):
        yield from map(str, synthetic_column(finished.artifacts["generate"], name))
    for artifact in finished.artifacts.values():
        manifest = json.loads((artifact / "manifest.json").read_text())
        yield from (manifest["fingerprint"][:16], manifest["created"][10:16], *manifest["digests"].values())


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_private_is_in_any_byte_of_a_release(releases, finished, source, form):
    words = {word.encode() for word in private_words(finished, source)}
    raw = b"".join(path.read_bytes() for path in finished.folder.parent.rglob("*.json")) + str(finished.folder).encode()
    assert len(words) > 100
    assert MARKER.encode() in raw
    everything = every_byte(releases[form])
    assert [word for word in words if word in everything] == []
    assert SECRET not in everything
    assert not re.search(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", everything), "a time finer than a day"


@pytest.mark.parametrize("form", FORMATS)
def test_every_picture_is_marked_as_synthetic_and_has_no_other_note(releases, form):
    pictures = list(pictures_of(releases[form]))
    assert len(pictures) == NUM_IMAGES
    for png in pictures:
        chunks = list(png_chunks(png))
        assert {kind for kind, _ in chunks} == {b"IHDR", b"iTXt", b"IDAT", b"IEND"}
        assert b"digitalsourcetype/trainedAlgorithmicMedia" in dict(chunks)[b"iTXt"]


def test_no_header_says_who_wrote_a_file_or_when(releases):
    with tarfile.open(next(releases["webdataset"].rglob("*.tar"))) as tar:
        headers = [(header.uid, header.gid, header.uname, header.gname, header.mtime, header.mode) for header in tar]
    assert set(headers) == {(0, 0, "", "", 0, 0o644)}
    for folder in releases.values():
        assert {path.stat().st_mtime for path in (folder, *folder.rglob("*"))} == {NO_TIME}
    for path in releases["parquet"].rglob("*.safetensors"):
        raw = path.read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        assert header["__metadata__"] == {"format": "pt"}


@pytest.mark.parametrize("form", FORMATS)
def test_a_release_made_again_is_equal_byte_for_byte(releases, finished, form, tmp_path):
    again = release_run(finished.folder, to=tmp_path / "again", format=form, **ALL).folder
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (releases[form], again)
    )
    assert first == second


def test_images_have_their_labels_and_soft_labels_in_an_order_that_follows_from_the_pictures(releases, finished, tmp_path):
    original = load_synthetic(finished.artifacts["generate"], None)
    soft = read_soft_labels(finished.artifacts["label"], tmp_path)
    known = {
        image.tobytes(): (label, soft.stored[row, 0].tolist())
        for row, (image, label) in enumerate(zip(original.images, original.labels, strict=True))
    }
    (shard,) = (releases["parquet"] / "data").iterdir()
    rows = pq.read_table(shard).to_pylist()
    assert set(rows[0]) == {"image", "label", "soft_label"}
    found = {decode_image(row["image"]["bytes"]).tobytes(): (row["label"], row["soft_label"]) for row in rows}
    assert found == known
    digests = [hashlib.sha256(row["image"]["bytes"]).digest() for row in rows]
    assert digests == sorted(digests)
    assert [row["label"] for row in rows] != original.labels.tolist()


def test_all_formats_hold_the_same_images_under_the_same_numbers(releases):
    rows = pq.read_table(next((releases["parquet"] / "data").iterdir())).to_pylist()
    folder = releases["imagefolder"] / "train"
    table = list(csv.DictReader((folder / "metadata.csv").read_text(encoding="utf-8").splitlines()))
    with tarfile.open(next(releases["webdataset"].rglob("*.tar"))) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    assert len(table) == len(rows) == len(files) / 3
    for number, (row, line) in enumerate(zip(rows, table, strict=True)):
        told = json.loads(files[f"{number:06d}.json"])
        soft = np.array(row["soft_label"], dtype=np.float32)
        assert (folder / line["file_name"]).read_bytes() == row["image"]["bytes"] == files[f"{number:06d}.png"]
        assert int(line["label"]) == row["label"] == int(files[f"{number:06d}.cls"]) == told["label"]
        assert line["class"] == told["class"] == CLASSES[row["label"]]
        for other in (json.loads(line["soft_label"]), told["soft_label"]):
            assert np.array_equal(np.array(other, dtype=np.float32), soft)


def test_a_release_contains_only_the_requested_parts(finished, tmp_path):
    made = tckr.release(finished.folder, to=tmp_path / "one", **{**ALL, "what": ["student"]})
    assert {path.name for path in made.folder.iterdir()} == {"README.md", "SHA256SUMS", "audit_summary.json", "student"}
    images = release_run(finished.folder, to=tmp_path / "two", **{**ALL, "what": ["images"]})
    assert pq.read_schema(next((images.folder / "data").iterdir())).names == ["image", "label"]


def test_a_changed_file_of_a_release_is_found(finished, tmp_path):
    made: Release = release_run(finished.folder, to=tmp_path / "one", **IMAGES)
    assert made.num_files == verify_checksums(made.folder) == 4
    (made.folder / "README.md").write_text("other")
    with pytest.raises(UserError, match=r"differs from its SHA256SUMS in README\.md"):
        verify_checksums(made.folder)


def test_a_folder_with_files_is_left_as_it_is(finished, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(UserError, match="exists and is not overwritten"):
        release_run(finished.folder, to=tmp_path / "mine", **IMAGES)
    with pytest.raises(UserError, match="a folder of TCKR"):
        release_run(finished.folder, to=finished.folder / "release", **IMAGES)
    with pytest.raises(UserError, match="a parent of it is a file; give another folder with --to"):
        release_run(finished.folder, to=tmp_path / "mine" / "file" / "release", **IMAGES)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def test_a_release_that_fails_leaves_nothing(finished, tmp_path, monkeypatch):
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tckr.releasing.releasing.write_checksums", full)
    with pytest.raises(UserError, match="cannot be written"):
        release_run(finished.folder, to=tmp_path / "one", **IMAGES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"license": ""}, "found no --license"),
        ({"license": "my own words"}, "found --license 'my own words'"),
        ({"what": ["images", "prompts"]}, "found --what 'prompts'; expected one or more of images, labels, student"),
        ({"what": ["labels"]}, "soft labels are released with their images"),
        ({"format": "zip"}, "expected one of parquet, imagefolder, webdataset"),
        ({"by": ""}, "give both"),
        ({"hub_name": "name"}, "expected owner/name"),
        ({"c2pa_key": Path("key.pem")}, "give both files"),
    ],
)
def test_a_request_that_does_not_hold_is_refused_with_what_to_do(finished, tmp_path, changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        release_run(finished.folder, to=tmp_path / "one", **{**IMAGES, **changes})
    assert list(tmp_path.iterdir()) == []
