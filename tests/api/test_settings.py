"""Keyword settings: what they become, and what is said of those that do not hold."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

import tckr
from tckr.api.calling import SECTIONS, read_settings
from tckr.config import Settings


def read(config=None, preset=None, *, chosen=None, **sections):
    return read_settings(config, preset, {name: {} for name in SECTIONS} | sections, chosen or {})


def test_every_section_of_the_settings_is_a_keyword():
    assert set(SECTIONS) == set(Settings.model_fields) - {"seed"}
    assert set(SECTIONS) < set(inspect.signature(tckr.run).parameters)


def test_sections_change_the_preset_and_the_rest_stays_as_it_is():
    plain, changed = read(preset="demo"), read(preset="demo", generate={"cardinality": 5}, teach={"augment": {"flip": True}})
    assert (changed.generate.cardinality, changed.teach.augment.flip) == (5, True)
    assert changed.teach.augment.shift == plain.teach.augment.shift
    assert changed.adapt == plain.adapt


def test_paths_tuples_and_numbers_of_numpy_are_taken(tmp_path):
    found = read(
        chosen={"prepare.source": tmp_path, "execution.output": tmp_path / "out", "seed": np.int64(3)},
        generate={"guidance_interval": (0.2, 0.8), "cardinality": np.float32(2.0)},
    )
    assert (found.seed, found.generate.guidance_interval, found.generate.cardinality) == (3, (0.2, 0.8), 2.0)
    assert (found.prepare.source, found.execution.output) == (str(tmp_path), tmp_path / "out")


def test_a_run_is_named_after_its_data_unless_a_name_is_given(tmp_path):
    data = {"prepare.source": tmp_path / "my cats"}
    assert read(chosen=data).execution.name == "my-cats"
    assert read(chosen=data | {"execution.name": "other"}).execution.name == "other"
    assert read(chosen=data, execution={"name": "third"}).execution.name == "third"


def test_settings_of_a_run_folder_are_those_of_the_run_wherever_it_lies(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("prepare: {source: digits}\nexecution: {output: /gone, name: old}\n")
    found = read(tmp_path / "run", generate={"cardinality": 2})
    assert (found.execution.output, found.execution.name, found.generate.cardinality) == (tmp_path, "run", 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to work on; give tckr.run("),
        ({"data": "digits", "generate": {"cardinalty": 5}}, "unknown setting generate.cardinalty. Did you mean"),
        (
            {"data": "digits", "generate": {"cardinality": "5"}},
            "setting generate.cardinality: found '5'; expected a decimal",
        ),
        ({"data": "digits", "generate": 5}, "generate is a section; found 5"),
        ({"data": "digits", "prepare": {"source": "x"}}, "setting prepare.source is given twice"),
        ({"data": "digits", "preset": "small"}, "unknown preset"),
        ({"data": "no/such/folder"}, "no/such/folder"),
        ({"config": "no/such.yaml"}, "no config file at"),
        ({"data": "digits", "until": "train"}, "unknown stage"),
    ],
)
def test_what_does_not_hold_is_one_sentence_with_what_to_do(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(tckr.UserError) as raised:
        tckr.run(**arguments)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_folder_of_a_run_is_not_taken_for_data(tmp_path):
    (tmp_path / "config.yaml").write_text("prepare: {source: digits}\n")
    with pytest.raises(tckr.UserError, match=r"is the folder of a run; continue it with tckr\.run\(config="):
        tckr.run(tmp_path)
    with pytest.raises(tckr.UserError, match="a folder of images is given as the first argument"):
        tckr.run(config=Path(tmp_path).parent)
