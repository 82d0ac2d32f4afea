"""What the wiring promises: who may import whom, what the Student is made from, what a command line costs."""

from __future__ import annotations

import ast
import importlib
import pickle
import pkgutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import tckr
from tckr.artifacts.membership import EVERY_RECORD, VALIDATION_RUN, WITH_COINS
from tckr.config import RunConfig
from tckr.engine.step import Role, Sensitivity
from tckr.pipeline import STAGES, pipeline

HEAVY = ("torch", "diffusers", "transformers", "peft", "kornia", "datasets", "numpy", "PIL", "sklearn", "scipy")


def steps(**changes):
    return {step.name: step for step in pipeline(RunConfig(**changes), b"")}


def test_the_student_has_no_input_but_the_synthetic_images_and_their_labels():
    for name, step in steps().items():
        if step.stage == "distill":
            assert set(step.inputs) == {"synthetic", "labels"}, name
            assert "prepare" not in {source.stage for source in step.inputs.values()}


def test_online_labels_add_the_teacher_and_nothing_else():
    assert set(steps(distill={"labels": "online"})["distill"].inputs) == {"synthetic", "labels", "teacher"}


@pytest.mark.parametrize("labels", ["soft", "online"])
def test_the_student_of_the_images_alone_sees_no_teacher_and_learns_no_soft_label(labels):
    found = steps(distill={"labels": labels, "min_teacher_probability": 0.5, "hard_weight": 0.3})["distill.images_alone"]
    assert (found.config.labels, found.config.min_teacher_probability, found.config.hard_weight) == ("hard", 0.0, 0.0)
    assert found.inputs.keys() == {"synthetic", "labels"}


def test_there_is_no_second_student_of_the_images_if_the_student_is_one_or_none_is_requested():
    assert "distill.images_alone" not in steps(distill={"labels": "hard"})
    assert "distill.images_alone" not in steps(audit={"images_alone": False})


def test_every_stage_that_reads_private_data_directly_is_private_or_an_audit_output():
    for step in steps().values():
        reads_private_images = any(source.stage in {"prepare", "caption"} for source in step.inputs.values())
        if reads_private_images and step.stage not in {"generate", "report"}:
            assert step.sensitivity is Sensitivity.PRIVATE, step.name


def test_the_map_has_the_nine_stages_in_their_order():
    order = [step.stage for step in pipeline(RunConfig(), b"") if step.role is Role.TARGET]
    assert order == list(STAGES)


@pytest.mark.parametrize("depth", ["teacher", "distill", "full"])
def test_every_step_says_whether_it_is_of_the_target_of_a_reference_run_or_of_what_the_audit_makes_once(depth):
    found = steps(audit={"num_reference_runs": 2, "depth": depth})
    roles = {role: {name for name, step in found.items() if step.role is role} for role in Role}
    assert roles[Role.TARGET] == set(STAGES)
    assert roles[Role.REFERENCE] == {name for name in found if name.endswith((".1", ".2"))}
    ends = (".null", ".positive", ".0", ".base", ".all", ".images_alone")
    assert roles[Role.CONTROL] == {name for name in found if name.endswith(ends)}


def rows_of(found, stage):
    """Return the rows of the membership matrix that `stage` is run on, the audit's own steps (below 0) apart."""
    return {step.run for step in found.values() if step.stage == stage and step.run >= 0}


@pytest.mark.parametrize(
    ("depth", "repeated"),
    [
        ("teacher", {"teach", "audit"}),
        ("distill", {"teach", "label", "distill", "audit"}),
        ("full", {"caption", "adapt", "generate", "teach", "label", "distill", "audit"}),
    ],
)
def test_a_reference_run_repeats_what_its_depth_says_on_its_own_row(depth, repeated):
    found = steps(audit={"num_reference_runs": 3, "depth": depth})
    for stage in STAGES:
        assert rows_of(found, stage) == ({0, 1, 2, 3} if stage in repeated else {0}), stage
    for stage in repeated - {"audit"}:
        assert found[f"{stage}.2"].config == found[stage].config
        assert found[f"{stage}.2"].seed != found[stage].seed


@pytest.mark.parametrize("depth", ["teacher", "distill", "full"])
def test_a_run_is_queried_exactly_about_what_it_computed_itself(depth):
    found = steps(audit={"num_reference_runs": 2, "depth": depth})
    own = {name for name, source in found["signals.2"].inputs.items() if source.run == 2}
    expected = {"teacher": {"teacher"}, "distill": {"teacher", "student", "attacker"}}
    assert own == expected.get(depth, {"teacher", "student", "attacker", "synthetic", "adapter"})
    assert ("adapter" in found["signals.2"].inputs) == (depth == "full")  # queries of a shared adapter would show nothing
    assert {"teacher", "student", "attacker", "synthetic", "adapter"} <= set(found["signals.0"].inputs)


def test_controls_learn_from_nobody_and_from_the_target_by_heart():
    found = steps(audit={"num_reference_runs": 2, "depth": "full"})
    null = [step for name, step in found.items() if name.endswith(".null")]
    assert {step.stage for step in null} == {"caption", "adapt", "generate", "teach", "label", "distill", "audit"}
    assert {step.run for step in null} == {VALIDATION_RUN}
    positive = [step for name, step in found.items() if name.endswith(".positive")]
    assert {step.stage for step in positive} == {"adapt", "generate", "teach", "label", "distill", "audit"}
    assert {step.run for step in positive} == {0}
    assert found["adapt.positive"].config == found["adapt"].config.memorizing()
    assert found["generate.positive"].function.endswith(":replay")


@pytest.mark.parametrize("labels", ["soft", "hard", "online"])
def test_an_attackers_student_learns_the_released_soft_labels_and_nothing_else(labels):
    found = steps(distill={"labels": labels}, audit={"num_reference_runs": 2, "depth": "full"})
    for run, end in (("0", ""), ("1", ".1")):
        attacker = found[f"signals.{run}"].inputs["attacker"]
        assert {name: source.name for name, source in attacker.inputs.items()} == {
            "synthetic": f"generate{end}",
            "labels": f"label{end}",
        }
        assert attacker.config.labels == "soft"


def test_a_student_that_only_serves_for_comparison_is_the_attackers_too_where_only_the_seeds_would_differ():
    """The target's attacker trains a student of his own: he does not have the released one when he has the labels alone."""
    same, other = (steps(distill={"labels": labels}, audit={"num_reference_runs": 2}) for labels in ("soft", "hard"))
    for run in ("0", "1", "null", "positive"):
        inputs = same[f"signals.{run}"].inputs
        assert (inputs["attacker"] is inputs["student"]) == (run != "0")
        inputs = other[f"signals.{run}"].inputs
        assert (inputs["attacker"] is inputs["student"]) == (run == "positive")
    target = same["signals.0"].inputs
    assert target["attacker"].config == target["student"].config
    assert target["attacker"].seed != target["student"].seed


def test_an_ensemble_of_teachers_is_one_step_of_every_run_and_its_checkpoints_are_part_of_what_it_is():
    audit = {"num_reference_runs": 2, "depth": "full"}
    one, three = (steps(teach={"num_teachers": count}, audit=audit) for count in (1, 3))
    assert set(one) == set(three)
    assert {three[f"teach{run}"].config.num_teachers for run in ("", ".1", ".2", ".null", ".positive")} == {3}
    mixed = steps(teach={"num_teachers": 2, "other_models": ["embedded:resnet"]})["teach"]
    assert set(mixed.reads) == {"model", "model.2"}


def test_the_positive_control_learns_complete_labels_of_the_same_images():
    found = steps(label={"views": 4, "top_k": 2}, audit={"num_reference_runs": 2, "depth": "full"})
    assert (found["label.positive"].config.views, found["label.positive"].config.top_k) == (1, None)
    assert found["label.1"].config == found["label.null"].config == found["label"].config


def test_an_unadapted_pipeline_has_a_memorizer_all_the_same():
    found = steps(adapt={"steps": 0}, audit={"num_reference_runs": 2, "depth": "full"})
    assert (found["adapt.1"].config.steps, found["adapt.positive"].config.steps) == (0, 7500)
    by_epochs = steps(adapt={"steps": None, "epochs": 3}, audit={"num_reference_runs": 2, "depth": "full"})
    assert by_epochs["adapt.positive"].config.epochs == 15


def test_nothing_that_is_made_for_the_audit_is_ever_called_releasable():
    found = steps(audit={"num_reference_runs": 2, "depth": "full"})
    assert {step.sensitivity for step in found.values() if step.role is not Role.TARGET} == {Sensitivity.PRIVATE}
    assert found["generate"].sensitivity is Sensitivity.RELEASABLE


def test_more_reference_runs_or_another_attack_change_no_trained_or_queried_run():
    few = steps(audit={"num_reference_runs": 2, "depth": "full"})
    many = steps(audit={"num_reference_runs": 5, "depth": "full", "scorer": "lira_online", "confidence": 0.9})
    changed = {name for name in few if few[name].fingerprint != many[name].fingerprint}
    assert changed == {"audit", "report"}


def test_no_reference_run_or_control_is_trained_that_the_audit_cannot_use():
    unattacked = {*STAGES, "distill.images_alone"}  # that one is measured on the test split, not attacked
    assert set(steps(audit={"num_reference_runs": 1})) == unattacked
    assert set(steps(prepare={"audit_holdout": 0})) == unattacked


def test_canaries_are_queried_even_without_reference_runs():
    found = steps(prepare={"num_canaries": 100}, audit={"num_reference_runs": 0})
    assert {name for name in found if name.startswith("signals")} == {"signals.0", "signals.base"}
    with_references = steps(prepare={"num_canaries": 100}, audit={"num_reference_runs": 2})
    for name in ("signals.0", "signals.base"):  # other answers, so other artifacts
        assert found[name].fingerprint != with_references[name].fingerprint
    beside = {"signals.0", "signals.base", "adapt.base", "caption.canaries"}
    assert set(found) == {*STAGES, "distill.images_alone", *beside}  # nothing is trained that has no canaries
    assert {found[name].run for name in ("caption.canaries", "adapt.base")} == {WITH_COINS}  # nor captioned
    assert {with_references[name].run for name in ("caption.all", "adapt.base")} == {EVERY_RECORD}


def test_no_two_functions_compute_an_artifact_of_one_fingerprint():
    """The function of a step is not in its fingerprint, so settings or inputs must differ where functions do."""
    dp = {"adapt": {"prompt_form": "n"}, "prepare": {"num_canaries": 100}}
    plans = [{"prepare": {"num_canaries": 100}, "audit": {"num_reference_runs": number}} for number in (0, 2)]
    plans += [dp | {"privacy": {"epsilon": 8.0, "labels": labels}} for labels in ("prompt", "teacher")]
    computed: dict[str, tuple[str, type]] = {}
    for changes in plans:
        for step in steps(**changes).values():
            by = (step.function, type(step.config))
            assert computed.setdefault(step.fingerprint, by) == by, step.name


def test_every_step_travels_to_a_worker_process_as_what_it_is():
    for step in steps().values():
        assert pickle.loads(pickle.dumps(step)).fingerprint == step.fingerprint


def test_public_names_are_functions_and_classes_however_often_and_in_whatever_order_they_are_used():
    for module in pkgutil.iter_modules(tckr.__path__):
        importlib.import_module(f"tckr.{module.name}")
    for name in [*tckr.__all__, *tckr.__all__]:
        assert name == "__version__" or callable(getattr(tckr, name)), name


def test_a_type_checker_sees_every_public_name_where_it_is_defined():
    tree = ast.parse(Path(tckr.__file__).read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {name.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert typed == {name: getattr(tckr, name).__module__ for name in tckr.__all__ if name != "__version__"}
    assert Path(tckr.__file__).with_name("py.typed").is_file()


def test_the_version_is_that_of_the_package():
    assert tckr.__version__ == metadata.version("tckr")


def test_importing_the_package_imports_nothing_heavy():
    code = f"import sys, tckr; tckr.__version__; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_changing_a_late_setting_leaves_earlier_fingerprints_alone():
    one, other = steps(), steps(distill={"epochs": 3})
    changed = {name for name in one if one[name].fingerprint != other[name].fingerprint}
    assert {one[name].stage for name in changed} == {"distill", "audit", "report"}


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["audit", "--help"], ["status", "--help"]])
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


SOURCES = sorted(Path(tckr.__file__).parent.rglob("*.py"))


def test_no_function_is_longer_than_60_lines():
    found = [
        f"{file}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 60
    ]
    assert not found


def test_no_file_is_longer_than_400_lines():
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in SOURCES}
    assert not {file: length for file, length in lengths.items() if length > 400}
