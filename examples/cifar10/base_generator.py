"""Train a Stable Diffusion of 32 px from nothing on a captioned public image set, as the base of private adapters.

    python -m examples.cifar10.base_generator --data cifar100/train.parquet --output base --size full --device cuda
    python -m examples.cifar10.base_generator --data cifar100/train.parquet --output base --limit 2000 \\
        --autoencoder-steps 50 --steps 50                                       # a trial on a CPU

The Parquet file has the columns image, label (ClassLabel) and caption. The autoencoder learns first, then denoiser and text
encoder together on its latents. Both write a checkpoint every two minutes and go on from it. The result is a
`StableDiffusionPipeline` in `save_pretrained` layout: set `adapt.model` to its folder.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from pretraining.bpe import PROMPT_TOKENS, learn_merges
from pretraining.train_generator import SCHEDULE
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tckr.data.images import decode_image

CHECKPOINT_SECONDS = 120
EMA = 0.999
FORMS = {"n: c": 0.5, "c": 0.3, "n": 0.1, "": 0.1}
"""How often each form of prompt is shown; the empty one is for guidance."""


@dataclass(frozen=True)
class Size:
    """Widths of the three networks."""

    autoencoder: tuple[int, ...]
    latent_channels: int
    unet: tuple[int, ...]
    layers: int
    text_width: int
    text_layers: int
    batch_size: int


SIZES = {
    "small": Size((32, 64, 64), 8, (64, 128), 1, 128, 2, 64),  # that of the embedded generator
    "full": Size((96, 192), 8, (160, 320, 320), 2, 384, 6, 512),
}
"""`small` halves the sides twice and suits a CPU; `full` halves them once, which keeps the detail of photographs."""


@dataclass(frozen=True)
class Captioned:
    """Images uint8 [N, 32, 32, 3], their class names and captions, N each."""

    images: np.ndarray
    names: list[str]
    captions: list[str]


def read_captioned(path: Path, limit: int | None) -> Captioned:
    """Return the first `limit` rows of a Parquet file."""
    table = pq.read_table(path, columns=["image", "label", "caption"]).slice(0, limit)
    classes = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    images = np.stack([decode_image(image["bytes"]) for image in table["image"].to_pylist()])
    return Captioned(images, [classes[label] for label in table["label"].to_pylist()], table["caption"].to_pylist())


def new_tokenizer(texts: list[str]) -> CLIPTokenizer:
    """Return a byte-level BPE tokenizer of CLIP's class, learned from `texts`; it can read any other text."""
    start = CLIPTokenizer()
    split, lower = start.backend_tokenizer.pre_tokenizer, start.backend_tokenizer.normalizer
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        for piece, _ in split.pre_tokenize_str(lower.normalize_str(text)):
            counts[(*piece[:-1], piece[-1] + "</w>")] += 1
    merges = learn_merges(counts, 2000)
    alphabet = list(bytes_to_unicode().values())
    symbols = ["<|startoftext|>", "<|endoftext|>", *alphabet, *(b + "</w>" for b in alphabet), *("".join(m) for m in merges)]
    vocabulary = {symbol: index for index, symbol in enumerate(dict.fromkeys(symbols))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=PROMPT_TOKENS)


def prompts_of(data: Captioned, rows: np.ndarray, seed: int) -> list[str]:
    """Return a prompt for each of `rows`, in a form sampled by `seed`."""
    forms = np.random.default_rng(seed).choice(list(FORMS), size=len(rows), p=list(FORMS.values()))
    texts = {"n: c": "{name}: {caption}", "c": "{caption}", "n": "{name}", "": ""}
    pairs = zip(rows, forms, strict=True)
    return [texts[form].format(name=data.names[row], caption=data.captions[row]) for row, form in pairs]


def to_model(images: np.ndarray, device: str) -> Tensor:
    """Return uint8 [B, H, W, 3] as floats [B, 3, H, W] in -1..1 on `device`."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def new_autoencoder(size: Size) -> AutoencoderKL:
    """Return an untrained autoencoder."""
    levels = len(size.autoencoder)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=size.autoencoder,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=size.latent_channels,
        sample_size=32,
        mid_block_add_attention=False,
    )


class Denoiser(nn.Module):
    """Text encoder and UNet, as Stable Diffusion joins them."""

    def __init__(self, size: Size, tokenizer: CLIPTokenizer) -> None:
        """Build both untrained."""
        super().__init__()
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=size.text_width,
                intermediate_size=3 * size.text_width,
                num_hidden_layers=size.text_layers,
                num_attention_heads=size.text_width // 64,
                max_position_embeddings=PROMPT_TOKENS,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                projection_dim=size.text_width,
            )
        )
        self.unet = UNet2DConditionModel(
            sample_size=32 // 2 ** (len(size.autoencoder) - 1),
            in_channels=size.latent_channels,
            out_channels=size.latent_channels,
            block_out_channels=size.unet,
            layers_per_block=size.layers,
            down_block_types=("CrossAttnDownBlock2D",) * len(size.unet),
            up_block_types=("CrossAttnUpBlock2D",) * len(size.unet),
            cross_attention_dim=size.text_width,
            attention_head_dim=tuple(width // 32 for width in size.unet),  # diffusers means the number of heads
            norm_num_groups=16,
            use_linear_projection=True,
        )


Loss = Callable[[Tensor, int], Tensor]
"""Loss of a batch of rows (int64 [B]) at a step."""


def train(model: nn.Module, loss: Loss, *, count: int, batch_size: int, steps: int, rate: float, path: Path) -> None:
    """Minimise `loss` by AdamW with warm-up and cosine; leave `model` with its averaged weights.

    The random numbers of a step derive from its number, so a training that continues from a checkpoint uses the same ones.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
    average = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    first = load_checkpoint(path, model, optimizer, average) if path.exists() else 0
    saved = began = time.perf_counter()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 200) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        torch.manual_seed(step)
        rows = torch.from_numpy(np.random.default_rng((1, step)).integers(count, size=batch_size))
        value = loss(rows, step)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        decay = min(EMA, (1 + step) / (10 + step))
        for name, weight in model.named_parameters():
            average[name].lerp_(weight.detach(), 1 - decay)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            pace = (step + 1 - first) * batch_size / (time.perf_counter() - began)
            print(f"{path.stem}: step {step + 1} of {steps}, loss {value.item():.4f}, {pace:,.0f} images/s", flush=True)
        if time.perf_counter() - saved > CHECKPOINT_SECONDS or step + 1 == steps:
            save_checkpoint(path, model, optimizer, average, step + 1)
            saved = time.perf_counter()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(average[name])


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor], step: int
) -> None:
    """Write weights, their average and both Adam moments, as one complete file."""
    tensors = {"step": torch.tensor(step)}
    for name, weight in model.named_parameters():
        state = optimizer.state[weight]
        tensors |= {f"weight/{name}": weight.detach(), f"average/{name}": average[name]}
        tensors |= {f"first/{name}": state["exp_avg"], f"second/{name}": state["exp_avg_sq"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path.with_suffix(".partial"))
    path.with_suffix(".partial").rename(path)


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]) -> int:
    """Restore what `save_checkpoint` wrote; return the number of finished steps."""
    tensors = load_file(path)
    step = int(tensors["step"])
    for name, weight in model.named_parameters():
        with torch.no_grad():
            weight.copy_(tensors[f"weight/{name}"])
            average[name].copy_(tensors[f"average/{name}"])
        moments = {"exp_avg": tensors[f"first/{name}"], "exp_avg_sq": tensors[f"second/{name}"]}
        optimizer.state[weight] = {
            "step": torch.tensor(float(step)),
            **{key: value.to(weight.device) for key, value in moments.items()},
        }
    return step


def train_autoencoder(size: Size, data: Captioned, options: argparse.Namespace) -> AutoencoderKL:
    """Return an autoencoder trained on absolute and squared error, edges, and a faint pull to unit normal latents."""
    model = new_autoencoder(size).to(options.device)

    def loss(rows: Tensor, step: int) -> Tensor:
        images = to_model(data.images[rows.numpy()], options.device)
        images = images.flip(-1) if step % 2 else images
        with precision(options.device):
            posterior = model.encode(images).latent_dist
            drawn = model.decode(posterior.sample()).sample
        error = drawn.float() - images
        edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        faint = posterior.kl().float().mean() / posterior.mean[0].numel()
        return error.abs().mean() + error.square().mean() + 0.5 * edges + 1e-3 * faint

    path = options.output / "checkpoints" / "autoencoder.safetensors"
    batch_size = min(128, size.batch_size)
    train(model, loss, count=len(data.images), batch_size=batch_size, steps=options.autoencoder_steps, rate=5e-4, path=path)
    return model.eval()


def train_denoiser(
    size: Size, data: Captioned, tokenizer: CLIPTokenizer, autoencoder: AutoencoderKL, options: argparse.Namespace
) -> Denoiser:
    """Return text encoder and UNet trained together to predict the velocity; sets the autoencoder's scaling factor."""
    moments = torch.stack([encode(autoencoder, data.images, flip, options.device) for flip in (False, True)])
    autoencoder.register_to_config(scaling_factor=1 / float(moments.chunk(2, dim=2)[0].float().std()))
    model, schedule = Denoiser(size, tokenizer).to(options.device), DDPMScheduler(**SCHEDULE)
    factor = autoencoder.config.scaling_factor

    def loss(rows: Tensor, step: int) -> Tensor:
        ids = tokenizer(prompts_of(data, rows.numpy(), step), padding="max_length", truncation=True, return_tensors="pt")
        mean, deviation = moments[step % 2, rows].to(options.device).float().chunk(2, dim=1)
        latents = factor * (mean + deviation * torch.randn_like(mean))
        noise, levels = torch.randn_like(latents), torch.randint(1000, (len(rows),), device=options.device)
        noisy, target = schedule.add_noise(latents, noise, levels), schedule.get_velocity(latents, noise, levels)
        with precision(options.device):
            text = model.text_encoder(ids.input_ids.to(options.device)).last_hidden_state
            found = model.unet(noisy, levels, text).sample
        return F.mse_loss(found.float(), target)

    path = options.output / "checkpoints" / "denoiser.safetensors"
    train(model, loss, count=len(data.images), batch_size=size.batch_size, steps=options.steps, rate=6e-4, path=path)
    return model.eval()


@torch.no_grad()
def encode(autoencoder: AutoencoderKL, images: np.ndarray, flip: bool, device: str) -> Tensor:
    """Return float16 [N, 2C, h, w]: means, then standard deviations of the latents."""

    def batches() -> Iterator[Tensor]:
        for start in range(0, len(images), 500):
            batch = to_model(images[start : start + 500], device)
            posterior = autoencoder.encode(batch.flip(-1) if flip else batch).latent_dist
            yield torch.cat([posterior.mean, posterior.std], dim=1).half().cpu()

    return torch.cat(list(batches()))


def precision(device: str) -> torch.autocast:
    """Return bfloat16 autocast, which is faster on recent CPUs too."""
    return torch.autocast(device.split(":")[0], torch.bfloat16)


def main() -> None:
    """Train both parts and write the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Parquet file with image, label and caption")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--autoencoder-steps", type=int, default=8_000)
    parser.add_argument("--steps", type=int, default=25_000)
    parser.add_argument("--limit", type=int, help="use the first rows only")
    options = parser.parse_args()
    if options.output.exists() and any(options.output.iterdir()) and not (options.output / "checkpoints").is_dir():
        raise SystemExit(f"{options.output} holds something else, and is left as it is; give another --output")
    size, data = SIZES[options.size], read_captioned(options.data, options.limit)
    torch.manual_seed(0)
    tokenizer = new_tokenizer([f"{name}: {caption}" for name, caption in zip(data.names, data.captions, strict=True)])
    autoencoder = train_autoencoder(size, data, options)
    denoiser = train_denoiser(size, data, tokenizer, autoencoder, options)
    StableDiffusionPipeline(
        vae=autoencoder.cpu().half(),
        text_encoder=denoiser.text_encoder.cpu().half(),
        tokenizer=tokenizer,
        unet=denoiser.unet.cpu().half(),
        scheduler=DPMSolverMultistepScheduler(**SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(options.output, safe_serialization=True)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
