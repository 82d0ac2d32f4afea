"""LoRA training as diffusers' train_text_to_image_lora.py does it for Stable Diffusion 1 and 2: the published way.

At every step each image is read from its file and transformed; image and prompt are encoded again; the effective batch is
accumulated from passes of `per_pass` images. Left out are logging, validation images and the progress bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset


def crops(size: int, count: int) -> np.ndarray:
    """Return uint8 [count, size, size, 3], random crops."""
    random, photographs = np.random.default_rng(0), load_sample_images().images
    found = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        top, left = (random.integers(0, side - size + 1) for side in photograph.shape[:2])
        found.append(photograph[top : top + size, left : left + size])
    return np.stack(found)


class ImageFiles(Dataset[dict[str, torch.Tensor]]):
    """Images and their tokenized prompts; prompts are tokenized once, as the script does."""

    def __init__(self, files: Sequence[Path], prompts: Sequence[str], tokenizer: Any, size: int, flip: bool) -> None:
        self.files, self.size, self.flip = files, size, flip
        length = tokenizer.model_max_length
        tokens = tokenizer(list(prompts), max_length=length, padding="max_length", truncation=True, return_tensors="pt")
        self.ids = tokens.input_ids

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        """Return pixels [3, H, W] in [-1, 1] and token ids [L]."""
        with Image.open(self.files[row]) as image:
            resized = image.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR)
        if self.flip and torch.rand(()) < 0.5:
            resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
        return {"pixels": pixels * 2 - 1, "ids": self.ids[row]}


@dataclass(frozen=True)
class Noise:
    """Random numbers of one pass that the check makes equal on both sides."""

    posterior: torch.Tensor
    added: torch.Tensor
    timesteps: torch.Tensor


class PlainTraining:
    """The state of one training: a new adapter, its optimizer, endless shuffled passes over the files."""

    def __init__(self, pipeline: Any, dataset: ImageFiles, *, rank: int, images: int, per_pass: int, device: str) -> None:
        self.pipeline, self.dataset, self.device = pipeline, dataset, device
        self.passes, self.per_pass = images // per_pass, per_pass
        self.process = DDPMScheduler.from_config(pipeline.scheduler.config)
        targets = ["to_k", "to_q", "to_v", "to_out.0"]
        lora = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=targets)
        pipeline.unet.add_adapter(lora)
        cast_training_params(pipeline.unet, dtype=torch.float32)
        self.parameters = [parameter for parameter in pipeline.unet.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4, weight_decay=1e-2)
        self.batches = self._endless()

    def step(self) -> None:
        """Make one optimizer step."""
        for _ in range(self.passes):
            (self.loss(next(self.batches)) / self.passes).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def loss(self, batch: dict[str, torch.Tensor], noise: Noise | None = None) -> torch.Tensor:
        """Return the mean squared error of one pass."""
        vae, unet, dtype = self.pipeline.vae, self.pipeline.unet, self.pipeline.unet.dtype
        posterior = vae.encode(batch["pixels"].to(self.device, dtype)).latent_dist
        sample = posterior.sample() if noise is None else posterior.mean + posterior.std * noise.posterior
        latents = sample * vae.config.scaling_factor
        added = torch.randn_like(latents) if noise is None else noise.added
        levels = self.process.config.num_train_timesteps
        timesteps = torch.randint(0, levels, (len(latents),), device=self.device) if noise is None else noise.timesteps
        embeddings = self.pipeline.text_encoder(batch["ids"].to(self.device), return_dict=False)[0]
        noisy, target = self.process.add_noise(latents, added, timesteps), added
        if self.process.config.prediction_type == "v_prediction":
            target = self.process.get_velocity(latents, added, timesteps)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=dtype == torch.bfloat16):
            predicted = unet(noisy, timesteps, embeddings, return_dict=False)[0]
        return mse_loss(predicted.float(), target.float(), reduction="mean")

    def _endless(self) -> Iterator[dict[str, torch.Tensor]]:
        loader = DataLoader(self.dataset, shuffle=True, batch_size=self.per_pass, drop_last=True)
        while True:
            yield from loader
