"""`tckr.run` with keyword settings on a real tiny set, and the numbers, images and release of its result."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tckr
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.soft_labels import read_soft_labels
from tckr.artifacts.synthetic import load_synthetic

TINY = {
    "adapt": {"steps": 1, "batch_size": 4},
    "generate": {"steps": np.int64(1), "cardinality": 0.5},
    "teach": {"epochs": 1, "augment": {"flip": True}},
    "label": {"views": 2, "top_k": 3},
    "distill": {"epochs": 1},
    "audit": {"num_reference_runs": 0},
    "execution": {"threads": 1, "workers": 1},
}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Write 10 classes of 14 noisy pictures."""
    root, generator = tmp_path_factory.mktemp("pictures") / "noisy", np.random.default_rng(0)
    for label in range(10):
        (root / f"class{label}").mkdir(parents=True)
        for number in range(14):
            pixels = np.clip(25 * label + generator.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"class{label}" / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def made(pictures, tmp_path_factory) -> tuple[tckr.Result, list[str]]:
    """Run everything once; return the result and the warnings that a script hears."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        result = tckr.run(pictures, output=tmp_path_factory.mktemp("out"), progress=False, **TINY)
    return result, [str(warning.message) for warning in heard if warning.category is UserWarning]


@pytest.fixture
def result(made) -> tckr.Result:
    return made[0]


def test_what_a_run_warns_of_are_warnings_of_python(made):
    assert any(text.startswith("audit: not measured: 0 reference runs") for text in made[1])


def test_a_result_has_the_numbers_of_the_audit(result):
    audit = AuditResult.read(result.artifacts["audit"])
    assert result.audit == audit
    assert result.student.accuracy == audit.surfaces["student"].cas
    assert float(result.student.accuracy) == audit.surfaces["student"].cas.value
    assert result.teacher.balanced_accuracy == audit.surfaces["teacher"].balanced_cas
    assert list(result.student.accuracy_by_class) == [f"class{label}" for label in range(10)]
    assert result.leakage == dict.fromkeys(("teacher", "student"), "not measured")
    assert result.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert result.folder.name == "noisy", "as the data is called"


def test_a_number_that_nobody_measured_says_so(result):
    with pytest.raises(tckr.UserError, match="this number was not measured"):
        _ = result.student.membership_auc


def test_the_synthetic_set_is_a_dataset_with_its_soft_labels_and_without_prompts(result, tmp_path):
    found, stored = result.synthetic, load_synthetic(result.artifacts["generate"], None)
    assert found.column_names == ["image", "label", "index", "soft_label", "soft_label_class"]
    assert found.features["label"].names == [f"class{label}" for label in range(10)]
    assert np.array_equal([np.asarray(image) for image in found["image"]], np.array(stored.images))
    assert found["label"][:] == stored.labels.tolist()
    soft = read_soft_labels(result.artifacts["label"], tmp_path)
    assert np.array_equal(found["soft_label"][:], soft.stored[:, 0].astype(np.float32))
    assert np.array_equal(found["soft_label_class"][:], soft.classes[:, 0])
    assert found.filter(lambda row: row["label"] == 3).num_rows == stored.labels.tolist().count(3)


def test_a_result_is_released_like_any_run(result, tmp_path):
    with pytest.raises(tckr.GateError, match="membership was not measured"):
        result.release(tmp_path / "refused", license="mit")
    made = result.release(tmp_path / "made", license="mit", what=["images"], accept_risk="a test", by="somebody")
    assert isinstance(made, tckr.Release)
    assert (made.folder / "data").is_dir()


def test_a_run_is_continued_from_its_folder_and_computes_nothing_again(result, capsys):
    again = tckr.run(config=result.folder, until="label")
    assert again.folder == result.folder
    assert "tckr generate: whole already\n" in capsys.readouterr().err
    assert again.artifacts["label"] == result.artifacts["label"]


def test_what_a_run_has_not_computed_is_named_with_what_to_do(result):
    part = tckr.Result(folder=result.folder, artifacts={"prepare": result.artifacts["prepare"]})
    with pytest.raises(tckr.UserError, match=r"has no artifact of `distill` .* until='report'"):
        _ = part.student
    with pytest.raises(tckr.UserError, match="has no artifact of `generate`"):
        _ = part.synthetic
