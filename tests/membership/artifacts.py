"""Artifacts of one run, made in a moment: noise images, models that know their members by heart, and what they release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax
from transformers import ResNetConfig, ResNetForImageClassification

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import CANARIES_NAME, MEMBERSHIP_NAME
from tckr.data.groups import GROUPS_NAME
from tckr.data.images import encode_png
from tckr.data.shards import write_shard
from tckr.data.transforms import to_device
from tckr.models.classifiers import Classifier, ClassifierSpec
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator
from tests.tiny_artifacts import CLASS_NAMES

SHUFFLED_NAMES = ["gamma", "alpha", "beta"]
"""The order of classes inside every classifier here: another one than that of the data."""


def noise_images(seed: int, count: int, size: int = 16) -> np.ndarray:
    """Return uint8 [count, size, size, 3] that have nothing in common: who knows one of them has memorized it."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write_pool(
    folder: Path, images: np.ndarray, labels: np.ndarray, members: np.ndarray, validation: Sequence[np.ndarray] = ()
) -> Path:
    """Write what asking reads of a `prepare` artifact, the pool in no order; `members` is bool [R, N]."""
    if len(validation):
        extra = {"label": np.zeros(len(validation), dtype=np.int64), "record": len(images) + np.arange(len(validation))}
        unseen = {"image": [encode_png(image) for image in validation], **extra}
        write_shard(folder / "validation" / "part-00000.parquet", unseen, CLASS_NAMES)
    order = np.random.default_rng(0).permutation(len(images))
    columns = {"image": [encode_png(images[row]) for row in order], "label": labels[order], "record": order}
    write_shard(folder / "pool" / "part-00000.parquet", columns, CLASS_NAMES)
    np.save(folder / MEMBERSHIP_NAME, members)
    np.save(folder / CANARIES_NAME, np.zeros(len(images), dtype=np.int8))
    np.save(folder / GROUPS_NAME, np.arange(len(images)))
    content = {"name": "noise", "source": "tests", "class_names": CLASS_NAMES, "image_size": images.shape[1], "counts": {}}
    sizes = {"num_pool": len(images), "num_validation": len(validation), "num_test": 0, "num_members": int(members[0].sum())}
    rest = {"rejected": {}, "normalised": {}, "duplicates": 0, "test_sha256": "", "audit_holdout": 0.5, "sizes": {}}
    DataCard.model_validate(content | sizes | rest).write(folder)
    return folder


def write_classifier(folder: Path, seed: int, learned: tuple[np.ndarray, np.ndarray] | None = None, steps: int = 40) -> Path:
    """Save a random classifier, or one that has learned (images, labels) by heart, as an artifact `folder`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        names = dict(enumerate(SHUFFLED_NAMES))
        config = ResNetConfig(embedding_size=16, hidden_sizes=[32], depths=[1], layer_type="basic", id2label=names)
        model = Classifier(ResNetForImageClassification(config), ClassifierSpec((0.5,) * 3, (0.5,) * 3, (8, 8)))
    if learned is not None:
        inputs = to_device(learned[0], "cpu")
        truth = torch.tensor([SHUFFLED_NAMES.index(CLASS_NAMES[label]) for label in learned[1]])
        optimizer = torch.optim.Adam(model.parameters(), 1e-2, fused=True)
        model.train()
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), truth).backward()
            optimizer.step()
    model.save(folder / "model")
    return folder


def write_synthetic(folder: Path, images: np.ndarray, labels: np.ndarray, prompts: Sequence[str]) -> Path:
    """Write a `generate` artifact."""
    columns = {"image": [encode_png(image) for image in images], "label": labels, "index": np.arange(len(images))}
    write_shard(folder / "data" / "train-00000-of-00001.parquet", {**columns, "prompt": list(prompts)}, CLASS_NAMES)
    return folder


def write_all_captions(folder: Path, texts: Sequence[str]) -> Path:
    """Write the public captioner's captions of all records, the last record first."""
    records = np.arange(len(texts))[::-1].copy()
    said = [texts[record] for record in records]
    CaptionTable(records=records, labels=records % len(CLASS_NAMES), texts=said, class_names=CLASS_NAMES).write(folder)
    return folder


def write_adapter(folder: Path, model: Path | str, *, steps: int = 0, prompt_form: str = "n: c") -> Path:
    """Write `adapter.json`; with `steps` there must be weights too."""
    fields = {"model": str(model), "revision": None, "method": "lora", "rank": 2, "steps": steps, "prompt_form": prompt_form}
    AdapterCard.model_validate({**fields, "descriptions": {}, "image_size": 16}).write(folder)
    return folder


def overfit(
    base: Path, folder: Path, images: np.ndarray, prompts: Sequence[str], *, steps: int, levels: Sequence[int]
) -> Path:
    """Save to `folder` the generator `base` with all weights of its UNet trained on these records at these noise levels."""
    generator = load_generator(str(base), "cpu")
    assert isinstance(generator, LatentDiffusion)
    with torch.no_grad():
        means = generator.encode_images(to_device(images, "cpu")).chunk(2, dim=1)[0].clone()
        told = {name: rows.clone() for name, rows in generator.encode_prompts(prompts).items()}
    unet = generator.pipeline.unet.requires_grad_(True)
    optimizer, draws = torch.optim.Adam(unet.parameters(), 1e-2, fused=True), torch.Generator().manual_seed(0)
    for _ in range(steps):
        noise = torch.randn(means.shape, generator=draws)
        timesteps = torch.tensor(levels)[torch.randint(len(levels), (len(images),), generator=draws)]
        optimizer.zero_grad()
        generator.training_loss(means, told, noise, timesteps).mean().backward()
        optimizer.step()
    generator.pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def log_odds(logits: np.ndarray, label: int) -> float:
    """Return log(p / (1 - p)) of one image's logits, in the order of SHUFFLED_NAMES, for a label of the data."""
    p = softmax(logits.astype(np.float64))[SHUFFLED_NAMES.index(CLASS_NAMES[label])]
    return float(np.log(p / (1 - p)))
