"""Noisy mean images: what a unit can change, how large the noise is, and what the generator learns from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import read_members
from tckr.data.groups import write_groups
from tckr.errors import UserError
from tckr.membership.refutation import accounting_text
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.privacy.config import PrivacyConfig
from tckr.privacy.mean_images import fewest_units, refuse_small_classes
from tckr.privacy.units import Units
from tckr.stages.adapt import central, stage
from tckr.stages.adapt.central import central_images, learn_central_images, sums_of_classes
from tckr.stages.adapt.train import Course
from tests.stages.adapt.test_private import small
from tests.tiny_artifacts import Recorder, make_context, write_captions, write_private_set
from tests.tiny_models import ARRAY_WARNING, fresh_generator

RNG = np.random.default_rng


@pytest.mark.parametrize("size", [16, 48])
@pytest.mark.parametrize("units_of", [np.arange(12), np.arange(12) // 3], ids=["records", "groups"])
def test_a_unit_changes_all_sums_together_by_at_most_one(size: int, units_of: np.ndarray) -> None:
    rng = RNG(0)
    images, labels = rng.integers(0, 256, (12, size, size, 3), dtype=np.uint8), rng.integers(3, size=12)
    images[:3], labels[:3] = 255, 1  # the largest norm
    images[3:6] = 0
    whole = sums_of_classes(images, np.arange(12), labels, Units(units_of), num_classes=3)
    changes = []
    for unit in np.unique(units_of):
        rows = np.flatnonzero(units_of != unit)
        without = sums_of_classes(images, rows, labels[rows], Units(units_of[rows]), num_classes=3)
        changes.append(np.linalg.norm(whole - without))
    assert max(changes) == pytest.approx(1)
    assert min(changes) > 0.3  # each unit counts


def test_without_noise_they_are_the_means_of_the_classes() -> None:
    images = RNG(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    labels, rows = np.arange(20) % 2, np.arange(20) * 2
    found, classes = central_images(
        images, rows, labels, Units(np.arange(20)), num_classes=2, noise_multiplier=1e-6, rng=RNG(1)
    )
    assert classes.tolist() == [0, 1]
    for mean, label in zip(found, classes, strict=True):
        np.testing.assert_allclose(mean, images[rows[labels == label]].mean(axis=0), atol=0.51)


def test_noise_has_the_stated_size_in_sums_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(central, "fewest_units", lambda *_: 0)
    images = np.full((1, 32, 32, 3), 128, dtype=np.uint8)  # nearly 0, so that the noise of the count changes nothing
    rows, labels, units = np.zeros(500, dtype=int), np.zeros(500, dtype=int), Units(np.arange(500))
    (mean,), _ = central_images(images, rows, labels, units, num_classes=1, noise_multiplier=1.5, rng=RNG(2))
    largest = 0.5 * (3 * 32 * 32) ** 0.5
    assert (mean.astype(float) / 255).std() == pytest.approx(2**0.5 * 1.5 * largest / 500, rel=0.05)


def test_the_noisy_number_of_images_decides_whether_a_class_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(central, "fewest_units", lambda *_: 100)
    images, every, labels = np.full((100, 8, 8, 3), 128, dtype=np.uint8), np.arange(100), np.zeros(100, dtype=int)
    kept = [
        len(central_images(
            images, every, labels, Units(every), num_classes=1, noise_multiplier=2.0, rng=RNG(seed)
        )[1])
        for seed in range(40)
    ]  # fmt: skip
    assert 8 <= sum(kept) <= 32  # it has exactly as many images as needed: half of the seeds have more with noise


def test_images_are_added_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = RNG(0).integers(0, 256, (9, 40, 40, 3), dtype=np.uint8), np.arange(9) % 2
    whole = sums_of_classes(images, np.arange(9), labels, Units(np.arange(9)), num_classes=2)
    monkeypatch.setattr(central, "CHUNK", 2 * 40 * 40 * 3)
    np.testing.assert_allclose(sums_of_classes(images, np.arange(9), labels, Units(np.arange(9)), num_classes=2), whole)


def test_a_set_that_is_too_small_for_any_mean_image_is_refused() -> None:
    noise = 2.5
    privacy, fewest = PrivacyConfig(epsilon=10.0, unit="group", central_images=True), fewest_units(noise, 64)
    refuse_small_classes(privacy, noise, fewest, 64)
    with pytest.raises(
        UserError, match=r"a class needs 327 groups .* about 326 groups in all; set privacy.central_images=false"
    ):
        refuse_small_classes(privacy, noise, fewest - 1, 64)
    refuse_small_classes(privacy, None, 1, 64)


@pytest.mark.filterwarnings(ARRAY_WARNING)
def test_means_are_learned_at_the_noisier_levels_only(tmp_path: Path, tiny_generator: Path) -> None:
    generator, seen = fresh_generator(tiny_generator), []
    loss = generator.training_loss
    generator.training_loss = lambda *given, **named: (seen.append(given[3]), loss(*given, **named))[1]
    course = Course(num_steps=1, seed=0, device="cpu", checkpoint=tmp_path / "private.safetensors")
    images = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    config = small(tiny_generator, central_images=True)
    learn_central_images(generator, images, ["a", "b"], config, course, cache=tmp_path / "central", batch_size=2)
    levels = torch.cat(seen)
    half = generator.num_timesteps // 2
    assert (len(levels), int(levels.min()) >= half) == (central.STEPS * central.BATCH, True)
    assert levels.max() > 1.8 * half
    assert not course.checkpoint.exists()


def test_a_class_with_few_images_has_no_mean_image() -> None:
    images = np.zeros((1000, 32, 32, 3), dtype=np.uint8)
    labels = np.r_[np.zeros(950, dtype=int), np.ones(50, dtype=int)]
    _, classes = central_images(
        images, np.arange(1000), labels, Units(np.arange(1000)), num_classes=2, noise_multiplier=2.5, rng=RNG(3)
    )
    assert classes.tolist() == [0]


@pytest.mark.filterwarnings(ARRAY_WARNING)
@pytest.mark.usefixtures("coarse_accounting")
def test_the_adapter_starts_from_mean_images_and_repeats_an_interrupted_training(
    tmp_path: Path, tiny_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(central, "STEPS", 3)
    inputs = {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}
    told, weights = {}, {}

    def adapted(name: str, *, fewest: int) -> None:
        monkeypatch.setattr(central, "fewest_units", lambda *_: fewest)
        monkeypatch.setattr(stage, "refuse_small_classes", lambda *_: None)
        recorder = Recorder()
        context = make_context(tmp_path / name, inputs, recorder=recorder)
        stage.run(small(tiny_generator, central_images=True), context)
        told[name] = [event["message"] for event in recorder.events if event["event"] == "warning"]
        weights[name] = load_file(context.out / "pytorch_lora_weights.safetensors")
        guarantee = AdapterCard.read(context.out).guarantee
        assert guarantee is not None
        assert guarantee.central_noise is not None
        assert f"Sums of the images of each class: noise of {guarantee.central_noise:.3g} times" in accounting_text(
            guarantee
        )
        assert json.loads((context.out / "adapter.json").read_text())["guarantee"]["central_noise"] > 1

    adapted("with", fewest=0)
    adapted("without", fewest=1000)
    assert any("privacy.central_images: 3 of 3 classes are too small" in message for message in told["without"])
    assert not any("central_images" in message for message in told["with"])
    assert any((weights["with"][name] != values).any() for name, values in weights["without"].items())

    for owner, function, calls in (
        (LatentDiffusion, "training_loss", 2),
        (stage, "_encode", 0),
    ):  # inside that training, after it
        with monkeypatch.context() as patched:
            patched.setattr(owner, function, ends_after(calls, getattr(owner, function)))
            with pytest.raises(KeyboardInterrupt):
                adapted(function, fewest=0)
        adapted(function, fewest=0)
        assert all((weights["with"][name] == values).all() for name, values in weights[function].items())


@pytest.mark.filterwarnings(ARRAY_WARNING)
@pytest.mark.usefixtures("coarse_accounting")
def test_groups_have_mean_images_too(tmp_path: Path, tiny_generator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(central, "STEPS", 3)
    monkeypatch.setattr(stage, "refuse_small_classes", lambda *_: None)
    counted = []
    sums = central.sums_of_classes
    monkeypatch.setattr(
        central, "sums_of_classes", lambda *given, **named: (counted.append(given[3]), sums(*given, **named))[1]
    )
    inputs = {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}
    card = DataCard.read(inputs["data"])
    card.model_copy(update={"groups": {"pool": 5}}).write(inputs["data"])
    write_groups(inputs["data"], np.arange(15) // 3)
    stage.run(small(tiny_generator, central_images=True, unit="group"), make_context(tmp_path / "group", inputs))
    images = read_members(inputs["data"], 0)
    assert [len(units) for units in counted] == [len(np.unique(images // 3))] != [len(images)]


def ends_after(calls: int, function: Callable[..., object]) -> Callable[..., object]:
    """Return `function`, which ends the program at the call after so many."""
    left = iter(range(calls))

    def counted(*given: object, **named: object) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return function(*given, **named)

    return counted
