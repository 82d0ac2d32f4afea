"""Read the kind of a checkpoint from its configuration files, without torch, weights or network.

With it, unsupported settings are rejected before anything is computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tckr.errors import UserError
from tckr.models.embedded import resolve

Targets = Literal["attention", "linear", "all"]
"""Layers of a denoiser that get LoRA: attention layers as published for the family; all linear layers; also convolutions."""

WHOLE = (0.0, 1.0)
"""The guidance interval that covers all steps."""

DIFFUSION_SOLVERS = ("dpm++", "unipc", "euler", "lcm")
FLOW_SOLVERS = ("dpm++", "unipc", "euler")
QUADRATIC = {
    "dpm++": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
}
"""Solver -> class of its scheduler, for those whose steps can be spaced quadratically."""

DISTILLED = ("FluxPipeline",)
"""Pipelines whose denoiser has the guidance scale as input and is evaluated once per step."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Classes of pipeline and scheduler, and the configuration of the scheduler."""

    pipeline: str
    scheduler: str
    config: Mapping[str, Any]

    @property
    def flow(self) -> bool:
        """Return whether it is a flow-matching model."""
        return is_flow(self.scheduler, self.config)


def refuse_misfits(
    model: str,
    revision: str | None,
    *,
    min_snr_gamma: float | None,
    solver: str,
    spacing: str,
    guidance_interval: tuple[float, float],
) -> None:
    """Raise a UserError for settings that the generator `model` does not support.

    A checkpoint without a readable configuration on this machine passes; errors are then reported when it is loaded.
    """
    if min_snr_gamma is None and solver == spacing == "default" and guidance_interval == WHOLE:
        return
    outline = outline_of(model, revision)
    if outline is None:
        return
    if outline.flow and min_snr_gamma is not None:
        raise no_min_snr(min_snr_gamma)
    if solver not in ("default", *solver_names(outline.flow)):
        raise no_solver(solver, outline.flow)
    scheduler = outline.scheduler if solver == "default" else QUADRATIC.get(solver, solver)
    if spacing == "quadratic" and not can_be_quadratic(scheduler, outline.config):
        raise no_spacing(scheduler)
    if outline.pipeline in DISTILLED and guidance_interval != WHOLE:
        raise no_interval()


def outline_of(model: str, revision: str | None) -> Outline | None:
    """Return the outline of an embedded, local or already downloaded checkpoint; None if it cannot be read."""
    index = _read(model, revision, "model_index.json")
    scheduler = _read(model, revision, "scheduler/scheduler_config.json")
    if index is None or scheduler is None:
        return None
    return Outline(pipeline=str(index.get("_class_name")), scheduler=str(scheduler.get("_class_name")), config=scheduler)


def is_flow(scheduler: str, config: Mapping[str, Any]) -> bool:
    """Return whether a scheduler of this class uses straight lines (Lipman et al. 2023, Liu et al. 2023)."""
    return "FlowMatch" in scheduler or config.get("prediction_type") == "flow_prediction"


def can_be_quadratic(scheduler: str, config: Mapping[str, Any]) -> bool:
    """Return whether a scheduler of this class steps between the noise levels of integer timesteps of a diffusion model."""
    known = scheduler in QUADRATIC.values() and config.get("timestep_type") != "continuous"
    return known and not is_flow(scheduler, config)


def solver_names(flow: bool) -> tuple[str, ...]:
    """Return the supported solvers besides `default`."""
    return FLOW_SOLVERS if flow else DIFFUSION_SOLVERS


def no_solver(name: str, flow: bool) -> UserError:
    """Return the error for a solver that this kind of model does not support."""
    kind = "flow-matching" if flow else "diffusion"
    offered = ", ".join(("default", *solver_names(flow)))
    return UserError(f"no solver {name!r} for this {kind} generator; set generate.solver to one of {offered}")


def no_spacing(scheduler: str) -> UserError:
    """Return the error for quadratic spacing with a scheduler that has no noise level per timestep."""
    return UserError(
        f"generate.spacing=quadratic is for diffusion models with the solvers dpm++, unipc and euler; this generator uses "
        f"{scheduler}; set one of them as generate.solver, or generate.spacing=default"
    )


def no_min_snr(gamma: float) -> UserError:
    """Return the error for min-SNR weights with flow matching, which weights levels by their density instead."""
    return UserError(
        f"min-SNR weighting (gamma {gamma:g}) is for diffusion models; this generator is trained by flow matching, which "
        "samples middle noise levels more often instead; set adapt.min_snr_gamma=null"
    )


def no_interval() -> UserError:
    """Return the error for a guidance interval if guidance is distilled."""
    return UserError(
        "this generator has distilled guidance: there is no second evaluation that a guidance interval could save; "
        "set generate.guidance_interval to [0, 1]"
    )


def _read(model: str, revision: str | None, name: str) -> dict[str, Any] | None:
    """Return a JSON object of the checkpoint, without using the network."""
    folder = Path(resolve(model))
    file = folder / name if folder.is_dir() else _downloaded(model, revision, name)
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file else None
    except (OSError, ValueError, RecursionError):  # missing, or not readable as JSON
        return None
    return found if isinstance(found, dict) else None


def _downloaded(model: str, revision: str | None, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        path = try_to_load_from_cache(model, name, revision=revision)
    except ValueError:  # not a valid name on the hub
        return None
    return Path(path) if isinstance(path, str) else None
