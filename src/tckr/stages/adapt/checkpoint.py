"""State of an adapter's training between steps.

No random state is stored, because a step's random choices depend on (seed, step).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from tckr.stages.adapt.kept import Kept
from tckr.stages.adapt.vector import AdapterVector
from tckr.training.checkpoint import Writer

ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")
LEAST_SECONDS, LARGEST_SHARE = 10.0, 0.05
"""A kill loses this many seconds; more if writing would take more than this share of the time."""


def writer_of(path: Path) -> Writer:
    """Return the object that writes the checkpoint at `path` at intervals."""
    return Writer(path, LEAST_SECONDS, LARGEST_SHARE)


def state_tensors(
    adapter: AdapterVector, optimizer: torch.optim.AdamW, losses: torch.Tensor, kept: Kept
) -> dict[str, torch.Tensor]:
    """Return weights, both Adam moments, the losses of all finished steps, and the averaged or best weights."""
    state = optimizer.state[adapter.joined]
    moments = {name: state[name] for name in ADAM_MOMENTS}
    return {"losses": losses, "weights": adapter.joined.detach()} | moments | kept.state()


def load_checkpoint(path: Path, adapter: AdapterVector, optimizer: torch.optim.AdamW, kept: Kept) -> torch.Tensor:
    """Restore weights and optimizer; return the losses of all finished steps, empty without a checkpoint."""
    if not path.exists():
        return torch.zeros(0)
    tensors = load_file(path)
    adapter.set(tensors["weights"])
    kept.restore(tensors)
    steps = torch.tensor(float(len(tensors["losses"])))
    state = {"step": steps.to(adapter.joined.device) if optimizer.defaults["fused"] else steps}
    optimizer.state[adapter.joined] = state | {name: tensors[name].to(adapter.joined.device) for name in ADAM_MOMENTS}
    return tensors["losses"]
