"""Run a training loop to a deadline, with checkpoints that a second start continues from.

The loop contains no model: it gets a loss function of one batch and calls it on batches of a `Stream`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast to learn. `minutes` counts training time of all starts together."""

    run: Path
    minutes: float
    batch_size: int
    learning_rate: float
    device: str = "cpu"
    workers: int = 0
    """Processes that draw batches; 0: the training process itself."""
    warmup_steps: int = 100
    final_fraction: float = 0.02
    ema_decay: float = 0.0
    seed: int = 0
    checkpoint_seconds: float = 150
    log_steps: int = 20
    weight_decay: float = 0.01
    muon: bool = False
    """Whether hidden matrices and kernels learn with Muon; all else learns with AdamW."""


def plan_of(options: argparse.Namespace, *, learning_rate: float, ema_decay: float, muon: bool) -> Plan:
    """Return the plan of the options that `add_options` added."""
    return Plan(
        run=options.run,
        minutes=options.minutes,
        batch_size=options.batch_size,
        device=options.device,
        workers=options.workers,
        learning_rate=learning_rate,
        ema_decay=ema_decay,
        muon=muon,
    )


@dataclass
class Progress:
    """What a checkpoint holds besides weights and optimizer state."""

    step: int = 0
    seconds: float = 0.0
    images: int = 0


Batch = tuple[torch.Tensor, ...]
Report = dict[str, torch.Tensor]
Loss = Callable[..., tuple[torch.Tensor, Report]]
"""Maps the tensors of one batch, on the device, to the loss and what is logged."""
Draw = Callable[[np.random.Generator, int], Batch]
"""Generates a batch of the given number of examples."""


class Stream(IterableDataset[Batch]):
    """Endless batches; each worker process generates its own."""

    def __init__(self, draw: Draw, batch_size: int, seed: tuple[int, ...]) -> None:
        """Remember how to draw."""
        self.draw, self.batch_size, self.seed = draw, batch_size, seed

    def __iter__(self) -> Iterator[Batch]:
        """Draw from the seed and the number of the worker."""
        worker = get_worker_info()
        if worker:
            torch.set_num_threads(1)
        rng = np.random.default_rng((*self.seed, worker.id if worker else 0))
        while True:
            yield self.draw(rng, self.batch_size)


def add_options(parser: argparse.ArgumentParser, *, batch_size: int, minutes: float, run: Path) -> None:
    """Add the options that every training has."""
    parser.add_argument("--minutes", type=float, default=minutes, help="training time of all starts together")
    parser.add_argument("--run", type=Path, default=run, help="folder of the checkpoint")
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw batches")


def learning_rate_at(plan: Plan, progress: Progress) -> float:
    """Return the rate after warm-up and a cosine over the time budget, down to `final_fraction`."""
    done = min(1.0, progress.seconds / (60 * plan.minutes))
    cosine = plan.final_fraction + (1 - plan.final_fraction) * 0.5 * (1 + math.cos(math.pi * done))
    return plan.learning_rate * min(1.0, (progress.step + 1) / plan.warmup_steps) * cosine


@cache
def faster_type() -> torch.dtype:
    """Return float32 or bfloat16, whichever multiplies matrices faster here; processors with AVX-512 differ in it."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.ones(2048, 576, dtype=dtype), torch.ones(576, 128, dtype=dtype)
        a @ b
        start = time.process_time()
        for _ in range(10):
            a @ b
        seconds[dtype] = time.process_time() - start
    return min(seconds, key=lambda dtype: seconds[dtype])


def autocast(device: str = "cpu") -> torch.autocast:
    """Return the context of a forward pass: bfloat16 on a GPU, and on a CPU where that is faster."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu" or faster_type() == torch.bfloat16)


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """Return nearly the nearest orthogonal matrices to (N, R, C), by five Newton-Schulz steps (Jordan et al. 2024)."""
    x = matrices.to(faster_type() if matrices.device.type == "cpu" else torch.bfloat16)
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x if wide else x.mT).float()


class Muon(torch.optim.Optimizer):
    """Descend along orthogonalised momentum; kernels count as matrices of (outputs, inputs x height x width).

    Steps are scaled to the root mean square of AdamW's, so that both share a learning rate.
    """

    def __init__(self, parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        """Take over matrices and kernels."""
        super().__init__(parameters, {"lr": learning_rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every parameter from its gradient; those of one shape together."""
        for group in self.param_groups:
            alike = defaultdict(list)
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                momentum.lerp_(p.grad, 0.05)
                alike[p.shape].append(p)
            for same in alike.values():
                pushes = [p.grad.lerp(self.state[p]["momentum_buffer"], 0.95).flatten(1) for p in same]
                updates = orthogonalised(torch.stack(pushes))
                rate = -group["lr"] * 0.2 * math.sqrt(max(updates.shape[1:]))
                torch._foreach_mul_(same, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(same, [u.view_as(p) for u, p in zip(updates, same, strict=True)], alpha=rate)


def make_optimizers(model: nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """Return Muon for hidden matrices and kernels, AdamW for embeddings, heads and vectors."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    outer = ("embed", "from_", "conv_in", "conv_out", "query_tokens", "head.")
    hidden = [p for n, p in named if plan.muon and p.ndim > 1 and not any(o in n for o in outer)]
    taken = {id(p) for p in hidden}
    matrices = [p for _, p in named if p.ndim > 1 and id(p) not in taken]
    vectors = [p for _, p in named if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.99))
    return [adam, Muon(hidden, plan.learning_rate, plan.weight_decay)] if hidden else [adam]


def take_over(model: nn.Module, other: dict[str, torch.Tensor]) -> None:
    """Copy every tensor whose name and shape match; the rest keeps its random values."""
    own = model.state_dict()
    fitting = {name: value.float() for name, value in other.items() if name in own and value.shape == own[name].shape}
    assert fitting, "no tensor fits"
    model.load_state_dict(own | fitting)


def take_over_words(table: nn.Embedding, words: dict[str, int], before: torch.Tensor, old_words: dict[str, int]) -> None:
    """Copy the embeddings (old words, width) of the words that both vocabularies have; draw the others of equal size."""
    with torch.no_grad():
        table.weight.normal_(std=float(before.std()))
        for word, i in words.items():
            if word in old_words:
                table.weight[i] = before[old_words[word]]


class Ema:
    """Keep a moving average of the weights; the average is short while training is young."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start from the weights of `model`."""
        self.decay = decay
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the weights of `model`."""
        rate = 1 - min(self.decay, (1 + step) / (10 + step))
        state = model.state_dict()
        names = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.weights[n] for n in names], [state[n] for n in names], rate)
        for name in state.keys() - set(names):
            self.weights[name].copy_(state[name])


def save(path: Path, model: nn.Module, optimizers: list[torch.optim.Optimizer], ema: Ema | None, progress: Progress) -> None:
    """Write a checkpoint completely or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizers": [o.state_dict() for o in optimizers],
        "progress": vars(progress),
        "ema": ema.weights if ema else {},
    }
    torch.save(state, path.with_suffix(".partial"))
    path.with_suffix(".partial").rename(path)


def resume(path: Path, model: nn.Module, optimizers: list[torch.optim.Optimizer], ema: Ema | None) -> Progress:
    """Load the checkpoint if there is one and return how far it is."""
    if not path.exists():
        return Progress()
    state = torch.load(path, weights_only=True, map_location=next(model.parameters()).device)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    if ema:
        ema.weights = state["ema"]
    return Progress(**state["progress"])


def best_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the averaged weights of a checkpoint, or the plain ones where none are kept."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    return state["ema"] or state["model"]


def average_over_processes(model: nn.Module, seconds: float) -> float:
    """Average gradients, and the clock that ends the run, over the processes of torchrun; alone, change nothing."""
    if not dist.is_initialized():
        return seconds
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([seconds])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
    return float(flat[-1])


def batches(draw: Draw, plan: Plan, seed: tuple[int, ...]) -> Iterator[Batch]:
    """Yield batches without end, on the plan's device."""
    stream = Stream(draw, plan.batch_size, seed)
    pin = plan.device != "cpu"
    for batch in DataLoader(stream, batch_size=None, num_workers=plan.workers, pin_memory=pin):
        yield tuple(tensor.to(plan.device, non_blocking=True) for tensor in batch)


def fit(model: nn.Module, loss: Loss, draw: Draw, plan: Plan) -> Progress:
    """Train until the plan's minutes are used; log every `log_steps` steps."""
    plan.run.mkdir(parents=True, exist_ok=True)
    path = plan.run / "checkpoint.pt"
    model.to(plan.device)
    optimizers = make_optimizers(model, plan)
    ema = Ema(model, plan.ema_decay) if plan.ema_decay else None
    progress = resume(path, model, optimizers, ema)
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.manual_seed(plan.seed + 2 * progress.step + rank)
    stream = batches(draw, plan, (plan.seed, progress.step, rank))
    first = next(stream)
    loss(*first)[0].backward()  # compilation, if any, is not counted
    last, saved = time.time(), time.time()
    while progress.seconds < 60 * plan.minutes:
        for group in [g for o in optimizers for g in o.param_groups]:
            group["lr"] = learning_rate_at(plan, progress)
        model.zero_grad(set_to_none=True)
        value, parts = loss(*next(stream))
        value.backward()
        seconds = average_over_processes(model, progress.seconds + time.time() - last)
        last = time.time()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if ema:
            ema.update(model, progress.step)
        progress = Progress(progress.step + 1, seconds, progress.images + processes * plan.batch_size)
        if progress.step % plan.log_steps == 0 and rank == 0:
            log(progress, parts)
        if time.time() - saved > plan.checkpoint_seconds and rank == 0:
            save(path, model, optimizers, ema, progress)
            saved = time.time()
    if rank == 0:
        save(path, model, optimizers, ema, progress)
    return progress


def log(progress: Progress, parts: Report) -> None:
    """Print how far the training is."""
    report = " ".join(f"{name} {float(value):.4f}" for name, value in parts.items())
    print(f"step {progress.step} {progress.seconds:.0f} s {progress.images} images {report}", flush=True)
