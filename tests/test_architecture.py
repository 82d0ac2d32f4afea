"""What the wiring promises: who may import whom, what the Student is made from, what a command line costs."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tckr
from tckr.config import RunConfig
from tckr.engine.step import Sensitivity
from tckr.pipeline import MIN_REFERENCE_RUNS, STAGES, pipeline
from tckr.stages.audit import verdict

HEAVY = ("torch", "diffusers", "transformers", "peft", "kornia", "datasets", "numpy", "PIL", "sklearn", "scipy")


def steps(**changes):
    return {step.name: step for step in pipeline(RunConfig(**changes))}


def test_the_student_has_no_input_but_the_synthetic_images_and_their_labels():
    for name, step in steps().items():
        if step.stage == "distill":
            assert set(step.inputs) == {"synthetic", "labels"}, name
            assert "prepare" not in {source.stage for source in step.inputs.values()}


def test_online_labels_add_the_teacher_and_nothing_else():
    assert set(steps(distill={"labels": "online"})["distill"].inputs) == {"synthetic", "labels", "teacher"}


def test_every_stage_that_reads_private_data_directly_is_private_or_an_audit_output():
    for step in steps().values():
        reads_private_images = any(source.stage in {"prepare", "caption"} for source in step.inputs.values())
        if reads_private_images and step.stage not in {"generate", "report"}:
            assert step.sensitivity is Sensitivity.PRIVATE, step.name


def test_the_map_has_the_nine_stages_in_their_order():
    order = [step.stage for step in pipeline(RunConfig()) if step.run == 0 and "." not in step.name]
    assert order == list(STAGES)


def test_a_reference_run_repeats_what_its_depth_says_on_its_own_row():
    distill = steps(audit={"num_reference_runs": 3})
    assert {step.run for step in distill.values() if step.stage == "teach"} == {0, 1, 2, 3}
    assert {step.run for step in distill.values() if step.stage == "distill"} == {0, 1, 2, 3}
    assert [step.run for step in distill.values() if step.stage == "generate"] == [0]
    assert distill["teach.2"].config == distill["teach"].config
    assert distill["teach.2"].seed != distill["teach"].seed
    teacher = steps(audit={"num_reference_runs": 3, "depth": "teacher"})
    assert [step.run for step in teacher.values() if step.stage == "distill"] == [0]


def test_no_reference_run_or_control_is_trained_that_the_audit_cannot_use():
    assert MIN_REFERENCE_RUNS == verdict.MIN_REFERENCE_RUNS
    assert set(steps(audit={"num_reference_runs": 1})) == set(STAGES)
    assert set(steps(prepare={"audit_holdout": 0})) == set(STAGES)


def test_every_step_travels_to_a_worker_process_as_what_it_is():
    for step in steps().values():
        assert pickle.loads(pickle.dumps(step)).fingerprint == step.fingerprint


def test_public_names_are_functions_and_classes_however_often_and_in_whatever_order_they_are_used():
    for module in pkgutil.iter_modules(tckr.__path__):
        importlib.import_module(f"tckr.{module.name}")
    for name in [*tckr.__all__, *tckr.__all__]:
        assert callable(getattr(tckr, name)), name


def test_changing_a_late_setting_leaves_earlier_fingerprints_alone():
    one, other = steps(), steps(distill={"epochs": 3})
    changed = {name for name in one if one[name].fingerprint != other[name].fingerprint}
    assert {one[name].stage for name in changed} == {"distill", "audit", "report"}


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["status", "--help"]])
def test_help_imports_nothing_heavy(command):
    code = f"""
import sys
from tckr.cli import app
try:
    app({command!r}, standalone_mode=True)
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
    assert "Usage" in done.stdout


def test_import_contracts_hold():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
