"""Measure the shipped float16 checkpoints: `python -m pretraining.evaluate`.

Captioner: fresh scenes, and fresh scenes in fonts and handwriting that training never used. Generator: images requested
by full prompts, read by a classifier trained on rendered images or by another captioner. All is loaded as TCKR does, by
plain from_pretrained.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from transformers import AutoProcessor, Blip2ForConditionalGeneration

from . import world
from .export import EMBEDDED
from .judge import read, trained_judge
from .render import load_bank
from .vocabulary import FIELD_NAMES, FIELDS, SUBJECTS, caption, class_names, parse, words

HERE = Path(__file__).parent
HELD_OUT_SEED = 2_000_000


def wilson(right: int, n: int) -> str:
    """Return a proportion with its 95 % Wilson interval, in percent."""
    z, p = 1.96, right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return f"{100 * p:.1f} % [{100 * (centre - half):.1f}, {100 * (centre + half):.1f}], n = {n}"


def summarise(title: str, right_NF: np.ndarray, rows: np.ndarray) -> dict[str, str]:
    """Print and return class, attribute and per-field accuracy; right_NF says which words of N scenes are right."""
    named = rows[:, 1:] > 0
    named[:, :2] = True
    attributes = right_NF[:, 1:]
    result = {
        "class words": wilson(int(right_NF[:, 0].sum()), len(right_NF)),
        "attribute words": wilson(int(attributes.sum()), attributes.size),
        "attribute words that the caption names": wilson(int(attributes[named].sum()), int(named.sum())),
        "digits only: class words": wilson(int(right_NF[rows[:, 0] < 10, 0].sum()), int((rows[:, 0] < 10).sum())),
    }
    for i, name in enumerate(FIELD_NAMES[1:], 1):
        result[name] = wilson(int(right_NF[:, i].sum()), len(right_NF))
    print(f"\n{title}")
    for key, value in result.items():
        print(f"  {key:40s} {value}")
    return result


@torch.no_grad()
def captions_of(images: np.ndarray, folder: Path) -> list[str]:
    """Return the captions of uint8 images by the shipped captioner, in float32."""
    processor = AutoProcessor.from_pretrained(folder)
    model = Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    texts: list[str] = []
    start = time.time()
    for i in range(0, len(images), 100):
        inputs = processor(images=[Image.fromarray(x) for x in images[i : i + 100]], return_tensors="pt")
        texts += processor.batch_decode(model.generate(**inputs, max_new_tokens=20), skip_special_tokens=True)
    print(f"captioner: {len(images) / (time.time() - start):.0f} images/s")
    return [t.strip() for t in texts]


def right_words(texts: list[str], rows: np.ndarray) -> np.ndarray:
    """Return (N, 9): whether each field's word in the text is the scene's."""
    pairs = zip(texts, rows, strict=True)
    return np.array([[parse(t)[f] == words(r)[f] for f in FIELD_NAMES] for t, r in pairs])


@torch.no_grad()
def generate(prompts: list[str], folder: Path, *, steps: int, guidance: float) -> np.ndarray:
    """Return uint8 images (N, 32, 32, 3) of the prompts by the shipped generator, in float32; one seed per image."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    images: list[np.ndarray] = []
    start = time.time()
    for i in range(0, len(prompts), 64):
        part = prompts[i : i + 64]
        seeds = [torch.Generator().manual_seed(HELD_OUT_SEED + i + k) for k in range(len(part))]
        out = pipe(part, num_inference_steps=steps, guidance_scale=guidance, generator=seeds, output_type="np")
        images.append((out.images * 255).round().astype(np.uint8))
    print(f"generator: {len(prompts) / (time.time() - start):.1f} images/s, {steps} steps, guidance {guidance}")
    return np.concatenate(images)


def grid(images: np.ndarray, columns: int, path: Path, zoom: int = 2) -> None:
    """Write images (N, 32, 32, 3) as one PNG."""
    rows = len(images) // columns
    table = images[: rows * columns].reshape(rows, columns, 32, 32, 3).transpose(0, 2, 1, 3, 4)
    picture = Image.fromarray(table.reshape(rows * 32, columns * 32, 3))
    picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(path, optimize=True)


def full_prompt(row: np.ndarray) -> str:
    """Return 'class: caption', the form that TCKR uses."""
    return f"{class_names(SUBJECTS[int(row[0])])[0]}: {caption(row)}"


def measure_captioner(count: int, folder: Path) -> dict[str, dict[str, str]]:
    """Return the accuracy of captions of fresh scenes, in fonts of the training and in fonts kept out of it."""
    result: dict[str, dict[str, str]] = {}
    for offset, (name, held_out) in enumerate({"fresh scenes": False, "held-out fonts": True}.items()):
        images, rows = world.scenes(count, load_bank(), HELD_OUT_SEED + 10 + offset, held_out=held_out)
        texts = captions_of(images, folder)
        result[f"captioner, {name}"] = summarise(f"Captioner, {name}", right_words(texts, rows), rows)
    return result


def right_in(images: np.ndarray, rows: np.ndarray, reader: Path | None) -> np.ndarray:
    """Return (N, 9): whether the judge, or else the captioner in folder `reader`, sees each field of a scene."""
    if reader:
        return right_words(captions_of(images, reader), rows)
    return read(trained_judge(), images) == rows


def measure_generator(
    count: int, folder: Path, reader: Path | None, *, steps: int, guidance: float
) -> dict[str, dict[str, str]]:
    """Return the reader's own accuracy and the accuracy of generated images; write the grids."""
    real, real_rows = world.scenes(count, load_bank(), HELD_OUT_SEED + 1)
    own = summarise("Reader on rendered images, fresh scenes", right_in(real, real_rows, reader), real_rows)
    rows = world.sample_rows(count, np.random.default_rng(HELD_OUT_SEED + 2))
    images = generate([full_prompt(r) for r in rows], folder, steps=steps, guidance=guidance)
    drawn = summarise("Generated images, as read", right_in(images, rows, reader), rows)
    grid(images[:256], 16, HERE / "generated.png")
    grid(real[:256], 16, HERE / "rendered.png")
    return {"reader": own, "generator": drawn}


def class_grid(folder: Path, *, steps: int, guidance: float) -> None:
    """Write digits.png: ten of each digit, white on black, in the product's prompt form."""
    prompts = [f"{d}: a large white digit {d} on a black ground" for d in FIELDS["subject"][:10] for _ in range(10)]
    grid(generate(prompts, folder, steps=steps, guidance=guidance), 10, HERE / "digits.png")


def main() -> None:
    """Measure what is there; write quality.json and the grids beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="?", choices=("captioner", "generator", "both"), default="both")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--folder", type=Path, default=EMBEDDED)
    parser.add_argument(
        "--reader", type=Path, help="folder of a captioner that reads the generated images; the judge if none"
    )
    options = parser.parse_args()
    path = HERE / "quality.json"
    quality = json.loads(path.read_text()) if path.exists() else {}
    if options.which != "generator":
        quality |= measure_captioner(options.count, options.folder / "captioner")
    if options.which != "captioner":
        folder = options.folder / "generator"
        quality |= measure_generator(options.count, folder, options.reader, steps=options.steps, guidance=options.guidance)
        class_grid(folder, steps=options.steps, guidance=options.guidance)
    path.write_text(json.dumps(quality, indent=1) + "\n")


if __name__ == "__main__":
    main()
