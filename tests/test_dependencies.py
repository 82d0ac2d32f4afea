"""No version that may be installed has a hole that was known when this table was last read against the advisories."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

FIRST_FIXED = {
    "diffusers": "0.42.1",  # GHSA-4prv-5hj7-c2xr: a checkpoint runs code in spite of trust_remote_code=False
    "filelock": "4.2.1",  # CVE-2026-112906, -112934, -112935, -112941 (4.0 to 4.2.0); CVE-2026-22701, CVE-2025-68146 before
    "jinja2": "3.1.6",  # CVE-2025-27516: the sandbox is left through |attr
    "numpy": "1.22",  # CVE-2021-41496: buffer overflow in f2py
    "pillow": "12.3",  # CVE-2026-59197, -59198, -59199, -59200, -55798: memory errors in decoders; CVE-2026-25990
    "pyarrow": "23.0.1",  # CVE-2026-25087: use after free in the IPC reader; CVE-2023-47248
    "pydantic": "2.4",  # CVE-2024-3772: slow regular expression
    "psutil": "5.6.6",  # CVE-2019-18874: double free
    "pytest": "9.0.3",  # CVE-2025-71176: guessable folders in /tmp
    "pyyaml": "5.4",  # CVE-2020-14343: code in YAML
    "scikit-learn": "1.5",  # CVE-2024-5206: training data kept in a vectorizer
    "scipy": "1.10",  # CVE-2023-25399: memory leak
    "setuptools": "78.1.1",  # CVE-2025-47273: files written outside of a download's folder
    "torch": "2.8",  # CVE-2025-32434: torch.load runs code; CVE-2025-2953, CVE-2025-3730
    "transformers": "5.3",  # CVE-2026-4372, CVE-2026-5241: a checkpoint runs code in spite of trust_remote_code=False
}
"""Direct dependency -> first version without the holes named beside it. CVE-2025-3000 (torch before 2.13: memory error in
`torch.jit.script`) is left out on purpose: nothing here calls it, and TCKR must run on torch 2.11."""


def requirements() -> dict[str, Requirement]:
    project = PROJECT["project"]
    texts = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    texts += [text for extra in project["optional-dependencies"].values() for text in extra]
    return {requirement.name.lower(): requirement for requirement in map(Requirement, texts)}


def constraints() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {name.lower().replace("_", "-"): Version(version) for name, version in pairs}


@pytest.mark.parametrize("name", FIRST_FIXED)
def test_no_version_with_a_known_hole_is_admitted(name):
    floors = [Version(one.version) for one in requirements()[name].specifier if one.operator in (">=", "==", "~=")]
    assert floors, f"{name} has no floor"
    assert max(floors) >= Version(FIRST_FIXED[name])


def test_the_versions_that_are_tested_are_those_that_are_admitted():
    tested = constraints()
    for name, requirement in requirements().items():
        if name in tested:
            assert tested[name] in requirement.specifier, name


def test_every_dependency_has_a_floor_and_a_tested_version():
    for text in PROJECT["project"]["dependencies"]:
        requirement = Requirement(text)
        assert any(one.operator == ">=" for one in requirement.specifier), text
        assert requirement.name.lower() in constraints(), text
