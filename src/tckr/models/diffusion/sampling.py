"""The sampling loop, with the schedulers of diffusers.

Shapes: B images, latents C x h x w.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from tckr.models.diffusion.forward_process import flow_shift, is_flow
from tckr.models.diffusion.generator import Conditioning, Sampling
from tckr.models.diffusion.outline import can_be_quadratic, no_solver, no_spacing
from tckr.models.quiet import quiet_libraries

Predict = Callable[[torch.Tensor, torch.Tensor, Conditioning], torch.Tensor]
DIFFUSION_SOLVERS = {
    "dpm++": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "euler": EulerDiscreteScheduler,
    "lcm": LCMScheduler,
}
FLOW_SOLVERS = {
    "dpm++": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "euler": FlowMatchEulerDiscreteScheduler,
}


def build_solver(name: str, scheduler: Any) -> Any:
    """Return the scheduler of diffusers called `name` with the checkpoint's noise levels; its own scheduler for "default".

    Raises:
        UserError: there is no such solver for this kind of model.
    """
    if name == "default":
        return scheduler
    flow = is_flow(scheduler)
    solvers = FLOW_SOLVERS if flow else DIFFUSION_SOLVERS
    if name not in solvers:
        raise no_solver(name, flow)
    changes: dict[str, Any] = {"algorithm_type": "dpmsolver++"} if name == "dpm++" else {}
    if flow:
        shift = flow_shift(scheduler)
        changes |= {"shift": shift} if name == "euler" else _flow_settings(shift)
    with quiet_libraries():  # diffusers prints the settings that the new scheduler does not have
        return solvers[name].from_config(scheduler.config, **changes)


def _flow_settings(shift: float) -> dict[str, Any]:
    return {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": shift}


def space_quadratically(scheduler: Any) -> None:
    """Replace the n timesteps of a scheduler by (T - 1) (1 - i/n)^2, i = 0 .. n - 1 (Song, Meng and Ermon 2021, D.2).

    Even steps end with a large one from a noise level at which fine details are not yet visible, and smooth them.

    Raises:
        UserError: the scheduler is not one of those whose noise levels are those of its timesteps.
    """
    if not can_be_quadratic(type(scheduler).__name__, scheduler.config):
        raise no_spacing(type(scheduler).__name__)
    count, last = len(scheduler.timesteps), scheduler.config.num_train_timesteps - 1
    left = np.arange(count, 0, -1)
    times = np.maximum(np.round(last * (left / count) ** 2), left - 1).astype(np.int64)  # at least 1 apart
    variance = scheduler.alphas_cumprod.numpy()[times]
    levels = np.append(np.sqrt((1 - variance) / variance), scheduler.sigmas[-1].item())
    scheduler.timesteps = torch.from_numpy(times).to(scheduler.timesteps.dtype)
    scheduler.sigmas = torch.from_numpy(levels.astype(np.float32))


def initial_noise(shape: Sequence[int], generators: Sequence[torch.Generator], device: torch.device) -> torch.Tensor:
    """Return float32 noise [B, *shape]; row i depends only on generator i.

    It is sampled on the CPU in float32, so it is the same for every device and type of weights.
    """
    return torch.cat([torch.randn((1, *shape), generator=generator) for generator in generators]).to(device)


def sample(
    predict: Predict,
    scheduler: Any,
    prompted: Conditioning,
    unprompted: Conditioning | None,
    *,
    noise: torch.Tensor,
    generators: Sequence[torch.Generator],
    sampling: Sampling,
) -> torch.Tensor:
    """Return denoised latents [B, C, h, w], float32.

    Classifier-free guidance (Ho and Salimans 2022) evaluates both halves in one batch. Outside of the guidance interval
    (Kynkaanniemi et al. 2024) the unconditional half is not evaluated.

    Args:
        predict: the denoiser, a function of latents, times [B] and conditioning.
        scheduler: with its timesteps set, on the CPU, where its tables are read without waiting for the device.
        prompted: conditioning of the prompts.
        unprompted: conditioning of no prompt, B rows; None switches guidance off.
        noise: initial noise from `generators`.
        generators: also used by schedulers that add noise at each step.
        sampling: guidance scale and interval.
    """
    times = scheduler.timesteps
    on_device = times.to(noise.device)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # otherwise schedulers search the index, which waits for the device
    both = None if unprompted is None else {name: torch.cat([unprompted[name], rows]) for name, rows in prompted.items()}
    extra = _step_arguments(scheduler, list(generators))
    latents = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    for i, (time, device_time) in enumerate(zip(times, on_device, strict=True)):
        scaled = scheduler.scale_model_input(latents, time) if hasattr(scheduler, "scale_model_input") else latents
        if both is not None and _guided(i * sampling.steps // len(times), sampling):
            without, with_prompt = predict(torch.cat([scaled] * 2), device_time.expand(2 * len(latents)), both).chunk(2)
            prediction = without + sampling.guidance_scale * (with_prompt - without)
        else:
            prediction = predict(scaled, device_time.expand(len(latents)), prompted)
        latents = scheduler.step(prediction, time, latents, **extra, return_dict=False)[0]
    return latents


def _guided(step: int, sampling: Sampling) -> bool:
    """Return whether a step is guided; some schedulers evaluate the denoiser twice per step (PNDM once, Heun always)."""
    start, stop = sampling.guidance_interval
    return start <= step / sampling.steps < stop


def _step_arguments(scheduler: Any, generators: list[torch.Generator]) -> dict[str, Any]:
    return {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}
