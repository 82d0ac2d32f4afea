"""Without pydicom a DICOM file is refused, and the way out is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.stages.prepare.pictures import prepared, write_classes
from tests.stages.prepare.test_odd_files import rejected


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_classes(tmp_path / "data", {"cat": 9, "dog": 9})
    (data / "cat" / "scan.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 100)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    found = rejected(prepared(tmp_path, data))
    assert found["cat/scan.dcm"] == ("dicom", "install it with: pip install 'tckr[dicom]'")
