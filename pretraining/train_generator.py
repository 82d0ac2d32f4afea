"""Train the generator, a tiny Stable Diffusion: `python -m pretraining.train_generator`.

UNet and CLIP text encoder learn together on the latents of the rendered world, which are computed once. Prediction: v;
schedule: scaled linear with zero terminal signal, so that black grounds come out black.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .bpe import PROMPT_TOKENS, clip_tokenizer
from .loop import Plan, best_weights, fit, start_from
from .render import RUNS
from .train_autoencoder import LATENT_CHANNELS, latent_moments, new_autoencoder
from .vocabulary import prompt

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
TEXT_WIDTH = 128


def trained_autoencoder() -> AutoencoderKL:
    """Return the autoencoder of the last checkpoint."""
    model = new_autoencoder()
    model.load_state_dict(best_weights(RUNS / "autoencoder" / "checkpoint.pt"))
    return model.eval()


def load_latents(count: int) -> np.ndarray:
    """Return unscaled latents (count, 8, 8, 8) float16; computed on first use, with their scaling factor."""
    path = RUNS / "latents.npy"
    if not path.exists():
        images = np.load(RUNS / "images.npy", mmap_mode="r")[:count]
        latents, factor = latent_moments(trained_autoencoder(), images)
        (RUNS / "latents.json").write_text(json.dumps({"scaling_factor": factor}))
        np.save(path, latents)
    return np.load(path)


def scaling_factor() -> float:
    """Return one over the standard deviation of the latents."""
    return float(json.loads((RUNS / "latents.json").read_text())["scaling_factor"])


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return an untrained CLIP text encoder, 128 wide, 2 layers."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=384,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=PROMPT_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            projection_dim=TEXT_WIDTH,
        )
    )


def new_unet() -> UNet2DConditionModel:
    """Return an untrained UNet with cross attention at both of its resolutions, 8 x 8 and 4 x 4."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(2, 4),
        norm_num_groups=16,
        use_linear_projection=True,
    )


class Generator(nn.Module):
    """Text encoder and UNet, as Stable Diffusion joins them."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        """Build both untrained."""
        super().__init__()
        self.text_encoder = new_text_encoder(tokenizer)
        self.unet = new_unet()
        self.text_encoder.set_attn_implementation("eager")  # 1.7 times as fast as fused kernels to train on CPUs
        self.unet.set_attn_processor(AttnProcessor())
        self.schedule = DDPMScheduler(**SCHEDULE)

    def forward(self, latents: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        """Return the v-prediction loss of scaled latents (B, 8, 8, 8) and token ids (B, PROMPT_TOKENS)."""
        t = torch.randint(1000, (len(latents),))
        noise = torch.randn_like(latents)
        noisy, target = self.schedule.add_noise(latents, noise, t), self.schedule.get_velocity(latents, noise, t)
        with torch.autocast("cpu", torch.bfloat16):
            text = self.text_encoder(ids).last_hidden_state
            v = self.unet(noisy, t, text).sample
        loss = F.mse_loss(v.float(), target)
        return loss, {"v_mse": loss.item()}


def main() -> None:
    """Train on the latents of runs/images.npy and fresh prompts for runs/rows.npy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--count", type=int, default=160_000)
    parser.add_argument("--run", type=Path, default=RUNS / "generator")
    parser.add_argument("--start-from", type=Path, help="checkpoint of another run to take the weights from")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    torch.manual_seed(0)
    latents = load_latents(options.count)
    factor = scaling_factor()
    rows = np.load(RUNS / "rows.npy", mmap_mode="r")
    tokenizer = clip_tokenizer()
    model = Generator(tokenizer)
    if options.start_from:
        start_from(model, options.start_from)

    def loss(step: int, index: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        rng = np.random.default_rng((plan.seed, 9, step, int(index[0])))
        prompts = [prompt(rows[i], rng) for i in index.tolist()]
        ids = tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        x = torch.from_numpy(latents[index.numpy()].astype(np.float32)) * factor
        return model(x, ids)

    plan = Plan(
        run=options.run,
        minutes=options.minutes,
        batch_size=64,
        learning_rate=1.5e-3,
        warmup_steps=100,
        ema_decay=0.999,
        muon=True,
    )
    fit(model, loss, len(latents), plan)


if __name__ == "__main__":
    main()
