"""State of a training between steps: one safetensors file, replaced whole.

No random state is stored: a step's draws follow from (seed, step).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tckr.disk import write_whole
from tckr.stages.adapt.vector import AdapterVector

ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")
LEAST_SECONDS, LARGEST_SHARE = 10.0, 0.05
"""A kill loses this many seconds; more where writing would take more than this share of the time."""


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

    def write(self, adapter: AdapterVector, optimizer: torch.optim.AdamW, losses: torch.Tensor) -> None:
        """Replace the checkpoint by the present state."""
        started = time.monotonic()
        save_checkpoint(self.path, adapter, optimizer, losses)
        self.written_at = time.monotonic()
        self.seconds = self.written_at - started


def save_checkpoint(path: Path, adapter: AdapterVector, optimizer: torch.optim.AdamW, losses: torch.Tensor) -> None:
    """Write weights, both Adam moments and the losses of all finished steps."""
    state = optimizer.state[adapter.whole]
    tensors = {"losses": losses, "weights": adapter.whole.detach()} | {name: state[name] for name in ADAM_MOMENTS}
    write_whole(path, lambda partial: save_file(tensors, partial))


def load_checkpoint(path: Path, adapter: AdapterVector, optimizer: torch.optim.AdamW) -> torch.Tensor:
    """Restore weights and optimizer; return the losses of all finished steps, none where there is no checkpoint."""
    if not path.exists():
        return torch.zeros(0)
    tensors = load_file(path)
    with torch.no_grad():
        adapter.whole.copy_(tensors["weights"])
    steps = torch.tensor(float(len(tensors["losses"])))
    state = {"step": steps.to(adapter.whole.device) if optimizer.defaults["fused"] else steps}
    optimizer.state[adapter.whole] = state | {name: tensors[name].to(adapter.whole.device) for name in ADAM_MOMENTS}
    return tensors["losses"]
