"""Write the trained models into the package as float16 safetensors: `python -m pretraining.export`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from .bpe import clip_tokenizer
from .loop import best_weights
from .render import RUNS
from .train_captioner import Learner, new_processor
from .train_generator import SCHEDULE, Generator, scaling_factor, trained_autoencoder

EMBEDDED = Path(__file__).parents[1] / "src" / "tckr" / "models" / "embedded"


def whole(folder: Path) -> Path:
    """Return an empty folder beside `folder` to fill before it takes its place."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def put_in_place(partial: Path, folder: Path) -> None:
    """Make the files readable by all, replace `folder` by the filled one and print its size."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in partial.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    partial.rename(folder)
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    print(f"{folder.name}: {size / 1e6:.2f} MB")


def export_captioner(folder: Path) -> None:
    """Write captioner/ into `folder`: Blip2ForConditionalGeneration and its processor."""
    processor = new_processor()
    learner = Learner(processor)
    checkpoint = RUNS / "captioner" / "checkpoint.pt"
    if checkpoint.exists():
        learner.load_state_dict(best_weights(checkpoint))
    partial = whole(folder / "captioner")
    captioner = learner.captioner.eval()
    captioner.half().save_pretrained(partial)
    processor.save_pretrained(partial)
    _halve_everything(partial / "model.safetensors")
    put_in_place(partial, folder / "captioner")


def _halve_everything(path: Path) -> None:
    """Store as float16 also what transformers keeps in float32 (the Q-Former)."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def pipeline() -> StableDiffusionPipeline:
    """Return the pipeline of the last checkpoints, in float32."""
    tokenizer = clip_tokenizer()
    generator = Generator(tokenizer)
    checkpoint = RUNS / "generator" / "checkpoint.pt"
    if checkpoint.exists():
        generator.load_state_dict(best_weights(checkpoint))
    autoencoder = trained_autoencoder()
    autoencoder.register_to_config(scaling_factor=scaling_factor())
    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=generator.text_encoder,
        tokenizer=tokenizer,
        unet=generator.unet,
        scheduler=DPMSolverMultistepScheduler(**SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export_generator(folder: Path) -> None:
    """Write generator/ into `folder`: the StableDiffusionPipeline."""
    partial = whole(folder / "generator")
    pipeline().to(dtype=torch.float16).save_pretrained(partial)
    put_in_place(partial, folder / "generator")


def main() -> None:
    """Export one or both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="?", choices=("captioner", "generator", "both"), default="both")
    parser.add_argument("--folder", type=Path, default=EMBEDDED, help="where to write; the package by default")
    options = parser.parse_args()
    if options.which != "generator":
        export_captioner(options.folder)
    if options.which != "captioner":
        export_generator(options.folder)


if __name__ == "__main__":
    main()
