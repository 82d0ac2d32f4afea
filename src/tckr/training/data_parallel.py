"""Train one classifier on several GPUs. Every process makes the same task from files and calls the same training loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tckr.process import Gang
from tckr.training.batches import smallest_batch
from tckr.training.early_stopping import EpochRecord
from tckr.training.fit import FitResult, Task, fit
from tckr.training.process_group import Team, Tell, team_size, train_together

ONE_PROCESS = (
    "execution.gpus: one process trains this network, because torch computes its batch normalisation over processes only on "
    "GPUs, and not in layers that a library defines itself"
)


def fit_together(
    task: Task,
    make_task: Callable[[str], Task],
    *,
    gpus: int,
    seed: int,
    device: str,
    scratch: Path,
    log: Callable[..., None],
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    compiled: bool = False,
    gang: Gang | None = None,
) -> FitResult:
    """Train `task.model` in place, as `fit` does, on several GPUs, with one process for each.

    Args:
        task: the result of `make_task` in this process, so that the others find the files that it writes.
        make_task: picklable; given a torch device name, returns the same task in another process.
        gpus: fewer are used if a step has fewer images; one is used, with a warning, if the network's batch normalisation
        cannot cover the complete batch. Layers such as dropout use other random numbers for the shares of other processes.
        seed: as for `fit`.
        device: torch device name; on a CPU, `gpus` is the number of processes.
        scratch: folder of the checkpoint.
        log: called with an event and facts about it: the number of processes, and the warning.
        on_epoch: as for `fit`.
        compiled: as for `fit`.
        gang: as for `train_together`.

    Raises:
        UserError: there are fewer GPUs, the processes died again and again, or the loss is no longer a number.
    """
    size = team_size(gpus, smallest_batch(len(task.data), task.config.batch_size), device, gang)
    if size > 1 and not can_share_statistics(task.model, device):
        log("warning", message=ONE_PROCESS)
        size = 1
    if size > 1:
        share_statistics(task.model)
    if gpus > 1:
        log("training", processes=size)
    fit_task = partial(fit, seed=seed, scratch=scratch, compiled=compiled)
    if size > 1:
        fit_share = partial(_fit_share, make_task=make_task, fit_task=fit_task, device=device)
        train_together(size, fit_share, device, on_epoch, gang=gang)
        on_epoch = _ignore  # the first process has reported the epochs
    return fit_task(task, device=device, on_epoch=on_epoch)  # after the other processes: reads their final checkpoint


def _fit_share(
    team: Team, tell: Tell, *, make_task: Callable[[str], Task], fit_task: Callable[..., FitResult], device: str
) -> None:
    own = team.device(device)
    task = make_task(own)
    share_statistics(task.model)
    fit_task(task, device=own, on_epoch=tell, team=team)


def _ignore(record: EpochRecord) -> None:
    """Do nothing."""


def can_share_statistics(model: nn.Module, device: str) -> bool:
    """Return whether batch normalisation, if there is any, can cover the complete batch over several processes.

    torch supports this only on GPUs and for its own layers. It would drop what a subclass adds.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    plain = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return not layers or (device.startswith("cuda") and all(type(layer) in plain for layer in layers))


def share_statistics(model: nn.Module) -> None:
    """Let all batch normalisation layers of `model` compute mean and variance over the shares of all processes."""
    nn.SyncBatchNorm.convert_sync_batchnorm(model)  # in place: the model itself is not such a layer
