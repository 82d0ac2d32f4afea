"""DICOM goes through with the window of the file, by patient, and nothing else of it is kept. Needs pydicom."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import read_membership
from tckr.config import load_settings
from tckr.data.groups import read_groups
from tckr.data.layouts.description import read_layout
from tckr.data.normalise import NormalisedImage, normalise_image, strict_pillow
from tckr.data.treatment import Treatment
from tckr.running import run
from tests.inspection.test_inspecting import inspect
from tests.stages.prepare.pictures import pixels, prepared
from tests.stages.prepare.test_odd_files import rejected

pydicom = pytest.importorskip("pydicom", reason="DICOM needs the extra dicom, which `make test` installs")

NAME, PATIENT = "Mustermann^Erika", "4711-GEHEIM"


def scan(values: np.ndarray, patient: str = PATIENT, **tags: object) -> bytes:
    """Return a CT slice as a DICOM file; `values` are stored as they are, 12 bits of 16."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.PatientName, file.PatientID, file.PatientBirthDate = NAME, patient, "19700101"
    file.InstitutionName, file.Modality = "Klinikum Musterstadt", "CT"
    file.Rows, file.Columns = values.shape[:2]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    file.PixelData = values.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    buffer = io.BytesIO()
    file.save_as(buffer)
    return buffer.getvalue()


def stored(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4096, (12, 12))


def read(content: bytes, **treatment: object) -> NormalisedImage:
    with strict_pillow():
        return normalise_image(content, "a.dcm", 12, 10**6, Treatment(**treatment))


def grey(content: bytes, **treatment: object) -> np.ndarray:
    found = read(content, **treatment).pixels
    assert (found == found[:, :, :1]).all()
    return found[:, :, 0]


CT = {"RescaleSlope": 2, "RescaleIntercept": -1000}


def linear(centre: float, width: float) -> np.ndarray:
    """Return what DICOM PS3.3 C.11.2.1.2.1 says of `stored()` in the units of CT."""
    x = stored() * 2.0 - 1000
    return np.round(255 * np.clip((x - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))


def test_the_window_of_the_file_says_what_is_black_and_white() -> None:
    assert (grey(scan(stored(), WindowCenter=40, WindowWidth=400, **CT)) == linear(40, 400)).all()
    several = scan(stored(), WindowCenter=[600, 40], WindowWidth=[2000, 400], **CT)
    assert (grey(several) == linear(600, 2000)).all()


def test_other_functions_of_the_window() -> None:
    window = {"WindowCenter": 40, "WindowWidth": 400, **CT}
    x = stored() * 2.0 - 1000
    exact = np.round(255 * np.clip((x - 40) / 400 + 0.5, 0, 1))
    assert (grey(scan(stored(), VOILUTFunction="LINEAR_EXACT", **window)) == exact).all()
    sigmoid = np.round(255 / (1 + np.exp(-4 * (x - 40) / 400)))
    assert (grey(scan(stored(), VOILUTFunction="SIGMOID", **window)) == sigmoid).all()


def test_a_table_in_the_file_is_used() -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = np.linspace(65_535, 0, 4096).astype("<u2").tobytes()
    found = grey(scan(stored(), VOILUTSequence=Sequence([table])))
    assert abs(found - (255 - np.round(255 * stored() / 4095))).max() <= 1


def test_a_window_of_the_settings_replaces_that_of_the_file() -> None:
    content = scan(stored(), WindowCenter=40, WindowWidth=400, **CT)
    found = grey(content, intensity="window", window=(-1000.0, 7190.0))
    assert (found == np.round(255 * stored() / 4095)).all()


def test_without_a_window_the_stored_bits_are_the_range() -> None:
    assert (grey(scan(stored())) == np.round(255 * stored() / 4095)).all()
    assert (grey(scan(stored(), WindowWidth=None, WindowCenter=None)) == np.round(255 * stored() / 4095)).all()


def test_monochrome1_is_inverted() -> None:
    plain, other = scan(stored()), scan(stored(), PhotometricInterpretation="MONOCHROME1")
    assert (grey(other) == 255 - grey(plain)).all()


def test_colours_are_kept() -> None:
    colours = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    content = scan(pixels(1), **colours, **bits, PixelData=pixels(1).tobytes())
    assert (read(content).pixels == pixels(1)).all()


def write_series(root: Path, patients: int = 10, each: int = 3) -> Path:
    """Write `root/cat/0.dcm`...; each patient has pictures of both classes."""
    for kind in ("cat", "dog"):
        (root / kind).mkdir(parents=True)
        for number in range(patients * each):
            content = scan(
                stored(number + 1000 * (kind == "dog")),
                f"{PATIENT}{number // each}",
                WindowCenter=2000,
                WindowWidth=4000,
            )
            suffix = ".dcm" if number % 2 else ""
            (root / kind / f"{number}{suffix}").write_bytes(content)
    return root


def test_a_series_goes_through_by_patient_and_its_patients_are_in_no_file_below_the_run(tmp_path: Path) -> None:
    data = write_series(tmp_path / "data")
    settings = load_settings(
        overrides=[f"prepare.source={data}", f"execution.output={tmp_path / 'runs'}", "prepare.image_size=12"]
    )
    artifact = run(settings, until="prepare").artifacts["prepare"]
    card, groups = DataCard.read(artifact), read_groups(artifact)
    assert sum(card.counts["cat"].values()) == sum(card.counts["dog"].values()) == 30
    assert card.groups["pool"] + card.groups["validation"] + card.groups["test"] == len(set(groups)) == 10
    for row in read_membership(artifact):
        pool = groups[: card.num_pool]
        assert not set(pool[row]) & set(pool[~row])
    assert read_layout(artifact).groups == "the patient ids of DICOM files"
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        mode = path.stat().st_mode
        path.chmod(mode | 0o400)  # the test split is closed
        content = path.read_bytes()
        path.chmod(mode)
        assert not [text for text in (NAME, "Mustermann", PATIENT, "Klinikum", "19700101") if text.encode() in content], path


def test_inspect_counts_the_patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert "DICOM files name 10 patients" in inspect(monkeypatch, capsys, write_series(tmp_path / "data"))


def test_one_id_for_all_says_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for kind in ("cat", "dog"):
        (data / kind).mkdir(parents=True)
        for number in range(9):
            (data / kind / f"{number}.dcm").write_bytes(scan(stored(number + 100 * (kind == "dog"))))
    artifact = prepared(tmp_path, data)
    assert DataCard.read(artifact).groups == {}
    assert read_groups(artifact).tolist() == list(range(18))


def test_what_cannot_be_read_is_refused_without_a_word_of_the_patient(tmp_path: Path) -> None:
    data = write_series(tmp_path / "data")
    frames = scan(np.stack([stored()] * 3), NumberOfFrames=3, Rows=12, Columns=12)
    odd = {
        "frames.dcm": frames,
        "cut.dcm": scan(stored())[:-40],
        "empty.dcm": scan(stored(), PixelData=b""),
        "bomb.dcm": scan(stored(), Rows=60_000, Columns=60_000),
        "broken.dcm": scan(stored())[:400] + b"\xff" * 300,
    }
    for name, content in odd.items():
        (data / "cat" / name).write_bytes(content)
    found = rejected(data.parent / "out") if prepared(tmp_path, data) else {}
    assert {name.removeprefix("cat/"): reason for name, (reason, _) in found.items()} == {
        "frames.dcm": "animated",
        "cut.dcm": "corrupt",
        "empty.dcm": "corrupt",
        "bomb.dcm": "too_many_pixels",
        "broken.dcm": found["cat/broken.dcm"][0],
    }
    assert "save the frames that are pictures of their own as a file each" in found["cat/frames.dcm"][1]
    assert "Mustermann" not in (tmp_path / "out" / "rejected.csv").read_text()


def test_a_picture_named_like_dicom_is_read_as_what_it_is() -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels(2)).save(buffer, "PNG")
    assert read(buffer.getvalue()).rules == ("extension",)
