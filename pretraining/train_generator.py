"""Train the generator, a tiny Stable Diffusion: `python -m pretraining.train_generator`.

UNet and CLIP text encoder learn together on the latents of the rendered world, photographs and pictograms. Prediction: v;
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
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .bpe import PROMPT_TOKENS, clip_tokenizer
from .loop import Batch, Report, add_options, autocast, best_weights, fit, plan_of, take_over, take_over_words
from .mixture import draw_index, split_index, to_grey
from .photos import PHOTOGRAPHS, load_photos
from .prompts import grey_caption, photo_prompt
from .render import RUNS
from .train_autoencoder import LATENT_CHANNELS, from_bytes, new_autoencoder, to_bytes, to_model
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
SHARES = [0.45, 0.42, 0.13]
"""Of the rendered world, photographs and pictograms."""
GREY = 0.12
"""Share of photographs and pictograms that are made grey, which their captions say."""


def trained_autoencoder() -> AutoencoderKL:
    """Return the autoencoder of the last checkpoint."""
    model = new_autoencoder()
    model.load_state_dict(best_weights(RUNS / "autoencoder" / "checkpoint.pt"))
    return model.eval()


@torch.no_grad()
def measure_scaling_factor(autoencoder: AutoencoderKL, examples: Examples) -> float:
    """Return one over the standard deviation of the latents of 1,000 pictures."""
    x, _ = examples.draw(np.random.default_rng(3), 1000)
    return 1 / float(autoencoder.encode(from_bytes(x)).latent_dist.mean.std())


def scaling_factor() -> float:
    """Return the factor that the generator's latents are multiplied by, as `main` chose it."""
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
        self.tokenizer = tokenizer
        self.text_encoder = new_text_encoder(tokenizer)
        self.unet = new_unet()
        self.schedule = DDPMScheduler(**SCHEDULE)

    def choose_kernels(self, device: str) -> None:
        """Take plain attention on CPUs, where it trains 1.7 times as fast as fused kernels; fused and compiled on GPUs."""
        on_cpu = device == "cpu"
        self.text_encoder.set_attn_implementation("eager" if on_cpu else "sdpa")
        self.unet.set_attn_processor(AttnProcessor() if on_cpu else AttnProcessor2_0())
        if not on_cpu:
            self.unet.compile()

    def forward(self, latents: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, Report]:
        """Return the v-prediction loss of scaled latents (B, 8, 8, 8) and token ids (B, PROMPT_TOKENS)."""
        t = torch.randint(1000, (len(latents),), device=latents.device)
        noise = torch.randn_like(latents)
        noisy, target = self.schedule.add_noise(latents, noise, t), self.schedule.get_velocity(latents, noise, t)
        with autocast(latents.device.type):
            text = self.text_encoder(ids).last_hidden_state
            v = self.unet(noisy, t, text).sample
        loss = F.mse_loss(v.float(), target)
        return loss, {"v_mse": loss}


class Examples:
    """Draw pictures of the mixture with their prompts."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        """Open what `render` and `photos` have written."""
        self.tokenizer = tokenizer
        self.images, self.rows = (np.load(RUNS / f"{name}.npy", mmap_mode="r") for name in ("images", "rows"))
        self.photos, self.names, self.captions = load_photos()

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` pictures, uint8 (B, 3, 32, 32), and token ids of prompts (B, PROMPT_TOKENS)."""
        sizes = [len(self.images), PHOTOGRAPHS, len(self.photos) - PHOTOGRAPHS]
        world, photographs, pictograms = split_index(draw_index(rng, count), sizes, SHARES)
        taken = np.concatenate([photographs, PHOTOGRAPHS + pictograms])
        grey = rng.random(len(taken)) < GREY
        prompts = [prompt(self.rows[i], rng) for i in world]
        for i, is_grey in zip(taken, grey, strict=True):
            caption = grey_caption(self.captions[i]) if is_grey else self.captions[i]
            prompts.append(photo_prompt(self.names[i], caption, rng))
        x = to_model(self.photos[taken])
        x = torch.where(torch.from_numpy(grey).view(-1, 1, 1, 1), to_grey(x), x)
        x = torch.where(torch.from_numpy(rng.random(len(taken)) < 0.5).view(-1, 1, 1, 1), x.flip(3), x)
        ids = self.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return to_bytes(torch.cat([to_model(self.images[world]), x])), ids


def start_from(model: Generator, folder: Path) -> None:
    """Start from an exported generator: all weights that fit, and the embeddings of the words that both tokenizers know."""
    take_over(model.unet, UNet2DConditionModel.from_pretrained(folder / "unet").state_dict())
    before = CLIPTextModel.from_pretrained(folder / "text_encoder")
    take_over(model.text_encoder, before.state_dict())
    table, old_table = model.text_encoder.get_input_embeddings(), before.get_input_embeddings()
    old_words = CLIPTokenizer.from_pretrained(folder / "tokenizer").get_vocab()
    take_over_words(table, model.tokenizer.get_vocab(), old_table.weight.float(), old_words)


def main() -> None:
    """Train on pictures and fresh prompts; the autoencoder of the last checkpoint encodes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, batch_size=96, minutes=50, run=RUNS / "generator")
    parser.add_argument("--start-from", type=Path, help="exported generator folder whose weights to start from")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    torch.manual_seed(0)
    autoencoder, model = trained_autoencoder(), Generator(clip_tokenizer())
    examples = Examples(model.tokenizer)
    factor = measure_scaling_factor(autoencoder, examples)
    if options.start_from:
        start_from(model, options.start_from)
        factor = AutoencoderKL.load_config(options.start_from / "vae")["scaling_factor"]
    (RUNS / "latents.json").write_text(json.dumps({"scaling_factor": factor}))
    model.choose_kernels(options.device)
    autoencoder.to(options.device)

    def loss(x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, Report]:
        with torch.no_grad(), autocast(options.device):
            latents = autoencoder.encode(from_bytes(x)).latent_dist.mean.float()
        return model(latents * factor, ids)

    plan = plan_of(options, learning_rate=options.learning_rate, ema_decay=0.995, muon=True)
    fit(model, loss, examples.draw, plan)


if __name__ == "__main__":
    main()
