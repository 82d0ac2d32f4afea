"""DP-SGD: what one unit can change is bounded, what is added is noise of the stated size, and each unit comes by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.data_card import DataCard
from tckr.data.groups import units_of, write_groups
from tckr.errors import UserError
from tckr.membership.refutation import describe_delta_of, promise_text
from tckr.models.unit_gradients import clip_each
from tckr.privacy.config import PrivacyConfig
from tckr.privacy.refusals import refuse_few_units
from tckr.privacy.units import Units
from tckr.stages.adapt import stage
from tckr.stages.adapt.config import PrivateAdaptConfig
from tckr.stages.adapt.encode import EncodedSet, encode_set
from tckr.stages.adapt.gradients import Passes
from tckr.stages.adapt.private import Mechanism, private_batches, set_private_gradient
from tckr.stages.adapt.promise import counted, mechanism_of, promise
from tckr.stages.adapt.train import Losses
from tckr.stages.adapt.vector import AdapterVector
from tests.tiny_artifacts import Recorder, make_context, write_captions, write_private_set
from tests.tiny_models import ARRAY_WARNING, fresh_generator

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
CLIP, DRAWS = 0.01, 2
"""A norm below that of each gradient here, so that all are clipped."""


def encoded_set(folder: Path, cache: Path) -> EncodedSet:
    images = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    generator = fresh_generator(folder)
    return encode_set(generator, images, np.arange(5), list("abaca"), flip=False, batch_size=2, cache=cache)


def gradient(
    folder: Path,
    encoded: EncodedSet,
    taken: list[int],
    *,
    noise: float = 0.0,
    per_pass: int = 4,
    limit: Callable[[torch.nn.Module], None] = lambda denoiser: None,
) -> torch.Tensor:
    """Return the private gradient of a step that uses the units `taken`; random choices are always the same.

    `limit` changes the denoiser before the step.
    """
    generator = fresh_generator(folder)
    adapter = AdapterVector(generator.add_lora(2, 7).values())
    generator.keep_gradients_of_units(DRAWS)
    limit(generator.denoiser)
    config = PrivateAdaptConfig(batch_size=4, privacy=PrivacyConfig(epsilon=1.0))
    every = Mechanism(
        units=Units(np.arange(5)), sampling_rate=1.0, noise_multiplier=noise, clip=CLIP, expected=4, noise_draws=DRAWS
    )
    whole = next(private_batches(generator, encoded, config, every, steps=range(1), seed=3))
    rows = [unit * DRAWS + draw for unit in taken for draw in range(DRAWS)]
    batch = type(whole)(
        moments=whole.moments[rows],
        posterior_noise=whole.posterior_noise[rows],
        conditioning={name: values[rows] for name, values in whole.conditioning.items()},
        noise=whole.noise[rows],
        timesteps=whole.timesteps[rows],
    )
    passes = Passes(per_pass, DRAWS)
    set_private_gradient(generator, batch, adapter, passes, every, config=config, device="cpu", noise_seed=11)
    return adapter.gradient.clone()


def test_a_unit_changes_the_sum_by_the_clipping_norm(tmp_path: Path, tiny_generator: Path) -> None:
    encoded = encoded_set(tiny_generator, tmp_path)
    everyone = gradient(tiny_generator, encoded, [0, 1, 2, 3, 4])
    for unit in range(5):
        without = gradient(tiny_generator, encoded, [other for other in range(5) if other != unit])
        change = 4 * (everyone - without).norm().item()  # the sum is divided by 4, the expected number, for both
        assert change == pytest.approx(CLIP, rel=1e-3)


def test_the_sum_is_that_of_single_units_whatever_the_passes(tmp_path: Path, tiny_generator: Path) -> None:
    encoded = encoded_set(tiny_generator, tmp_path)
    alone = sum((gradient(tiny_generator, encoded, [unit]) for unit in range(5)), torch.tensor(0.0))
    for per_pass in (1, 4, 32):
        torch.testing.assert_close(gradient(tiny_generator, encoded, [0, 1, 2, 3, 4], per_pass=per_pass), alone)


def test_noise_has_the_stated_size_and_is_there_without_any_unit(tmp_path: Path, tiny_generator: Path) -> None:
    encoded = encoded_set(tiny_generator, tmp_path)
    noise = gradient(tiny_generator, encoded, [], noise=3.0)
    assert noise.std().item() == pytest.approx(3.0 * CLIP / 4, rel=5 / np.sqrt(2 * noise.numel()))
    torch.testing.assert_close(
        gradient(tiny_generator, encoded, [1], noise=3.0) - noise, gradient(tiny_generator, encoded, [1])
    )


class Room:
    """Memory for `images` in a pass: more of them fail in the middle of its forward or backward half."""

    def __init__(self, images: int, half: str) -> None:
        self.images, self.half, self.tried = images, half, []

    def __call__(self, denoiser: torch.nn.Module) -> None:
        trained = [module for module in denoiser.modules() if any(p.requires_grad for p in module.parameters(recurse=False))]
        middle = trained[len(trained) // 2]
        if self.half == "forward":
            middle.register_forward_hook(lambda module, inputs, output: self.check(output))
        else:
            middle.register_full_backward_hook(lambda module, inputs, outputs: self.check(outputs[0]))

    def check(self, rows: torch.Tensor) -> None:
        self.tried.append(len(rows))
        if len(rows) > self.images:
            raise torch.OutOfMemoryError("planted")


@pytest.mark.parametrize("half", ["forward", "backward"])
def test_a_step_that_ran_out_of_memory_gives_the_same_sum_in_smaller_passes(
    tmp_path: Path, tiny_generator: Path, half: str
) -> None:
    encoded, everyone, room = encoded_set(tiny_generator, tmp_path), [0, 1, 2, 3, 4], Room(4, half)
    expected = gradient(tiny_generator, encoded, everyone, noise=3.0, per_pass=4)
    found = gradient(tiny_generator, encoded, everyone, noise=3.0, per_pass=8, limit=room)
    assert room.tried == [8, 4, 4, 2]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("per_pass", "tried"), [(4, [4, 2]), (5, [4, 2]), (1, [2])])
def test_a_unit_too_large_for_the_memory_is_an_error_and_not_computed_otherwise_or_twice(
    tmp_path: Path, tiny_generator: Path, per_pass: int, tried: list[int]
) -> None:
    encoded, room = encoded_set(tiny_generator, tmp_path), Room(0, "forward")
    with pytest.raises(
        UserError,
        match=r"a single image at a time needs more memory than the device has; take a smaller privacy.noise_draws, ",
    ):
        gradient(tiny_generator, encoded, [0, 1], per_pass=per_pass, limit=room)
    assert room.tried == tried


def test_gradients_are_clipped_over_all_parameters_and_one_that_is_no_number_counts_as_zero() -> None:
    first, second = torch.tensor([[3.0], [0.3], [torch.nan]]), torch.tensor([[4.0], [0.4], [1.0]])
    clipped = torch.cat(clip_each([first, second], 1.0))
    torch.testing.assert_close(clipped, torch.tensor([0.6 + 0.3, 0.8 + 0.4]))


def test_each_unit_is_taken_by_chance_with_one_of_its_images() -> None:
    units = Units(np.array([5, 5, 9, 5, 2]))
    rng = np.random.default_rng(0)
    taken = [units.sample(0.3, rng) for _ in range(4000)]
    assert len(units) == 3
    counts = np.bincount(np.concatenate(taken), minlength=5) / 4000
    np.testing.assert_allclose(counts, [0.1, 0.1, 0.3, 0.1, 0.3], atol=0.03)
    numbers = np.bincount([len(rows) for rows in taken], minlength=4) / 4000
    np.testing.assert_allclose(numbers, [0.343, 0.441, 0.189, 0.027], atol=0.03)  # binomial: independent of one another


@pytest.mark.usefixtures("coarse_accounting")
def test_the_count_is_noisy_and_all_a_guarantee_depends_on() -> None:
    config = PrivateAdaptConfig(batch_size=16, steps=5, privacy=PrivacyConfig(epsilon=1.0))
    found = promise(config, 1000, 7, ["a"])
    counts = np.array([counted(1000, found.count_noise, seed) for seed in range(400)])
    assert found.noisy_count == counts[7]
    assert counts.mean() == pytest.approx(1000, abs=0.2 * found.count_noise)
    assert counts.std() == pytest.approx(found.count_noise, rel=0.15)
    assert found.sampling_rate == 16 / found.noisy_count
    assert 0.95 < found.epsilon <= 1.0


@pytest.mark.usefixtures("coarse_accounting")
def test_a_set_smaller_than_the_batch_is_counted_as_it_is_and_all_of_it_is_in_each_step() -> None:
    found = promise(PrivateAdaptConfig(batch_size=512, steps=5, privacy=PrivacyConfig(epsilon=10.0)), 22, 7, ["a"])
    assert 5 < found.noisy_count < 40
    assert found.sampling_rate == 1
    assert mechanism_of(found, Units(np.arange(22))).expected == found.noisy_count
    fewest = promise(PrivateAdaptConfig(steps=1, privacy=PrivacyConfig(epsilon=0.5)), 1, 2, ["a"])
    assert fewest.noisy_count >= 1


@pytest.mark.usefixtures("coarse_accounting")
@pytest.mark.parametrize(("delta", "num_units", "told"), [(1e-5, 1000, ""), (0.05, 40, "privacy.delta=2e-03 or less")])
def test_a_delta_that_protects_nobody_is_told(delta: float, num_units: int, told: str) -> None:
    config = PrivateAdaptConfig(batch_size=16, steps=5, privacy=PrivacyConfig(epsilon=10.0, delta=delta))
    guarantee = promise(config, num_units, 7, ["a"])
    message = describe_delta_of(guarantee)
    assert ("hardly protects" in promise_text(guarantee)) == bool(told)
    assert told in message
    assert bool(message) == bool(told)


def test_weights_that_are_no_numbers_end_a_private_training(tiny_generator: Path) -> None:
    generator = fresh_generator(tiny_generator)
    adapter = AdapterVector(generator.add_lora(2, 7).values())
    config = PrivateAdaptConfig(privacy=PrivacyConfig(epsilon=1.0))
    stage._refuse_useless(generator, config)
    with torch.no_grad():
        adapter.parameters[0].view(-1)[0] = torch.nan
    with pytest.raises(UserError, match="weights of the adapter are not numbers"):
        stage._refuse_useless(generator, config)


def small(generator: Path, *, steps: int = 1, **privacy: Any) -> PrivateAdaptConfig:
    """Return the settings of a small LoRA of `generator` under a guarantee of epsilon 8."""
    return PrivateAdaptConfig(
        model=str(generator), method="lora", rank=2, steps=steps, batch_size=2, prompt_form="n",
        privacy=PrivacyConfig(epsilon=8.0, **privacy),
    )  # fmt: skip


@pytest.mark.usefixtures("coarse_accounting")
def test_a_private_loss_does_not_decide_whether_there_is_a_release(
    tmp_path: Path, tiny_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}
    config = small(tiny_generator, noise_draws=1)
    losses = stage.train_adapter

    def without_numbers(*arguments: Any, **named: Any) -> Losses:
        found = losses(*arguments, **named)
        return replace(found, steps=np.full_like(found.steps, np.nan))

    monkeypatch.setattr(stage, "train_adapter", without_numbers)
    stage.run(config, make_context(tmp_path / "run", inputs))


@pytest.mark.usefixtures("coarse_accounting")
def test_the_adapter_states_its_guarantee_and_goes_on_with_the_same_noise(tmp_path: Path, tiny_generator: Path) -> None:
    inputs = {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}
    config = small(tiny_generator, steps=3, delta=0.09, noise_draws=2)
    weights = []
    for name in ("one", "two"):
        recorder = Recorder()
        context = make_context(tmp_path / name, inputs, recorder=recorder)
        stage.run(config, context)
        warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
        assert any("privacy.delta=0.09 is not below" in message for message in warnings)
        weights.append((context.out / "pytorch_lora_weights.safetensors").read_bytes())
        guarantee = AdapterCard.read(context.out).guarantee
        assert guarantee is not None
        assert guarantee.epsilon <= 8.0
        assert (guarantee.unit, guarantee.steps, guarantee.noise_draws) == ("record", 3, 2)
    assert weights[0] == weights[1]


@pytest.mark.usefixtures("coarse_accounting")
def test_more_teachers_than_the_noisy_number_of_units_has_votes_for_are_refused_before_a_step(
    tmp_path: Path, tiny_generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}
    config = small(tiny_generator, labels="votes", votes=1, num_teachers=20)
    context = make_context(tmp_path / "run", inputs)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "_train", pytest.fail)
        with pytest.raises(UserError, match=r"num_teachers=20, but .*; set a lower privacy\.num_teachers"):
            stage.run(config, context)
    others = inputs | {"captions": write_captions(tmp_path / "others", run=1)}
    stage.run(config, replace(make_context(tmp_path / "reference", others), run=1))


def test_teachers_have_two_units_or_more_on_average() -> None:
    votes = PrivacyConfig(epsilon=8.0, labels="votes", num_teachers=20)
    refuse_few_units(votes, 40)
    refuse_few_units(PrivacyConfig(epsilon=8.0), 1)
    with pytest.raises(UserError, match="the set has about 39 images: fewer than 2 for each Teacher on average"):
        refuse_few_units(votes, 39)


@pytest.mark.usefixtures("coarse_accounting")
def test_two_runs_share_no_noise_though_seed_and_secret_are_equal(tmp_path: Path, tiny_generator: Path) -> None:
    inputs = {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}
    config = small(tiny_generator)
    counts = set()
    for fingerprint in ("one", "two"):
        context = replace(make_context(tmp_path / fingerprint, inputs), fingerprint=fingerprint)
        stage.run(config, context)
        guarantee = AdapterCard.read(context.out).guarantee
        assert guarantee is not None
        counts.add(guarantee.noisy_count)
    assert len(counts) == 2


def test_groups_are_protected_only_where_there_are_some(tmp_path: Path, tiny_generator: Path) -> None:
    inputs = {"data": write_private_set(tmp_path / "data"), "captions": write_captions(tmp_path / "captions")}
    config = small(tiny_generator, unit="group")
    context = make_context(tmp_path, inputs)
    with pytest.raises(UserError, match=r"the set has no groups, .*; set prepare\.group_column .*, or privacy\.unit=record"):
        stage.run(config, context)
    card = DataCard.read(inputs["data"]).model_copy(
        update={"groups": {"pool": 5}}
    )  # also from DICOM files, without a setting
    card.write(inputs["data"])
    write_groups(inputs["data"], np.arange(15) // 3)
    assert units_of(context.inputs["data"], np.array([0, 1, 5, 14]), config.privacy.unit).tolist() == [0, 0, 1, 4]
