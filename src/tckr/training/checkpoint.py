"""State of a training between epochs: one safetensors file, replaced whole, with the history as JSON in its header.

A second file holds the weights of the kept epoch. No random state is stored: an epoch's draws follow from (seed, epoch).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tckr.disk import write_whole
from tckr.training.progress import EpochRecord

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"

Modules = Mapping[str, nn.Module]
"""What is trained, `model`, and where there is one the `average` of its weights."""


@dataclass
class TrainingState:
    """What a training knows beside its tensors: the finished epochs and the seconds they took."""

    history: list[EpochRecord] = field(default_factory=list)
    seconds: float = 0.0


def read_state(folder: Path) -> TrainingState:
    """Return the state of the last finished epoch in `folder`; a fresh one when there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return TrainingState()
    with safe_open(path, framework="pt") as file:
        state = json.loads(file.metadata()["state"])
    return TrainingState([EpochRecord(**record) for record in state["history"]], state["seconds"])


def save_checkpoint(folder: Path, modules: Modules, optimizer: torch.optim.Optimizer, state: TrainingState) -> None:
    """Replace the checkpoint in `folder` by the present weights of `modules`, AdamW's moments and `state`."""
    tensors = {f"{part}.{name}": tensor for part, module in modules.items() for name, tensor in module.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    metadata = {"state": json.dumps(asdict(state))}
    write_whole(folder / CHECKPOINT, lambda path: save_file(_contiguous(tensors), path, metadata))


def resume(folder: Path, modules: Modules, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Bring `modules` and `optimizer` to the checkpoint in `folder`, bit for bit, if there is one; return its state."""
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
    """Write the state now and then, and with it the kept weights, which wait in memory until then.

    When it writes depends on the clock; what a training ends with does not, because a repeated epoch repeats its bits.

    Attributes:
        folder: of the two files.
        seconds_between: least time between two checkpoints.
        kept: weights that are to be kept and not yet on disk.
        written_at: time of the last checkpoint, of `time.monotonic`.
    """

    folder: Path
    seconds_between: float
    kept: dict[str, Tensor] | None = None
    written_at: float = field(default_factory=time.monotonic)

    def keep(self, model: nn.Module) -> None:
        """Take the present weights for the best so far."""
        self.kept = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def is_due(self) -> bool:
        """Return whether the last checkpoint is old enough for another."""
        return time.monotonic() - self.written_at >= self.seconds_between

    def write(self, modules: Modules, optimizer: torch.optim.Optimizer, state: TrainingState) -> None:
        """Replace the kept weights, if there are better ones, and then the checkpoint.

        After a kill between the two the kept weights are of an epoch that the checkpoint does not know; the training
        comes to it again before it ends.
        """
        if self.kept is not None:
            kept = _contiguous(self.kept)
            write_whole(self.folder / BEST, lambda path: save_file(kept, path))
            self.kept = None
        save_checkpoint(self.folder, modules, optimizer, state)
        self.written_at = time.monotonic()


def load_best(folder: Path, model: nn.Module) -> None:
    """Bring `model` to the kept weights in `folder`."""
    model.load_state_dict(load_file(folder / BEST))


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """Return `tensor` in the memory layout of `parameter`: fused AdamW walks both side by side."""
    if tensor.shape != parameter.shape:  # the step count
        return tensor
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)
