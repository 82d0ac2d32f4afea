"""The kind that is read from the files of a checkpoint is that of the loaded generator; unsupported settings are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tckr.errors import UserError
from tckr.models.diffusion import forward_process, outline, sampling
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import FAMILIES
from tckr.models.diffusion.outline import outline_of, refuse_misfits

FLOW = ("sd3", "flux", "sana")
NOTHING: dict[str, Any] = {"min_snr_gamma": None, "solver": "default", "spacing": "default", "guidance_interval": (0.0, 1.0)}


def test_outline_is_that_of_the_loaded_generator(family: str, families: dict[str, Path], generator: LatentDiffusion) -> None:
    found = outline_of(str(families[family]), None)
    assert found is not None
    assert FAMILIES[found.pipeline] is type(generator.family)
    assert found.flow == forward_process.is_flow(generator.pipeline.scheduler) == (family in FLOW)


def test_names_are_those_of_the_solvers_and_families() -> None:
    assert outline.solver_names(flow=True) == tuple(sampling.FLOW_SOLVERS)
    assert outline.solver_names(flow=False) == tuple(sampling.DIFFUSION_SOLVERS)
    assert set(outline.DISTILLED) == {name for name, family in FAMILIES.items() if family.distilled_guidance}


@pytest.mark.parametrize(
    ("changes", "refused", "problem"),
    [
        ({"min_snr_gamma": 5.0}, FLOW, "adapt.min_snr_gamma=null"),
        ({"solver": "lcm"}, FLOW, r"no solver 'lcm'.*generate.solver to one of default, dpm\+\+, unipc, euler"),
        ({"guidance_interval": (0.2, 0.8)}, ("flux",), "distilled guidance"),
        ({"spacing": "quadratic"}, FLOW, "generate.spacing=quadratic is for diffusion models"),
        ({"solver": "euler"}, (), ""),
        ({}, (), ""),
    ],
)
def test_settings_that_the_kind_cannot_follow_are_refused(
    family: str, families: dict[str, Path], changes: dict[str, Any], refused: tuple[str, ...], problem: str
) -> None:
    if family not in refused:
        refuse_misfits(str(families[family]), None, **NOTHING | changes)
        return
    with pytest.raises(UserError, match=problem):
        refuse_misfits(str(families[family]), None, **NOTHING | changes)


@pytest.mark.parametrize(
    ("scheduler", "solver"),
    [
        ({"_class_name": "DDIMScheduler"}, "default"),
        ({"_class_name": "PNDMScheduler"}, "default"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous"}, "default"),
        ({"_class_name": "EDMDPMSolverMultistepScheduler", "timestep_type": "continuous"}, "euler"),
        ({"_class_name": "DDIMScheduler"}, "lcm"),
    ],
)
def test_quadratic_steps_are_refused_before_anything_is_computed(
    tmp_path: Path, scheduler: dict[str, str], solver: str
) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    with pytest.raises(UserError, match=r"generate\.spacing=quadratic is for diffusion models"):
        refuse_misfits(str(tmp_path), None, **NOTHING | {"solver": solver, "spacing": "quadratic"})
    refuse_misfits(str(tmp_path), None, **NOTHING | {"solver": solver})


def test_the_embedded_generator_has_an_outline() -> None:
    assert outline_of("embedded:generator", None) is not None


def test_a_downloaded_checkpoint_is_read_from_the_cache(
    families: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert outline_of("owner/flow", None) is None
    repository = tmp_path / "models--owner--flow"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(families["sd3"], repository / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    with pytest.raises(UserError, match="flow-matching"):
        refuse_misfits("owner/flow", None, **NOTHING | {"solver": "lcm"})


@pytest.mark.parametrize("content", ["", "{", "[]", None, pytest.param("[" * 100_000, id="deep")])
def test_what_cannot_be_read_is_left_to_the_loader(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    if content is not None:
        (tmp_path / "scheduler").mkdir()
        (tmp_path / "scheduler" / "scheduler_config.json").write_text(content)
    refuse_misfits(str(tmp_path), None, **NOTHING | {"solver": "lcm"})
    refuse_misfits("not a valid name!", None, **NOTHING | {"solver": "lcm"})
