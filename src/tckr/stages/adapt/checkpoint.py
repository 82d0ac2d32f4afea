"""State of a training between steps: one safetensors file, replaced whole.

No random state is stored: a step's draws follow from (seed, step).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tckr.data.shards import write_whole

ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")
LEAST_SECONDS, LARGEST_SHARE = 10.0, 0.05
"""A kill loses this many seconds; more where writing would take more than this share of the time."""

Parameters = dict[str, torch.nn.Parameter]


@dataclass
class Writer:
    """Write the state now and then. When it writes depends on the clock; what a training ends with does not.

    Attributes:
        path: of the checkpoint.
        written_at: when the last one was whole, of `time.monotonic`.
        seconds: that it took.
    """

    path: Path
    written_at: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def is_due(self) -> bool:
        """Return whether the last checkpoint is old enough for another."""
        return time.monotonic() - self.written_at >= max(LEAST_SECONDS, self.seconds / LARGEST_SHARE)

    def write(self, parameters: Parameters, optimizer: torch.optim.AdamW, losses: torch.Tensor) -> None:
        """Replace the checkpoint by the present state."""
        started = time.monotonic()
        save_checkpoint(self.path, parameters, optimizer, losses)
        self.written_at = time.monotonic()
        self.seconds = self.written_at - started


def save_checkpoint(path: Path, parameters: Parameters, optimizer: torch.optim.AdamW, losses: torch.Tensor) -> None:
    """Write weights, both Adam moments and the losses of all finished steps."""
    tensors = {"losses": losses}
    for name, parameter in parameters.items():
        tensors[f"weight/{name}"] = parameter.detach()
        tensors |= {f"{key}/{name}": optimizer.state[parameter][key] for key in ADAM_MOMENTS}
    write_whole(path, lambda partial: save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial))


def load_checkpoint(path: Path, parameters: Parameters, optimizer: torch.optim.AdamW) -> torch.Tensor:
    """Restore weights and optimizer; return the losses of all finished steps, none where there is no checkpoint."""
    if not path.exists():
        return torch.zeros(0)
    tensors = load_file(path)
    steps = torch.tensor(float(len(tensors["losses"])))
    for name, parameter in parameters.items():
        with torch.no_grad():
            parameter.copy_(tensors[f"weight/{name}"])
        moments = {key: tensors[f"{key}/{name}"].to(parameter.device) for key in ADAM_MOMENTS}
        counted = steps.to(parameter.device) if optimizer.defaults["fused"] else steps
        optimizer.state[parameter] = {"step": counted.clone(), **moments}
    return tensors["losses"]
