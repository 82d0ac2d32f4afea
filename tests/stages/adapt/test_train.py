"""Training resumes exactly, accumulates exactly, and learns; encodings equal those of the generator."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tckr.data.seeds import derive_seed
from tckr.errors import UserError
from tckr.models.diffusion.generator import Generator
from tckr.stages.adapt import checkpoint, kept, stage, train
from tckr.stages.adapt.batches import gather
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.draws import draw_step
from tckr.stages.adapt.encode import EncodedSet, encode_set
from tckr.stages.adapt.gradients import Passes
from tckr.training import checkpoint as training_checkpoint
from tckr.training.process_group import Team, Tell, train_together
from tests.tiny_models import ARRAY_WARNING, fresh_generator

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
PROMPTS = ["b", "a", "b", "c", "a"]


class KilledError(Exception):
    """Stand in for SIGKILL."""


def encode(generator: Generator, cache: Path, **changes: object) -> EncodedSet:
    images = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    settings = {"flip": False, "batch_size": 2, "cache": cache} | changes
    return encode_set(generator, images, np.array([6, 0, 2, 3, 1]), PROMPTS, **settings)  # type: ignore[arg-type]


def fit(
    folder: Path, scratch: Path, steps: int, *, die_at: int | None = None, per_pass: int | None = None, **changes: object
) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    """Train on the CPU from what `scratch` holds; return the losses and the adapter's weights."""
    scratch.mkdir(exist_ok=True)
    generator = fresh_generator(folder)
    settings = {
        "method": "lora",
        "ema_decay": 0.0,
        "rank": 2,
        "batch_size": 3,
        "learning_rate": 1e-2,
        "precision": "float32",
    }
    config = AdaptConfig(**(settings | changes))  # type: ignore[arg-type]
    calls = []

    def advance(amount: int) -> None:
        calls.append(amount)
        if die_at is not None and sum(calls) == die_at:
            raise KilledError

    encoded = encode(generator, scratch, flip=config.horizontal_flip)
    losses = train.train_adapter(
        generator,
        encoded,
        config,
        train.Course(num_steps=steps, seed=1, device="cpu", checkpoint=scratch / "checkpoint.safetensors"),
        passes=Passes(per_pass or config.batch_size),
        validation=encoded if config.selection == "best" else None,
        advance=advance,
    )
    trained = generator.denoiser.named_parameters()
    return losses.steps, {name: weight.detach() for name, weight in trained if weight.requires_grad}


@pytest.mark.parametrize("prediction", ["tiny_generator", "tiny_v_generator"])
def test_resumed_training_equals_uninterrupted(
    prediction: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = request.getfixturevalue(prediction)
    monkeypatch.setattr(checkpoint, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", 1e9)
    with pytest.raises(KilledError):
        fit(folder, tmp_path / "resumed", steps=6, die_at=5)
    resumed_losses, resumed = fit(folder, tmp_path / "resumed", steps=6)
    losses, weights = fit(folder, tmp_path / "whole", steps=6)
    assert np.array_equal(resumed_losses, losses)
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)
    assert len(losses) == 6


def test_bfloat16_resumes_exactly_and_learns_about_the_same(
    tiny_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", 1e9)
    with pytest.raises(KilledError):
        fit(tiny_generator, tmp_path / "resumed", steps=4, die_at=3, precision="bfloat16")
    _, resumed = fit(tiny_generator, tmp_path / "resumed", steps=4, precision="bfloat16")
    losses, weights = fit(tiny_generator, tmp_path / "whole", steps=4, precision="bfloat16")
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)
    exact, _ = fit(tiny_generator, tmp_path / "exact", steps=4)
    assert losses.tolist() != exact.tolist()
    np.testing.assert_allclose(losses, exact, rtol=0.02)


def test_a_checkpoint_is_due_when_it_is_cheap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = checkpoint.writer_of(tmp_path / "checkpoint.safetensors")
    writer.written_at = 100.0
    for now, seconds, due in ((109.0, 0.1, False), (111.0, 0.1, True), (111.0, 2.0, False), (139.0, 2.0, False)):
        monkeypatch.setattr(training_checkpoint.time, "monotonic", lambda now=now: now)
        writer.seconds = seconds
        assert writer.is_due() == due  # after 10 s, and after 40 s when writing takes 2 s


def test_many_passes_equal_one(tiny_generator: Path, tmp_path: Path) -> None:
    one = fit(tiny_generator, tmp_path / "one", steps=3, batch_size=4)
    four = fit(tiny_generator, tmp_path / "four", steps=3, batch_size=4, per_pass=1)
    np.testing.assert_allclose(one[0], four[0], rtol=1e-5)
    for name, weight in one[1].items():
        torch.testing.assert_close(four[1][name], weight, rtol=1e-3, atol=1e-4)


def test_resuming_with_other_passes_goes_on(tiny_generator: Path, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        fit(tiny_generator, tmp_path / "resumed", steps=4, die_at=3, batch_size=4)
    resumed = fit(tiny_generator, tmp_path / "resumed", steps=4, batch_size=4, per_pass=2)
    whole = fit(tiny_generator, tmp_path / "whole", steps=4, batch_size=4)
    np.testing.assert_allclose(resumed[0], whole[0], rtol=1e-5)


def test_min_snr_weighs_the_loss(tiny_generator: Path, tmp_path: Path) -> None:
    plain, _ = fit(tiny_generator, tmp_path, steps=1, batch_size=8)
    other = tmp_path / "weighted"
    weighted, _ = fit(tiny_generator, other, steps=1, batch_size=8, min_snr_gamma=5.0)
    certain, _ = fit(tiny_generator, tmp_path / "all", steps=1, batch_size=8, min_snr_gamma=1e9)
    assert weighted[0] < plain[0]
    assert certain[0] == plain[0]  # no level has so high a signal-to-noise ratio


def test_training_lowers_the_loss(tiny_generator: Path, tmp_path: Path) -> None:
    losses = {}
    for rate in (1e-2, 1e-12):  # the same random numbers at every step, so the runs are paired
        losses[rate], _ = fit(tiny_generator, tmp_path / str(rate), steps=15, batch_size=8, learning_rate=rate)
    assert losses[1e-2][0] == losses[1e-12][0]
    assert (losses[1e-2][5:] < losses[1e-12][5:]).all()


def test_encodings_are_the_generators(tiny_generator: Path, tmp_path: Path) -> None:
    generator = fresh_generator(tiny_generator)
    encoded = encode(generator, tmp_path, flip=True)
    assert encoded.moments.shape == (2, 5, 8, 8, 8)
    assert encoded.latent_shape == (4, 8, 8)
    assert encoded.conditioning["prompt_embeds"].shape[0] == 4
    assert encoded.prompt_of.tolist() == [1, 0, 1, 2, 0]
    images = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    sixth = torch.from_numpy(images[6:7].copy()).permute(0, 3, 1, 2) / 255
    for view, image in enumerate((sixth, sixth.flip(-1))):
        np.testing.assert_allclose(encoded.moments[view, 0], generator.encode_images(image)[0], atol=2e-3)
    expected = generator.encode_prompts(["b", ""])["prompt_embeds"]
    np.testing.assert_allclose(encoded.conditioning["prompt_embeds"][[1, 3]], expected, atol=2e-3)


def test_encodings_are_made_once(tiny_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = fresh_generator(tiny_generator)
    first = encode(generator, tmp_path)
    monkeypatch.setattr(generator, "encode_images", None)
    monkeypatch.setattr(generator, "encode_prompts", None)
    assert np.array_equal(encode(generator, tmp_path).moments, first.moments)


class Levels:
    """Draw other noise levels than uniform ones."""

    def draw_timesteps(self, uniform: torch.Tensor) -> torch.Tensor:
        """Return the next ones."""
        return uniform + 1


def test_training_tensors_sample_the_posterior_and_drop_prompts() -> None:
    moments = np.full((2, 3, 2, 1, 1), 0.5, dtype=np.float16)
    moments[:, :, 0, 0, 0] = [[0, 1, 2], [10, 11, 12]]
    embeds = np.arange(3, dtype=np.float16).reshape(3, 1, 1)
    encoded = EncodedSet(moments=moments, conditioning={"prompt_embeds": embeds}, prompt_of=np.array([1, 0, 1]))
    draws = draw_step(
        0, 0, num_images=3, num_drawn=6, latent_shape=(1, 1, 1), num_timesteps=9, flip=True, caption_dropout=0.5
    )
    latents, told, noise, timesteps = gather(Levels(), encoded, draws).tensors(0, 6, "cpu")  # type: ignore[arg-type]
    expected = 10 * draws.mirrored + draws.rows + 0.5 * draws.posterior_noise.flatten().numpy()
    np.testing.assert_allclose(latents.flatten(), expected, rtol=1e-6)
    assert draws.unprompted.any()
    assert not draws.unprompted.all()
    prompts = np.where(draws.unprompted, 2, np.array([1, 0, 1])[draws.rows])
    assert told["prompt_embeds"].flatten().tolist() == prompts.tolist()
    assert torch.equal(noise, draws.noise)
    assert torch.equal(timesteps, draws.timesteps + 1)


def test_unfitting_images_are_a_user_error(tiny_generator: Path, tmp_path: Path) -> None:
    generator = fresh_generator(tiny_generator)
    images = np.zeros((1, 20, 20, 3), dtype=np.uint8)
    with pytest.raises(UserError, match=r"prepare\.image_size=16 or 24"):
        encode_set(generator, images, np.array([0]), ["a"], flip=False, batch_size=1, cache=tmp_path)


def history(steps: list[float], checks: list[float]) -> list[dict[str, float]]:
    return train.loss_history(train.Losses(steps=np.array(steps), checks=np.array(checks)))


def test_loss_history_averages_blocks() -> None:
    assert history([1.0, 3.0], []) == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 3.0}]
    points = history(list(map(float, range(101))), [])
    assert points[0] == {"step": 3, "loss": 1.0}
    assert points[-1] == {"step": 101, "loss": 99.5}
    assert history([], []) == []


def test_validation_losses_stand_beside_the_steps_that_they_follow() -> None:
    points = history([0.0] * 101, [float(check) for check in range(7)])
    checked = {point["step"]: point["validation_loss"] for point in points if "validation_loss" in point}
    assert checked == {15: 0.0, 30: 1.0, 45: 2.0, 60: 3.0, 75: 4.0, 90: 5.0, 101: 6.0}


WAYS = {
    "a LoRA in all layers": {"targets": "all"},
    "all weights": {"method": "full"},
    "all weights, averaged": {"method": "full", "ema_decay": 0.5},
    "the best of averages": {"ema_decay": 0.5, "selection": "best"},
}


@pytest.mark.parametrize("way", list(WAYS))
def test_each_way_resumes_exactly(way: str, tiny_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", 1e9)
    with pytest.raises(KilledError):
        fit(tiny_generator, tmp_path / "resumed", steps=5, die_at=4, **WAYS[way])
    resumed_losses, resumed = fit(tiny_generator, tmp_path / "resumed", steps=5, **WAYS[way])
    losses, weights = fit(tiny_generator, tmp_path / "whole", steps=5, **WAYS[way])
    assert np.array_equal(resumed_losses, losses)
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)


def test_all_weights_are_trained_and_no_others(tiny_generator: Path, tmp_path: Path) -> None:
    base = fresh_generator(tiny_generator).denoiser.state_dict()
    losses, weights = fit(tiny_generator, tmp_path, steps=10, batch_size=8, method="full")
    same, _ = fit(tiny_generator, tmp_path / "other", steps=10, batch_size=8, method="full", learning_rate=1e-12)
    assert losses[0] == same[0]
    assert losses[5:].mean() < same[5:].mean()
    assert set(weights) == set(base)
    assert not any(torch.equal(weights[name], base[name]) for name in base)


def test_the_average_trails_the_trained_weights(tiny_generator: Path, tmp_path: Path) -> None:
    found = {
        steps: fit(tiny_generator, tmp_path / f"{steps} steps", steps=steps, schedule="constant", targets="linear")[1]
        for steps in (1, 2)
    }
    _, averaged = fit(tiny_generator, tmp_path / "averaged", steps=2, schedule="constant", targets="linear", ema_decay=0.999)
    generator = fresh_generator(tiny_generator)
    for name, start in generator.add_lora(2, derive_seed(1, "adapt", "lora"), "linear").items():
        first = torch.lerp(start.detach(), found[1][name], 1 - 1 / 10)
        torch.testing.assert_close(averaged[name], torch.lerp(first, found[2][name], 1 - 2 / 11))


def test_the_best_check_is_kept(tiny_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(kept, "validation_loss", lambda *_, **__: torch.tensor(next(values)))
    monkeypatch.setattr(train, "POINTS_PER_CHECK", 1)
    options = {"schedule": "constant", "selection": "best"}
    _, best = fit(tiny_generator, tmp_path / "best", steps=3, **options)
    _, second = fit(tiny_generator, tmp_path / "second", steps=2, schedule="constant")
    assert all(torch.equal(best[name], second[name]) for name in second)


def test_checks_meet_the_same_noise_and_leave_the_training_alone(tiny_generator: Path, tmp_path: Path) -> None:
    generator = fresh_generator(tiny_generator)
    encoded, config = encode(generator, tmp_path), AdaptConfig(selection="best", precision="float32")
    batch = kept.draw_validation(generator, encoded, seed=1)
    losses = [kept.validation_loss(generator, batch, config, images=images, device="cpu") for images in (kept.NUM_DRAWS, 10)]
    torch.testing.assert_close(losses[0], losses[1])
    again = kept.draw_validation(generator, encoded, seed=1)
    assert torch.equal(batch.noise, again.noise)
    assert len(batch) == kept.NUM_DRAWS
    plain, _ = fit(tiny_generator, tmp_path / "plain", steps=6)
    selected, _ = fit(tiny_generator, tmp_path / "selected", steps=6, selection="best")
    assert np.array_equal(plain, selected)


def test_trackers_are_given_the_points_of_the_history_while_it_trains(
    tiny_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "HISTORY_POINTS", 4)
    noted: list[dict[str, float]] = []
    config = AdaptConfig(
        model=str(tiny_generator), method="lora", rank=2, batch_size=3, selection="best", precision="float32"
    )
    generator = fresh_generator(tiny_generator)
    encoded = encode(generator, tmp_path)
    losses = train.train_adapter(
        generator,
        encoded,
        config,
        train.Course(num_steps=10, seed=1, device="cpu", checkpoint=tmp_path / "checkpoint.safetensors"),
        passes=Passes(3),
        validation=encoded,
        note=lambda number, **values: noted.append({"step": number, **values}),
    )
    history = train.loss_history(losses)
    assert [list(point) for point in noted] == [list(point) for point in history]
    assert [point["step"] for point in noted] == [3, 6, 9, 10]
    assert "validation_loss" in noted[-1]
    for point, expected in zip(noted, history, strict=True):
        assert point == pytest.approx(expected)


def test_a_training_that_continues_with_recomputed_activations_recomputes_them(tiny_generator: Path, tmp_path: Path) -> None:
    """Memory ran out in one of several processes; the same command with one process continues."""
    Passes(largest=1, recomputed=True).keep(tmp_path)
    generator = fresh_generator(tiny_generator)
    train.train_adapter(
        generator,
        encode(generator, tmp_path),
        AdaptConfig(model=str(tiny_generator), method="lora", rank=2, batch_size=3, precision="float32"),
        train.Course(num_steps=1, seed=1, device="cpu", checkpoint=tmp_path / "checkpoint.safetensors"),
        passes=Passes.kept(tmp_path, 3),
    )
    assert generator.denoiser.is_gradient_checkpointing


def train_in_two(folder: Path, scratch: Path, config: AdaptConfig) -> None:
    """Train in two processes what `fit` trains; the second dies once."""
    encode(fresh_generator(folder), scratch, flip=config.horizontal_flip)
    course = train.Course(num_steps=6, seed=1, device="cpu", checkpoint=scratch / "checkpoint.safetensors")
    share = partial(die_once, mark=scratch / "killed", config=config, course=course, cache=scratch)
    told: list[Any] = []
    train_together(2, share, "cpu", told.append)
    assert sum(amount for amount in told if isinstance(amount, int)) >= 6


def die_once(team: Team, tell: Tell, *, mark: Path | None, checked: bool = False, **named: Any) -> None:
    """Be one of the processes; where there is a `mark`, the second is killed at its fourth step unless it was before."""
    if mark is not None and team.rank == 1 and not mark.exists():
        original, steps = train.add_gradients, []

        def dying(*args: Any, **named: Any) -> torch.Tensor:
            steps.append(1)
            if len(steps) == 4:
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **named)

        train.add_gradients = dying
    stage._train_share(team, tell, checked=checked, **named)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_train_the_adapter_that_one_trains(tiny_generator: Path, tmp_path: Path) -> None:
    """One of them is killed; without a death, `test_a_team_trains_what_one_process_trains` compares them."""
    settings: dict[str, Any] = {"model": str(tiny_generator), "rank": 2, "batch_size": 3, "learning_rate": 1e-2}
    config = AdaptConfig(method="lora", ema_decay=0.0, precision="float32", **settings)
    (tmp_path / "together").mkdir()
    train_in_two(tiny_generator, tmp_path / "together", config)
    assert (tmp_path / "together" / "killed").exists()
    losses, weights = fit(tiny_generator, tmp_path / "together", steps=6)  # trains nothing: reads what they ended with
    expected_losses, expected = fit(tiny_generator, tmp_path / "alone", steps=6)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-4)
