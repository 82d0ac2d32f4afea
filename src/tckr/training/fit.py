"""The single training loop of classifiers. Teacher, Student and reference models differ only in data and loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tckr.data.seeds import derive_seed
from tckr.errors import UserError
from tckr.models.classifiers import Classifier, build_classifier, predict_logits
from tckr.models.precision import forward_precision
from tckr.training import checkpoint
from tckr.training.averaging import weight_average
from tckr.training.batches import Examples, TrainingData, augmented
from tckr.training.config import TrainingConfig
from tckr.training.early_stopping import EpochRecord, is_finished, kept_epoch
from tckr.training.losses import Loss
from tckr.training.prefetch import prefetched
from tckr.training.process_group import ALONE, Team
from tckr.training.schedule import learning_rate, set_learning_rate


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """The course of a training.

    Attributes:
        history: one record per epoch.
        best_epoch: number of the epoch whose weights the model has.
        seconds: time spent in epochs, over all interruptions.
        num_train: training images per epoch.
    """

    history: list[EpochRecord]
    best_epoch: int
    seconds: float
    num_train: int


def new_classifier(config: TrainingConfig, class_names: Sequence[str], seed: int) -> Classifier:
    """Return the network that `config` names, for these classes; random weights are determined by `seed`."""
    return build_classifier(
        config.model,
        len(class_names),
        class_names,
        seed,
        config.revision,
        pretrained=config.pretrained,
        image_size=config.image_size,
    )


class Task(NamedTuple):
    """A training task: model, data, loss and settings.

    Attributes:
        model: network on the training's device.
        data: images to train on; never empty.
        validation: images with hard targets for selection and patience; None only where neither needs it.
        loss: function to minimise.
        config: training settings.
        balanced: whether the accuracy on validation images is averaged over their classes.
    """

    model: Classifier
    data: Examples
    validation: TrainingData | None
    loss: Loss
    config: TrainingConfig
    balanced: bool = False


def fit(
    task: Task,
    *,
    seed: int,
    device: str,
    scratch: Path,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    checkpoint_seconds: float = 2.0,
    compiled: bool = False,
    team: Team = ALONE,
) -> FitResult:
    """Train `task.model` in place with AdamW; it ends with the weights of the selected epoch.

    A killed training continues from its last checkpoint and ends with the same bits (on one machine, with equal threads).

    Args:
        task: model, data, loss and settings.
        seed: determines all random numbers, together with the epoch number.
        device: torch device name.
        scratch: folder of the checkpoint; a checkpoint that is already there is continued.
        on_epoch: called with every epoch that is finished in this call.
        checkpoint_seconds: shortest time between checkpoints; one takes 12 ms.
        compiled: train through `torch.compile`.
        team: this process's place among the processes that share the training (`data_parallel.py`); only the first one
            writes.

    Raises:
        UserError: the loss is no longer a number.
    """
    model, data, validation, config = task.model, task.data, task.validation, task.config
    assert len(data), "no training images"
    assert validation is not None or not config.needs_validation, "nothing to select on"
    optimizer, average = _prepare(model, config, device, compiled)
    kept = average.module if average else model
    joined = team.joined(model)
    modules = {"model": model, "average": average} if average else {"model": model}
    state = checkpoint.resume(scratch, modules, optimizer)
    writer, best = checkpoint.Writer(scratch / checkpoint.CHECKPOINT, checkpoint_seconds), checkpoint.BestWeights(scratch)
    while not is_finished(state.history, config):
        started, epoch = time.perf_counter(), len(state.history)
        mean_loss, rate = train_epoch(
            task, optimizer, epoch=epoch, seed=seed, device=device, average=average, team=team, joined=joined
        )
        accuracy = None
        if validation is not None:
            accuracy = measure_accuracy(kept, validation, config.batch_size, team, balanced=task.balanced)
        state.history.append(EpochRecord(epoch=epoch, loss=mean_loss, validation_accuracy=accuracy, learning_rate=rate))
        state.seconds += time.perf_counter() - started
        if kept_epoch(state.history, config.selection) == epoch:
            best.keep(kept)
        if team.rank == 0 and (writer.is_due() or is_finished(state.history, config)):
            best.write()
            writer.write(checkpoint.state_tensors(modules, optimizer), state.as_metadata())
        on_epoch(state.history[-1])
    if team.rank == 0:
        best.load(model)
    model.eval()
    selected = kept_epoch(state.history, config.selection)
    return FitResult(history=state.history, best_epoch=selected, seconds=state.seconds, num_train=len(data))


def _prepare(
    model: Classifier, config: TrainingConfig, device: str, compiled: bool
) -> tuple[torch.optim.Optimizer, AveragedModel | None]:
    """Move `model` to its device; return the optimizer and, if configured, the model that averages the weights."""
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # halves the time on a CPU
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=config.weight_decay, fused=True)
    average = weight_average(model, config.ema_decay) if config.ema_decay else None
    if compiled:
        model.compile(options={"fallback_random": True})  # dropout uses the same random numbers as without it
    return optimizer, average


def train_epoch(
    task: Task,
    optimizer: torch.optim.Optimizer,
    *,
    epoch: int,
    seed: int,
    device: str,
    average: AveragedModel | None = None,
    team: Team = ALONE,
    joined: nn.Module | None = None,
) -> tuple[float, float]:
    """Return the mean loss and the last learning rate of one pass; all random numbers derive from (seed, epoch).

    `joined` is `team.joined(task.model)`, created once for all epochs.
    """
    model, data, loss, config = task.model, task.data, task.loss, task.config
    model.train()
    num_classes = len(model.class_names)
    steps_per_epoch = -(-len(data) // config.batch_size)
    total, rate = torch.zeros((), device=device), 0.0
    batches = augmented(
        data, config.augment, batch_size=config.batch_size, seed=seed, epoch=epoch, num_classes=num_classes, device=device
    )
    own_seed = team.own_seed(derive_seed(seed, "epoch", epoch))
    with seeded(own_seed, device), closing(prefetched(batches, device)) as ready:
        for step, (images_BCHW, targets_BK) in enumerate(ready, start=epoch * steps_per_epoch):
            rate = learning_rate(
                step, config.epochs * steps_per_epoch, peak=config.learning_rate, warmup_fraction=config.warmup_fraction
            )
            with forward_precision(bfloat16=config.precision == "bfloat16", device=device):
                batch_loss = share_of_loss(joined or model, loss, images_BCHW, targets_BK, team)
            update(optimizer, batch_loss, rate, config.gradient_clip, team)
            if average:
                average.update_parameters(model)
            total += batch_loss.detach() * len(images_BCHW)
    team.count(total)
    mean_loss = float(total) / len(data)
    if not math.isfinite(mean_loss):
        raise UserError(
            f"training diverged: the loss of epoch {epoch} is {mean_loss} at learning rate {rate:.2g}. Lower learning_rate "
            f"(now {config.learning_rate:g}) or gradient_clip (now {config.gradient_clip:g})."
        )
    return mean_loss, rate


def share_of_loss(model: nn.Module, loss: Loss, images_BCHW: Tensor, targets: Tensor, team: Team) -> Tensor:
    """Return the contribution of this process's share of a batch to the batch's mean loss."""
    share = team.share(len(images_BCHW))
    own_BCHW = images_BCHW[share]
    return loss(model(own_BCHW), targets[share], own_BCHW) * (len(own_BCHW) / len(images_BCHW))


def update(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float, gradient_clip: float, team: Team) -> None:
    """Take a step at `rate` down the gradient of `loss` added up over processes, clipped over all parameters together."""
    optimizer.zero_grad(set_to_none=True)
    (loss * team.size).backward()  # torch takes the mean over the processes
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    nn.utils.clip_grad_norm_(parameters, gradient_clip)
    set_learning_rate(optimizer, rate)
    optimizer.step()


def measure_accuracy(
    model: Classifier, data: TrainingData, batch_size: int, team: Team = ALONE, *, balanced: bool = False
) -> float:
    """Return the fraction of `data` (hard targets) whose largest logit is the target's; each process computes its share.

    With `balanced`, it is the mean of that fraction over the classes in `data`.
    """
    share, num_classes = team.share(len(data)), len(model.class_names)
    logits = predict_logits(model, data.images, rows=data.rows[share], batch_size=batch_size)
    targets = np.asarray(data.targets[share])
    right_K = np.bincount(targets[logits.argmax(axis=1) == targets], minlength=num_classes)
    total_K = torch.from_numpy(right_K).to(model.device)
    team.count(total_K)
    if not balanced:
        return int(total_K.sum()) / len(data)
    sizes_K = np.bincount(np.asarray(data.targets[:]), minlength=num_classes)
    return float((total_K.cpu().numpy() / sizes_K.clip(1))[sizes_K > 0].mean())


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch's global generators (for dropout) inside the block and restore them after it."""
    devices = [torch.device(device).index or 0] if device.startswith("cuda") else []
    deterministic = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    with torch.random.fork_rng(devices=devices), deterministic:
        torch.manual_seed(seed)
        yield
