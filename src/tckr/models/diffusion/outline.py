"""What the configuration files of a checkpoint say of its kind, read without torch, weights or network.

So that settings which its kind cannot follow are refused before anything is computed.
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
"""Layers of a denoiser that get LoRA: of its attention, as published for the family; all linear ones; convolutions too."""

WHOLE = (0.0, 1.0)
"""The interval of guidance that is every step."""

DIFFUSION_SOLVERS = ("dpm++", "unipc", "euler", "lcm")
FLOW_SOLVERS = ("dpm++", "unipc", "euler")
DISTILLED = ("FluxPipeline",)
"""Pipelines whose denoiser is told the guidance scale and evaluated once per step."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Class of the pipeline, and whether it is a flow-matching model."""

    pipeline: str
    flow: bool


def refuse_misfits(
    model: str,
    revision: str | None,
    *,
    min_snr_gamma: float | None,
    solver: str,
    guidance_interval: tuple[float, float],
) -> None:
    """Raise a UserError for settings that the generator `model` cannot follow.

    A checkpoint whose configuration is not on this machine, or not readable, passes: loading it says what is wrong.
    """
    if min_snr_gamma is None and solver == "default" and guidance_interval == WHOLE:
        return
    outline = outline_of(model, revision)
    if outline is None:
        return
    if outline.flow and min_snr_gamma is not None:
        raise no_min_snr(min_snr_gamma)
    if solver not in ("default", *solver_names(outline.flow)):
        raise no_solver(solver, outline.flow)
    if outline.pipeline in DISTILLED and guidance_interval != WHOLE:
        raise no_interval()


def outline_of(model: str, revision: str | None) -> Outline | None:
    """Return the outline of an embedded, local or already downloaded checkpoint; None where it cannot be read."""
    index = _read(model, revision, "model_index.json")
    scheduler = _read(model, revision, "scheduler/scheduler_config.json")
    if index is None or scheduler is None:
        return None
    return Outline(pipeline=str(index.get("_class_name")), flow=is_flow(str(scheduler.get("_class_name")), scheduler))


def is_flow(scheduler: str, config: Mapping[str, Any]) -> bool:
    """Return whether a scheduler of this class moves on straight lines (Lipman et al. 2023, Liu et al. 2023)."""
    return "FlowMatch" in scheduler or config.get("prediction_type") == "flow_prediction"


def solver_names(flow: bool) -> tuple[str, ...]:
    """Return the solvers offered beside `default`."""
    return FLOW_SOLVERS if flow else DIFFUSION_SOLVERS


def no_solver(name: str, flow: bool) -> UserError:
    """Return the error of a solver that this kind of model lacks."""
    kind = "flow-matching" if flow else "diffusion"
    offered = ", ".join(("default", *solver_names(flow)))
    return UserError(f"no solver {name!r} for this {kind} generator; set generate.solver to one of {offered}")


def no_min_snr(gamma: float) -> UserError:
    """Return the error of min-SNR weights: defined for diffusion, and flow matching weights by how it draws levels."""
    return UserError(
        f"min-SNR weighting (gamma {gamma:g}) is for diffusion models; this generator is trained by flow matching, which "
        "draws middle noise levels more often instead; set adapt.min_snr_gamma=null"
    )


def no_interval() -> UserError:
    """Return the error of a guidance interval where guidance is distilled."""
    return UserError(
        "this generator has guidance distilled into it: there is no second evaluation that a guidance interval could save; "
        "leave generate.guidance_interval at [0, 1]"
    )


def _read(model: str, revision: str | None, name: str) -> dict[str, Any] | None:
    """Return a JSON object of the checkpoint, without asking the network."""
    folder = Path(resolve(model))
    file = folder / name if folder.is_dir() else _downloaded(model, revision, name)
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file else None
    except (OSError, ValueError, RecursionError):  # not there, or no JSON that can be read
        return None
    return found if isinstance(found, dict) else None


def _downloaded(model: str, revision: str | None, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        path = try_to_load_from_cache(model, name, revision=revision)
    except ValueError:  # no name that a hub could have
        return None
    return Path(path) if isinstance(path, str) else None
