"""State of a training: one safetensors file, replaced atomically; between epochs its header contains the history.

A second file contains the weights of the best epoch. No random state is stored, because it depends on (seed, epoch).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tckr.disk import write_whole
from tckr.training.early_stopping import EpochRecord

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"

Modules = Mapping[str, nn.Module]
"""The trained `model`, and the `average` of its weights if there is one."""


@dataclass
class TrainingState:
    """State of a training besides its tensors: the finished epochs and their seconds."""

    history: list[EpochRecord] = field(default_factory=list)
    seconds: float = 0.0

    def as_metadata(self) -> dict[str, str]:
        """Return the state as the header of a checkpoint."""
        return {"state": json.dumps(asdict(self))}


def read_state(folder: Path) -> TrainingState:
    """Return the state of the last finished epoch in `folder`; a new one if there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return TrainingState()
    with safe_open(path, framework="pt") as file:
        state = json.loads(file.metadata()["state"])
    return TrainingState([EpochRecord(**record) for record in state["history"]], state["seconds"])


def state_tensors(modules: Modules, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the present weights of `modules` and AdamW's moments."""
    tensors = {f"{part}.{name}": tensor for part, module in modules.items() for name, tensor in module.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    return tensors


def resume(folder: Path, modules: Modules, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Restore `modules` and `optimizer` from the checkpoint in `folder`, bit for bit, if there is one; return its state."""
    state = read_state(folder)
    if not state.history:
        return state
    tensors = load_file(folder / CHECKPOINT)
    for part, module in modules.items():
        prefix = f"{part}."
        module.load_state_dict({name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)})
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, kind = name.split(".")
            moments.setdefault(int(index), {})[kind] = _like(parameters[int(index)], tensor)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


@dataclass
class Writer:
    """Replace a checkpoint at intervals.

    The clock decides when it writes, but does not affect the result, because repeated steps give the same bits.

    Attributes:
        path: file of the checkpoint.
        least_seconds: minimum time between two checkpoints, which a kill may lose.
        largest_share: maximum share of the time for writing; if writing is slow, checkpoints are rarer.
        written_at: time of the last complete one, by `time.monotonic`.
        seconds: time of its writing.
    """

    path: Path
    least_seconds: float
    largest_share: float = math.inf
    written_at: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def is_due(self) -> bool:
        """Return whether the last checkpoint is old enough for another."""
        return time.monotonic() - self.written_at >= max(self.least_seconds, self.seconds / self.largest_share)

    def write(self, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
        """Replace the checkpoint."""
        started = time.monotonic()
        _save(self.path, tensors, metadata)
        self.written_at = time.monotonic()
        self.seconds = self.written_at - started


@dataclass
class BestWeights:
    """The weights of the best epoch so far, kept in memory until the next checkpoint.

    They are written just before it. After a kill between the two, they belong to an epoch after the checkpoint; the
    training then repeats this epoch.
    """

    folder: Path
    waiting: dict[str, Tensor] | None = None

    def keep(self, model: nn.Module) -> None:
        """Store the present weights as the best ones."""
        self.waiting = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def write(self) -> None:
        """Replace the file if there are better weights."""
        if self.waiting is not None:
            _save(self.folder / BEST, self.waiting)
            self.waiting = None

    def load(self, model: nn.Module) -> None:
        """Set `model` to the weights in the file."""
        model.load_state_dict(load_file(self.folder / BEST))


def _save(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, lambda partial: save_file(whole, partial, metadata))


def _like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """Return `tensor` in the memory layout of `parameter`, because fused AdamW reads both in parallel."""
    if tensor.shape != parameter.shape:  # the step count
        return tensor
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)
