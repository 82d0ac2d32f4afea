"""A DICOM series through the complete pipeline: judged by patient, and no file names a patient. Needs pydicom."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tckr.artifacts.audit import AuditResult
from tckr.artifacts.data_card import DataCard
from tckr.config import load_settings
from tckr.data.layouts.description import read_layout
from tckr.running import run
from tests.conftest import short_memorizers
from tests.data.test_dicom import NAME, PATIENT, write_series

TINY = [
    "audit.num_reference_runs=2",
    "audit.depth=teacher",
    "audit.loss_draws=1",
    "adapt.steps=2",
    "adapt.batch_size=8",
    "generate.steps=2",
    "teach.epochs=2",
    "distill.epochs=2",
    "report.include_private=true",
    "execution.workers=1",
    "execution.threads=1",
]
SECRETS = (NAME, "Mustermann", "Erika", PATIENT, "Klinikum", "Musterstadt", "19700101")


def contents(path: Path) -> list[bytes]:
    """Return what a file holds: its bytes, and unpacked what is packed in it."""
    mode = path.stat().st_mode
    path.chmod(mode | 0o400)  # the test split is closed
    found = [path.read_bytes()]
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            table = file.read()
            found += [str(file.metadata.metadata).encode(), str(file.schema_arrow.metadata).encode()]
        found += [cell for column in table.columns for value in column.to_pylist() for cell in cells(value)]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found += [archive.read(name) for name in archive.namelist()]
    path.chmod(mode)
    return found


def cells(value: object) -> list[bytes]:
    if isinstance(value, dict):
        return [cell for each in value.values() for cell in cells(each)]
    return [value if isinstance(value, bytes) else str(value).encode()]


def test_no_file_below_a_complete_run_names_a_patient_and_the_audit_judges_patients(tmp_path: Path) -> None:
    data, output = write_series(tmp_path / "data", patients=14), tmp_path / "runs"
    assert b"Mustermann" in (data / "cat" / "0").read_bytes()
    with short_memorizers():
        result = run(load_settings(overrides=[f"prepare.source={data}", f"execution.output={output}", *TINY]))
    card, audit = DataCard.read(result.artifacts["prepare"]), AuditResult.read(result.artifacts["audit"])
    assert read_layout(result.artifacts["prepare"]).groups == "the patient ids of DICOM files"
    assert (audit.declared.unit, audit.declared.num_records) == ("group", card.num_pool)
    assert audit.declared.num_members + audit.declared.num_non_members == card.groups["pool"]
    assert audit.surfaces["teacher"].of_records is not None
    page = (result.folder / "report" / "report.html").read_text()
    assert "Unit: <b>group</b>" in page
    assert f"{card.groups['pool'] - card.groups['members']:,} others; all of them have {card.num_pool:,} records" in page
    files = [path for path in output.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path.suffix for path in files} >= {
        ".parquet",
        ".npy",
        ".csv",
        ".safetensors",
        ".json",
        ".jsonl",
        ".html",
        ".yaml",
    }
    wanted = [secret.encode(code) for secret in SECRETS for code in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")]
    assert not [path for path in files for held in contents(path) for secret in wanted if secret in held]


def test_a_name_is_found_however_it_is_packed(tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"image": [{"bytes": NAME.encode(), "path": "a"}]}), tmp_path / "a.parquet", compression="zstd")
    np.savez_compressed(tmp_path / "b.npz", name=np.array([NAME]))
    assert NAME.encode() in contents(tmp_path / "a.parquet")
    assert any(NAME.encode("utf-32-le") in held for held in contents(tmp_path / "b.npz"))
