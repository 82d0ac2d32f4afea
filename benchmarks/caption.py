"""Time captioning against a plain loop over the images, one at a time, as the published script does it.

    python benchmarks/caption.py                                          # the embedded captioner on this machine's CPU
    python benchmarks/caption.py --model blip2-opt-2.7b --device cuda     # full size, random weights: no download
    python benchmarks/caption.py --model blip2-opt-2.7b --layers 1 --images 4 --batch-sizes 2 --rounds 1   # does it run?

Both ways use one model in one precision, greedy decoding and as many tokens, on the same images (handwritten digits). First
they must say the same. (In half precision a tie may fall otherwise in a batch; the share of equal captions is printed.) Then
each round times every way once, beginning with another one. Printed are medians over the rounds, the ratio to the plain loop
of the same round, what the image processor takes of it, and peak memory; the share of the machine's measured peak of matrix
products counts the operations that one image needs alone.

Random weights say nonsense at the speed of the real ones; there every caption has all its tokens.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForImageTextToText,
    Blip2Config,
    Blip2Processor,
    BlipConfig,
    BlipProcessor,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from measure import (
    Row,
    add_shared_arguments,
    busy_seconds,
    matmul_peak,
    print_rows,
    rounds_within,
    spread,
    write_result,
)
from tckr.data.images import ImageSet
from tckr.engine.measure import measured
from tckr.models.captioners.blip import BlipCaptioner
from tckr.models.captioners.load import default_dtype, load_captioner
from tckr.process import available_cores
from tckr.stages.caption.captions import caption_batches

SIZE = 32
MAX_NEW_TOKENS = 20
"""As published."""

Way = Callable[[ImageSet], list[str]]


@dataclass(frozen=True)
class Timing:
    """One way's turn in one round; `others` is the share of the cores that other processes used."""

    seconds: float
    processor_seconds: float
    peak_memory_mb: float
    others: float


def blip2_opt(layers: int | None) -> Blip2Config:
    """Return the configuration of Salesforce/blip2-opt-2.7b: ViT-g at 224 px, Q-Former of 32 queries, OPT of 2.7 B."""
    opt = {
        "model_type": "opt",
        "vocab_size": 50304,
        "hidden_size": 2560,
        "word_embed_proj_dim": 2560,
        "ffn_dim": 10240,
        "num_hidden_layers": layers or 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
        "bos_token_id": 2,
        "eos_token_id": 50118,
        "pad_token_id": 1,
    }
    return Blip2Config(
        vision_config={"num_hidden_layers": layers or 39},  # the rest are the defaults of the class
        qformer_config={"num_hidden_layers": layers or 12, "encoder_hidden_size": 1408, "vocab_size": 30522},
        text_config=opt,
        num_query_tokens=32,
        image_token_index=50265,
    )


def blip_base(layers: int | None) -> BlipConfig:
    """Return the configuration of Salesforce/blip-image-captioning-base: ViT-B at 384 px and a decoder like BERT-base."""
    return BlipConfig(
        vision_config={"image_size": 384, "num_hidden_layers": layers or 12},
        text_config={"num_hidden_layers": layers or 12, "encoder_hidden_size": 768, "sep_token_id": 102},
    )


CONFIGS: dict[str, Callable[[int | None], PreTrainedConfig]] = {"blip2-opt-2.7b": blip2_opt, "blip-base": blip_base}


def build_captioner(name: str, device: str, layers: int | None) -> Any:
    """Return the embedded captioner, or one of `CONFIGS` with random weights; `layers` of each part instead of all."""
    if name == "embedded":
        return load_captioner("embedded:captioner", device)
    config = CONFIGS[name](layers)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=default_dtype(config, device))
    print(f"{name}: {sum(weight.numel() for weight in model.parameters()) / 1e6:,.1f} M parameters")
    captioner = BlipCaptioner(model, _processor(config))
    model.generation_config.min_new_tokens = MAX_NEW_TOKENS
    return captioner


def _processor(config: Any) -> Any:
    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"word{i}" for i in range(4, config.text_config.vocab_size))]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    side = config.vision_config.image_size
    images = BlipImageProcessorPil(size={"height": side, "width": side})
    if isinstance(config, BlipConfig):
        return BlipProcessor(images, tokenizer)
    return Blip2Processor(images, tokenizer, num_query_tokens=config.num_query_tokens)


def caption_plainly(captioner: Any) -> Way:
    """Return the published loop: every image alone through processor, `generate` and decoding."""
    model, processor = captioner.model, captioner.processor

    def way(images: ImageSet) -> list[str]:
        texts = []
        for image in images.images:
            inputs = processor(images=image, return_tensors="pt").to(model.device, model.dtype)
            tokens = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS)
            texts.append(processor.batch_decode(tokens, skip_special_tokens=True)[0].strip())
        return texts

    return way


def caption_batched(captioner: Any, batch_size: int) -> Way:
    """Return the core of the stage `caption` in batches of `batch_size`."""

    def way(images: ImageSet) -> list[str]:
        batches = caption_batches(
            captioner, images, images.ids, ["0"], batch_size=batch_size, max_new_tokens=MAX_NEW_TOKENS, prompt=""
        )
        return [text for batch in batches for text in batch.texts]

    return way


def digits(count: int) -> ImageSet:
    """Return `count` handwritten digits at 32 px, one after another and again."""
    scans = [
        Image.fromarray(np.uint8(scan * 15.9)).resize((SIZE, SIZE)).convert("RGB") for scan in load_digits().images[:count]
    ]
    images = np.stack([np.asarray(scans[i % len(scans)]) for i in range(count)])
    return ImageSet(images, np.zeros(count, dtype=np.int64), np.arange(count))


def measure(way: Way, images: ImageSet, captioner: Any) -> Timing:
    """Time one way, with what it takes in the image processor, and its peak memory: of the GPU where there is one."""
    spent: list[float] = []
    process = captioner.processor.image_processor.preprocess

    def timed_process(*arguments: Any, **settings: Any) -> Any:
        started = time.perf_counter()
        found = process(*arguments, **settings)
        spent.append(time.perf_counter() - started)
        return found

    captioner.processor.image_processor.preprocess = timed_process
    on_gpu = captioner.model.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    own, busy = time.process_time(), busy_seconds()
    with tempfile.TemporaryDirectory() as folder, measured(Path(folder) / "usage") as usage:
        way(images)
    captioner.processor.image_processor.preprocess = process
    others = max(0.0, busy_seconds() - busy - (time.process_time() - own)) / usage.seconds / available_cores()
    peak = torch.cuda.max_memory_allocated() / 1e6 if on_gpu else usage.peak_memory_mb
    return Timing(usage.seconds, sum(spent), peak, others)


def flops_of_one(plain: Way, image: ImageSet) -> float:
    """Return the floating-point operations of one caption: products of matrices, convolutions and attention alone."""
    with FlopCounterMode(display=False) as counter:
        plain(image)
    return float(counter.get_total_flops())


def check_results(ways: dict[str, Way], images: ImageSet, exact: bool) -> None:
    """Print how many captions of each way equal the plain loop's; stop where any differs in full precision."""
    expected = ways["plain"](images)
    for name, way in ways.items():
        equal = sum(found == text for found, text in zip(way(images), expected, strict=True))
        print(f"{name:10s} says what the plain loop says of {equal} of {len(expected)} images", flush=True)
        if exact and equal < len(expected):
            raise SystemExit(f"{name} says something else")


def run_rounds(
    ways: dict[str, Way], images: dict[str, ImageSet], captioner: Any, numbers: Iterator[int]
) -> Iterator[list[dict[str, Timing]]]:
    """Time every way on its images once per round, each beginning with another one, and yield all rounds after each."""
    names: list[str] = list(ways)
    rounds: list[dict[str, Timing]] = []
    for number in numbers:
        order = names[number % len(names) :] + names[: number % len(names)]
        rounds.append({name: measure(ways[name], images[name], captioner) for name in order})
        shown = (f"{name} {rounds[-1][name].seconds:.2f} s ({rounds[-1][name].others:.0%})" for name in names)
        print(f"round {number} (others' use of the cores): " + ", ".join(shown), flush=True)
        yield rounds


def rows_of(rounds: Sequence[dict[str, Timing]], images: dict[str, ImageSet], flops: float, peak: float) -> list[Row]:
    """Return one row per way: medians, and the median of its ratios to the plain loop."""
    rows = []
    for name in rounds[0]:
        timings, count = [timing[name] for timing in rounds], len(images[name])
        speed = count / statistics.median(timing.seconds for timing in timings)
        plain = [timing["plain"].seconds / len(images["plain"]) for timing in rounds]
        processor = statistics.median(timing.processor_seconds / timing.seconds for timing in timings)
        rows.append(
            Row(
                way=name,
                speed=speed,
                to_plain=spread([each * count / timing.seconds for each, timing in zip(plain, timings, strict=True)]),
                of_peak=flops * speed / peak,
                memory_gb=max(timing.peak_memory_mb for timing in timings) / 1e3,
                note=f"{processor:.0%} of it in the image processor",
            )
        )
    return rows


def main() -> None:
    """Read the arguments, check that the ways agree, measure, print."""
    arguments = _arguments()
    captioner = build_captioner(arguments.model, arguments.device, arguments.layers)
    captioner.model.requires_grad_(False)  # the counter of operations follows gradients otherwise
    images = digits(arguments.images)
    ways = {"plain": caption_plainly(captioner)}
    ways |= {f"batch {size}": caption_batched(captioner, size) for size in arguments.batch_sizes}
    where = f"{arguments.device}, {captioner.model.dtype}, {torch.get_num_threads()} threads of {available_cores()} cores"
    print(f"{arguments.model}: {len(images)} images, {MAX_NEW_TOKENS} tokens at most; {where}, torch {torch.__version__}")
    few = digits(min(len(images), arguments.plain_images or len(images)))
    exact = captioner.model.dtype == torch.float32
    check_results(ways, few, exact)
    flops = flops_of_one(ways["plain"], digits(1))
    peak = matmul_peak(arguments.device, "float32" if exact else "bfloat16")
    print(f"{flops / 1e9:.3g} GFLOP a caption; peak of a matrix product {peak / 1e12:.3g} TFLOP/s", flush=True)
    sets = {name: few if name == "plain" else images for name in ways}
    if arguments.device.startswith("cuda"):
        for name, way in ways.items():
            way(sets[name])  # a GPU's libraries choose their kernels by the size of the batch
    for rounds in run_rounds(ways, sets, captioner, rounds_within(arguments.rounds, arguments.seconds)):
        rows = rows_of(rounds, sets, flops, peak)
        write_result(arguments.json, rows, peak=peak, flops=flops)
    print_rows(rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("embedded", *CONFIGS), default="embedded")
    parser.add_argument("--layers", type=int, help="layers of every part instead of all, to try a large model")
    parser.add_argument("--images", type=int, default=256, help="images of every turn (default 256)")
    parser.add_argument("--plain-images", type=int, help="images of the plain loop and of the check (default: all)")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64], help="default 64, as the product's")
    parser.add_argument("--rounds", type=int, default=5, help="times that every way is measured (default 5)")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    add_shared_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
