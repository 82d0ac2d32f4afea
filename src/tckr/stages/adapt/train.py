"""Train the adapter on an encoded set; stopped at any moment, it goes on from its checkpoint to the same result."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tckr.data.seeds import derive_seed
from tckr.data.shards import write_whole
from tckr.models.diffusion.generator import Conditioning, Generator
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.draws import Draws, draw_step
from tckr.stages.adapt.encode import EncodedSet

CHECKPOINT_STEPS = 100  # steps that a kill may lose
HISTORY_POINTS = 50
ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")
Parameters = dict[str, torch.nn.Parameter]


def train_adapter(
    generator: Generator,
    encoded: EncodedSet,
    config: AdaptConfig,
    *,
    num_steps: int,
    seed: int,
    device: str,
    checkpoint: Path,
    advance: Callable[[int], None] = lambda amount: None,
) -> np.ndarray:
    """Insert an adapter into `generator`, train it for `num_steps`, and return the loss of every step, float32 [num_steps].

    The denoiser runs in bfloat16 on CUDA (the paper: float16, whose loss scale would be one more state to resume).
    """
    parameters = generator.add_lora(config.rank, derive_seed(seed, "adapt", "lora"))
    optimizer = torch.optim.AdamW(parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay)
    losses = load_checkpoint(checkpoint, parameters, optimizer) if checkpoint.exists() else []
    advance(len(losses))
    for step in range(len(losses), num_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(config.schedule, step, num_steps)
        draws = draw_step(
            seed,
            step,
            num_images=len(encoded.prompt_of),
            num_drawn=config.batch_size * config.gradient_accumulation,
            latent_shape=encoded.latent_shape,
            num_timesteps=generator.num_timesteps,
            flip=len(encoded.moments) == 2,
            caption_dropout=config.caption_dropout,
        )
        losses.append(accumulate_gradients(generator, encoded, draws, config.batch_size, device))
        torch.nn.utils.clip_grad_norm_(parameters.values(), config.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        advance(1)
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == num_steps:
            save_checkpoint(checkpoint, parameters, optimizer, losses)
    return np.array(losses, dtype=np.float32)


def accumulate_gradients(generator: Generator, encoded: EncodedSet, draws: Draws, batch_size: int, device: str) -> float:
    """Add the gradient of the mean loss over all images drawn, `batch_size` at a time; return that loss."""
    num_drawn = len(draws.rows)
    total = 0.0
    for start in range(0, num_drawn, batch_size):
        tensors = training_tensors(encoded, draws.slice(start, start + batch_size), device)
        with _mixed_precision(device):
            loss = generator.training_loss(*tensors).sum() / num_drawn
        loss.backward()
        total += loss.item()
    return total


def training_tensors(
    encoded: EncodedSet, draws: Draws, device: str
) -> tuple[torch.Tensor, Conditioning, torch.Tensor, torch.Tensor]:
    """Return latents [B, C, h, w], conditioning, noise [B, C, h, w] and timesteps [B] on `device`."""
    moments = torch.from_numpy(encoded.moments[draws.mirrored.astype(int), draws.rows]).float()
    mean, deviation = moments.chunk(2, dim=1)
    last = next(iter(encoded.conditioning.values())).shape[0] - 1
    prompts = np.where(draws.unprompted, last, encoded.prompt_of[draws.rows])
    conditioning = {name: torch.from_numpy(rows[prompts]).float().to(device) for name, rows in encoded.conditioning.items()}
    latents = (mean + deviation * draws.posterior_noise).to(device)
    return latents, conditioning, draws.noise.to(device), draws.timesteps.to(device)


def learning_rate_factor(schedule: str, step: int, num_steps: int) -> float:
    """Return what the learning rate is multiplied with at `step`: 1, or half a cosine from 1 towards 0."""
    return 1.0 if schedule == "constant" else 0.5 * (1 + math.cos(math.pi * step / num_steps))


def save_checkpoint(path: Path, parameters: Parameters, optimizer: torch.optim.AdamW, losses: list[float]) -> None:
    """Write weights, both Adam moments and the losses of all finished steps to one safetensors file."""
    tensors = {"losses": torch.tensor(losses, dtype=torch.float64)}
    for name, parameter in parameters.items():
        tensors[f"weight/{name}"] = parameter.detach()
        tensors |= {f"{key}/{name}": optimizer.state[parameter][key] for key in ADAM_MOMENTS}
    write_whole(path, lambda partial: save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial))


def load_checkpoint(path: Path, parameters: Parameters, optimizer: torch.optim.AdamW) -> list[float]:
    """Restore weights and optimizer; return the losses of all finished steps."""
    tensors = load_file(path)
    losses: list[float] = tensors["losses"].tolist()
    for name, parameter in parameters.items():
        with torch.no_grad():
            parameter.copy_(tensors[f"weight/{name}"])
        moments = {key: tensors[f"{key}/{name}"].to(parameter.device) for key in ADAM_MOMENTS}
        optimizer.state[parameter] = {"step": torch.tensor(float(len(losses))), **moments}
    return losses


def loss_history(losses: np.ndarray) -> list[dict[str, float]]:
    """Return about 50 points: the mean loss over the steps since the last point, and the step that ends them."""
    width = max(1, math.ceil(len(losses) / HISTORY_POINTS))
    starts = range(0, len(losses), width)
    return [
        {"step": min(start + width, len(losses)), "loss": float(losses[start : start + width].mean())} for start in starts
    ]


def _mixed_precision(device: str) -> contextlib.AbstractContextManager[object]:
    return torch.autocast("cuda", torch.bfloat16) if device.startswith("cuda") else contextlib.nullcontext()
