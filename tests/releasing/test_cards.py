"""Cards in the hub's format, Croissant metadata, and numbers that are the audit's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard

from tckr.artifacts.audit import AuditResult
from tckr.metrics.rounding import rounded
from tckr.releasing.cards.data import size_category
from tckr.releasing.licences import base_model
from tckr.releasing.releasing import release
from tckr.releasing.request import FORMATS, PARTS
from tests.releasing.conftest import CLASSES, NUM_IMAGES

ALL = {"license": "cc-by-4.0", "what": PARTS, "accept_risk": "a test", "by": "somebody"}


@pytest.fixture(scope="module")
def releases(finished, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("carded")
    return {form: release(finished.folder, to=root / form, format=form, **ALL).folder for form in FORMATS}


def test_the_data_card_has_what_the_hub_reads(releases):
    data = DatasetCard.load(releases["parquet"] / "README.md").data.to_dict()
    assert (data["license"], data["size_categories"]) == ("cc-by-4.0", ["n<1K"])
    assert data["task_categories"] == ["image-classification"]
    assert "synthetic" in data["tags"]
    columns = {column["name"]: column for column in data["dataset_info"]["features"]}
    assert set(columns) == {"image", "label", "soft_label"}
    assert list(columns["label"]["dtype"]["class_label"]["names"].values()) == CLASSES
    assert data["dataset_info"]["splits"][0]["num_examples"] == NUM_IMAGES
    assert "configs" not in data, "datasets would mix the caches of equal folders"


def test_the_card_names_classes_with_counts_limits_use_and_the_models_behind_it(releases):
    text = (releases["parquet"] / "README.md").read_text()
    assert text.count("\n| ") - text.count("\n| label") > len(CLASSES)
    assert "| 3 | class3 | 3 |" in text
    for heading in ("## Intended use", "## Limits", "## Models used", "## Privacy", "## How to load it"):
        assert heading in text
    assert "the small generator that ships with TCKR (licence: apache-2.0), with further training of its denoiser" in text


def test_whether_the_audit_is_valid_is_read_before_its_numbers(releases):
    text = (releases["parquet"] / "README.md").read_text()
    verdict = json.loads((releases["parquet"] / "audit_summary.json").read_text())["audit"]["verdict"]
    assert 0 < text.index(verdict[1:]) < text.index("| surface | AUC")


@pytest.mark.parametrize("form", FORMATS)
def test_each_part_is_loaded_in_three_lines(releases, form):
    blocks = re.findall(r"```python\n(.*?)\n```", (releases[form] / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == (4 if form == "parquet" else 3)
    for block in blocks:
        assert len(block.splitlines()) == 3
        compile(block, "card", "exec")


def test_the_model_card_has_the_accuracy_of_the_audit_as_an_evaluation_result(releases, finished):
    card = ModelCard.load(releases["parquet"] / "student" / "README.md")
    (result,) = card.data.eval_results
    accuracy = rounded(AuditResult.read(finished.artifacts["audit"]).surfaces["student"].cas)
    assert (result.metric_type, result.metric_value) == ("accuracy", accuracy.value)
    assert f"Accuracy {accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}]" in card.text
    assert (card.data.license, card.data.library_name) == ("cc-by-4.0", "transformers")
    assert ModelCard.load(releases["parquet"] / "adapter" / "README.md").data.pipeline_tag == "text-to-image"


def test_a_public_base_model_is_named_with_its_licence_and_any_other_is_not():
    assert base_model("stabilityai/stable-diffusion-xl-base-1.0").text.endswith("(licence: openrail++)")
    assert base_model("embedded:generator").licence == "apache-2.0"
    assert not base_model("another model, not named here").on_hub


@pytest.mark.parametrize(("count", "name"), [(999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**9, "n>100M")])
def test_sizes_have_the_hubs_names(count, name):
    assert size_category(count) == name


@pytest.mark.parametrize("form", FORMATS)
def test_croissant_names_the_files_of_rows_with_their_digests(releases, form):
    found = json.loads((releases[form] / "croissant.json").read_text())
    sums = dict(reversed(line.split("  ")) for line in (releases[form] / "SHA256SUMS").read_text().splitlines())
    objects = [part for part in found["distribution"] if part["@type"] == "cr:FileObject"]
    assert objects
    assert {part["contentUrl"]: part["sha256"] for part in objects}.items() <= sums.items()
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.1"


@pytest.mark.parametrize("form", FORMATS)
def test_croissant_is_valid_and_loads(releases, form, tmp_path):
    pytest.importorskip("mlcroissant")
    code = """
import json, sys
import mlcroissant
found = mlcroissant.Dataset(sys.argv[1])
counts = {records.uuid: sum(1 for _ in found.records(records.uuid)) for records in found.metadata.record_sets}
print(json.dumps([counts, sorted(found.metadata.issues.errors)]))
"""
    command = [sys.executable, "-c", code, releases[form] / "croissant.json"]
    apart = {**os.environ, "CROISSANT_CACHE": str(tmp_path)}  # which takes files of equal names for the same
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=apart)
    counts, errors = json.loads(done.stdout.splitlines()[-1])
    assert errors == []
    assert counts.pop("classes") == len(CLASSES)
    assert set(counts.values()) == {NUM_IMAGES}
