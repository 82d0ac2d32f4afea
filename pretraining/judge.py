"""Train the judge of the generator, a small convolutional classifier of rendered images: `python -m pretraining.judge`.

It reads every field of a scene. It sees rendered images only, never a generated one, and is not shipped.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .loop import Batch, Report, add_options, autocast, best_weights, fit, plan_of
from .render import RUNS
from .train_autoencoder import from_bytes, to_bytes, to_model
from .train_captioner import augment
from .vocabulary import FIELDS


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return 3 x 3 convolution, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class Judge(nn.Module):
    """Read all fields of images (B, 3, 32, 32) in -1..1; return one logits tensor per field."""

    def __init__(self) -> None:
        """Build it untrained."""
        super().__init__()
        self.body = nn.Sequential(
            convolution(3, 32),
            convolution(32, 64, 2),
            convolution(64, 64),
            convolution(64, 128, 2),
            convolution(128, 128),
            convolution(128, 192, 2),
            convolution(192, 192),
        )
        self.levels = [len(v) for v in FIELDS.values()]
        self.head = nn.Linear(192 * 16, sum(self.levels))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return logits per field."""
        return self.head(self.body(x).flatten(1)).float().split(self.levels, 1)


@torch.no_grad()
def read(judge: Judge, images: np.ndarray) -> np.ndarray:
    """Return the rows (N, 9) that the judge reads from uint8 images (N, 32, 32, 3)."""
    judge.eval()
    parts = [torch.stack([f.argmax(1) for f in judge(to_model(images[i : i + 250]))], 1) for i in range(0, len(images), 250)]
    return torch.cat(parts).numpy().astype(np.int8)


def trained_judge() -> Judge:
    """Return the judge of the last checkpoint."""
    judge = Judge()
    judge.load_state_dict(best_weights(RUNS / "judge" / "checkpoint.pt"))
    return judge.eval()


def judge_loss(judge: Judge, x: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, Report]:
    """Return the summed cross entropy of all fields of images (B, 3, 32, 32) and rows (B, 9)."""
    with autocast(x.device.type):
        logits = judge(x)
    right = torch.stack([(f.argmax(1) == rows[:, i]).float().mean() for i, f in enumerate(logits)])
    value = torch.stack([F.cross_entropy(f, rows[:, i]) for i, f in enumerate(logits)]).sum()
    return value, {"loss": value, "class": right[0], "attributes": right[1:].mean()}


def main() -> None:
    """Train on runs/images.npy and runs/rows.npy."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, batch_size=128, minutes=8, run=RUNS / "judge")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images, rows = (np.load(RUNS / f"{name}.npy", mmap_mode="r") for name in ("images", "rows"))
    judge = Judge()

    def draw(rng: np.random.Generator, count: int) -> Batch:
        index = np.sort(rng.integers(len(images), size=count))
        return to_bytes(to_model(augment(images[index], rng))), torch.from_numpy(np.array(rows[index])).long()

    plan = plan_of(options, learning_rate=3e-3, ema_decay=0.995, muon=False)
    fit(judge, lambda x, known: judge_loss(judge, from_bytes(x), known), draw, plan)


if __name__ == "__main__":
    main()
