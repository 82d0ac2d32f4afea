"""Losses in closed form, images that depend on their identity only, and adapters that diffusers itself loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from tckr.errors import UserError
from tckr.models.diffusion.generator import Generator, Sampling, check_image_size
from tckr.models.diffusion.load import load_generator
from tests.tiny_models import ARRAY_WARNING, IMAGE_SIZE

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)

SEEDS = [3, 2**63 - 1, 5]
PROMPTS = ["alpha: thin", "beta: round", "gamma"]


def draw(generator: Generator, rows: slice = slice(None), guidance_scale: float = 2.0, steps: int = 3) -> np.ndarray:
    told, negative = generator.encode_prompts(PROMPTS[rows]), generator.encode_prompts([""])
    sampling = Sampling(steps=steps, guidance_scale=guidance_scale, size=IMAGE_SIZE)
    return generator.decode(generator.denoise(told, negative, seeds=SEEDS[rows], sampling=sampling))


def grey_levels_apart(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def disturb(parameters: dict[str, torch.nn.Parameter]) -> None:
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=noise))


@pytest.fixture(params=["tiny_generator", "tiny_v_generator", "tiny_stochastic_generator"])
def any_generator(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_image_depends_on_its_prompt_and_seed_only(any_generator: Path) -> None:
    generator = load_generator(str(any_generator), "cpu")
    together = draw(generator)
    assert together.shape == (3, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert together.dtype == np.uint8
    assert together.std() > 5
    for i in range(3):
        assert grey_levels_apart(draw(generator, slice(i, i + 1))[0], together[i]) <= 1
    assert np.array_equal(draw(generator), together)


def test_other_seeds_give_other_images(tiny_generator: Path) -> None:
    images = draw(load_generator(str(tiny_generator), "cpu"))
    assert all(grey_levels_apart(images[i], images[j]) > 10 for i, j in [(0, 1), (0, 2), (1, 2)])


def test_sampling_leaves_torchs_global_generator_alone(tiny_stochastic_generator: Path) -> None:
    generator = load_generator(str(tiny_stochastic_generator), "cpu")
    before = torch.get_rng_state()
    draw(generator)
    generator.add_lora(2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_guidance_off_ignores_the_empty_prompt(tiny_generator: Path) -> None:
    generator = load_generator(str(tiny_generator), "cpu")
    told, sampling = generator.encode_prompts(PROMPTS), Sampling(steps=2, guidance_scale=1.0, size=IMAGE_SIZE)
    zeros, ones = ({name: fill(rows[:1]) for name, rows in told.items()} for fill in (torch.zeros_like, torch.ones_like))
    drawn = [generator.denoise(told, negative, seeds=SEEDS, sampling=sampling) for negative in (zeros, ones)]
    assert torch.equal(*drawn)


@pytest.mark.parametrize("prediction", ["tiny_generator", "tiny_v_generator"])
def test_perfect_denoiser_has_no_loss(prediction: str, request: pytest.FixtureRequest) -> None:
    generator = load_generator(str(request.getfixturevalue(prediction)), "cpu")
    latents, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    timesteps = torch.tensor([0, 70])
    signal = generator.process.scheduler.alphas_cumprod[timesteps].reshape(2, 1, 1, 1).sqrt()
    deviation = (1 - signal**2).sqrt()
    perfect = noise if prediction == "tiny_generator" else signal * noise - deviation * latents

    def denoise(noisy: torch.Tensor, *_: object, **__: object) -> tuple[torch.Tensor]:
        torch.testing.assert_close(noisy, signal * latents + deviation * noise)
        return (perfect,)

    generator.pipeline.unet.forward = denoise
    loss = generator.training_loss(latents, {"prompt_embeds": torch.zeros(2, 1, 1)}, noise, timesteps)
    assert loss.shape == (2,)
    torch.testing.assert_close(loss, torch.zeros(2), atol=1e-10, rtol=0)
    perfect = perfect + torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    loss = generator.training_loss(latents, {"prompt_embeds": torch.zeros(2, 1, 1)}, noise, timesteps)
    torch.testing.assert_close(loss, torch.tensor([1.0, 9.0]))


def test_encoded_moments_are_the_autoencoders(tiny_generator: Path) -> None:
    generator = load_generator(str(tiny_generator), "cpu")
    images = torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE)
    moments = generator.encode_images(images)
    posterior = generator.pipeline.vae.encode(images * 2 - 1).latent_dist
    torch.testing.assert_close(moments, 0.5 * torch.cat([posterior.mean, posterior.std], 1))


def test_new_adapter_changes_nothing_and_trains_alone(tiny_generator: Path) -> None:
    generator = load_generator(str(tiny_generator), "cpu")
    base = draw(generator)
    parameters = generator.add_lora(4, seed=0)
    assert np.array_equal(draw(generator), base)
    assert {name.split(".lora_")[0].rsplit(".attn", 1)[1][2:] for name in parameters} == {"to_q", "to_k", "to_v", "to_out.0"}
    trainable = [name for name, weight in generator.pipeline.unet.named_parameters() if weight.requires_grad]
    assert trainable == list(parameters)


def test_adapter_weights_follow_the_seed(tiny_generator: Path) -> None:
    drawn = [next(iter(load_generator(str(tiny_generator), "cpu").add_lora(2, seed).values())) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_saved_adapter_draws_what_the_trained_one_drew(tiny_generator: Path, tmp_path: Path) -> None:
    trained = load_generator(str(tiny_generator), "cpu")
    base = draw(trained)
    disturb(trained.add_lora(4, seed=0))
    trained.save_lora(tmp_path)
    loaded = load_generator(str(tiny_generator), "cpu")
    loaded.load_lora(tmp_path)
    assert grey_levels_apart(draw(loaded), draw(trained)) <= 1
    assert grey_levels_apart(draw(loaded), base) > 5
    assert not any("lora" in name for name, _ in loaded.pipeline.unet.named_parameters())  # merged: no extra work


def test_equal_adapters_are_equal_files(tiny_generator: Path, tmp_path: Path) -> None:
    generator = load_generator(str(tiny_generator), "cpu")
    generator.add_lora(2, seed=0)
    files = set()
    for _ in range(8):
        generator.save_lora(tmp_path)
        files.add((tmp_path / "pytorch_lora_weights.safetensors").read_bytes())
    assert len(files) == 1


@pytest.mark.filterwarnings("ignore:.*No LoRA keys")
def test_diffusers_loads_the_adapter_by_itself(tiny_generator: Path, tmp_path: Path) -> None:
    ours = load_generator(str(tiny_generator), "cpu")
    disturb(ours.add_lora(4, seed=0))
    ours.save_lora(tmp_path)
    plain = StableDiffusionPipeline.from_pretrained(tiny_generator, safety_checker=None, requires_safety_checker=False)
    plain.load_lora_weights(tmp_path)
    plain.set_progress_bar_config(disable=True)
    theirs = plain(
        PROMPTS,
        negative_prompt=[""] * 3,
        height=IMAGE_SIZE,
        width=IMAGE_SIZE,
        num_inference_steps=3,
        guidance_scale=2.0,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="np",
    ).images
    assert grey_levels_apart(np.rint(theirs * 255).astype(np.uint8), draw(ours)) <= 1


def test_unfitting_image_size_names_the_nearest(tiny_generator: Path) -> None:
    generator = load_generator(str(tiny_generator), "cpu")
    check_image_size(generator, 24)
    with pytest.raises(UserError, match=r"28 px.*multiple of 8 px.*prepare.image_size=24 or 32"):
        check_image_size(generator, 28)


def test_loading_and_drawing_print_nothing(tiny_generator: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    generator = load_generator(str(tiny_generator), "cpu")
    generator.add_lora(2, seed=0)
    generator.save_lora(tmp_path)
    loaded = load_generator(str(tiny_generator), "cpu")
    loaded.load_lora(tmp_path)
    draw(loaded)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("name", ["{tmp}/missing", "embedded:unknown", "not a valid name!"])
def test_missing_generator_is_a_user_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"could not be loaded|embedded:generator"):
        load_generator(name.format(tmp=tmp_path), "cpu")


def test_unreachable_hub_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"'nobody/nothing' could not be loaded.*hf download.*embedded:generator"):
        load_generator("nobody/nothing", "cpu")


def test_unsupported_family_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "KandinskyPipeline"}))
    with pytest.raises(UserError, match=r"a KandinskyPipeline.*expected one of StableDiffusionPipeline, .*SanaPipeline"):
        load_generator(str(tmp_path), "cpu")
