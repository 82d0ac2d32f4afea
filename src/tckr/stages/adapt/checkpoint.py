"""State of an adapter's training between steps.

No random state is stored: a step's draws follow from (seed, step).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel

from tckr.stages.adapt.vector import AdapterVector
from tckr.training.checkpoint import Writer

ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")
LEAST_SECONDS, LARGEST_SHARE = 10.0, 0.05
"""A kill loses this many seconds; more where writing would take more than this share of the time."""


def writer_of(path: Path) -> Writer:
    """Return what writes the checkpoint at `path` now and then."""
    return Writer(path, LEAST_SECONDS, LARGEST_SHARE)


def state_tensors(
    adapter: AdapterVector, optimizer: torch.optim.AdamW, losses: torch.Tensor, average: AveragedModel | None = None
) -> dict[str, torch.Tensor]:
    """Return weights, their average if there is one, both Adam moments and the losses of all finished steps."""
    state = optimizer.state[adapter.whole]
    averaged = {} if average is None else {"average": average.module[0].detach()}
    return {"losses": losses, "weights": adapter.whole.detach()} | averaged | {name: state[name] for name in ADAM_MOMENTS}


def load_checkpoint(
    path: Path, adapter: AdapterVector, optimizer: torch.optim.AdamW, average: AveragedModel | None = None
) -> torch.Tensor:
    """Restore weights, average and optimizer; return the losses of all finished steps, none where there is no checkpoint."""
    if not path.exists():
        return torch.zeros(0)
    tensors = load_file(path)
    with torch.no_grad():
        adapter.whole.copy_(tensors["weights"])
        if average is not None:
            average.module[0].copy_(tensors["average"])
            average.n_averaged.fill_(1 + len(tensors["losses"]))
    steps = torch.tensor(float(len(tensors["losses"])))
    state = {"step": steps.to(adapter.whole.device) if optimizer.defaults["fused"] else steps}
    optimizer.state[adapter.whole] = state | {name: tensors[name].to(adapter.whole.device) for name in ADAM_MOMENTS}
    return tensors["losses"]
