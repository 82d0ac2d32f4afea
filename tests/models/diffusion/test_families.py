"""What every family keeps: images that depend on their identity only and are the plain pipeline's; training that learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tckr.errors import UserError
from tckr.models.diffusion.generator import Sampling, check_image_size
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator
from tests.models.diffusion.drawing import PROMPTS, SEEDS, draw, draw_plainly, grey_levels_apart
from tests.tiny_generators import IMAGE_SIZES, build_family
from tests.tiny_models import fresh_generator

FLOW = ("sd3", "flux", "sana")


def test_image_depends_on_its_prompt_and_seed_only(family: str, generator: LatentDiffusion) -> None:
    size = IMAGE_SIZES[family]
    together = draw(generator, size)
    assert together.shape == (3, size, size, 3)
    assert together.dtype == np.uint8
    assert together.std() > 5
    for i in range(3):
        assert grey_levels_apart(draw(generator, size, slice(i, i + 1))[0], together[i]) <= 1
    assert np.array_equal(draw(generator, size), together)


@pytest.mark.parametrize("guidance_scale", [2.0, 1.0])
def test_images_are_those_of_the_plain_pipeline(
    family: str, generator: LatentDiffusion, families: dict[str, Path], guidance_scale: float
) -> None:
    size = IMAGE_SIZES[family]
    plain = draw_plainly(families[family], size, guidance_scale)
    assert grey_levels_apart(draw(generator, size, guidance_scale=guidance_scale), plain) <= 1


def test_prompt_seed_and_guidance_matter(family: str, generator: LatentDiffusion) -> None:
    size = IMAGE_SIZES[family]
    images = draw(generator, size)
    assert all(grey_levels_apart(images[i], images[j]) > 10 for i, j in [(0, 1), (0, 2), (1, 2)])
    assert grey_levels_apart(draw(generator, size, guidance_scale=1.0), images) > 1
    told = generator.encode_prompts([PROMPTS[0]] * 2 + [PROMPTS[1]])
    for rows in told.values():
        assert torch.equal(rows[0], rows[1])
    assert any(not torch.equal(rows[0], rows[2]) for rows in told.values())


def test_prompts_do_not_depend_on_their_batch(generator: LatentDiffusion) -> None:
    together = generator.encode_prompts([*PROMPTS, "a much longer prompt than all of the others here", ""])
    for i, prompt in enumerate(PROMPTS):
        for name, rows in generator.encode_prompts([prompt]).items():
            assert rows.shape[1:] == together[name].shape[1:]
            torch.testing.assert_close(rows[0], together[name][i], atol=1e-5, rtol=1e-5)


def test_cut_prompts_are_counted_by_the_longest_encoder(family: str, generator: LatentDiffusion) -> None:
    limits = {"sd1": 24, "sd2": 24, "sdxl": 24, "sd3": 256, "flux": 512, "sana": 300}
    assert generator.num_tokens == limits[family]
    special = {"sana": 0}.get(family, 2)  # CLIP: start and end; T5: its mark of a word, and the end
    fitting = "x" * (limits[family] - special)
    assert generator.count_cut([fitting, fitting + "x", "short"]) == 1


def test_encoded_images_decode_to_what_the_autoencoder_makes_of_them(family: str, generator: LatentDiffusion) -> None:
    size, vae = IMAGE_SIZES[family], generator.pipeline.vae
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    means, deviations = generator.encode_images(images).chunk(2, dim=1)
    with torch.no_grad():
        encoded = vae.encode(images * 2 - 1)
        raw = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latent
        expected = ((vae.decode(raw).sample / 2 + 0.5).clamp(0, 1) * 255).permute(0, 2, 3, 1).numpy()
    shift, scale = vae.config.get("shift_factor") or 0, vae.config.scaling_factor
    torch.testing.assert_close(means, (raw - shift) * scale)
    if family == "sana":
        assert not deviations.any()  # its autoencoder is deterministic
    else:
        torch.testing.assert_close(deviations, encoded.latent_dist.std * scale)
    assert np.abs(generator.decode(means) - expected).max() <= 1


def test_pixels_that_are_not_numbers_do_not_become_black(family: str, generator: LatentDiffusion) -> None:
    size = IMAGE_SIZES[family] // 2
    with pytest.raises(UserError, match="not finite numbers"):
        generator.decode(torch.full((1, 4, size, size), torch.nan))


@pytest.mark.parametrize("error", [0.0, 3.0])
def test_loss_is_the_squared_error_of_the_denoiser(family: str, generator: LatentDiffusion, error: float) -> None:
    """A denoiser that answers what it should has no loss: closed forms of the noisy input and of the target."""
    size = IMAGE_SIZES[family] // 2
    latents, noise = torch.randn(2, 4, size, size), torch.randn(2, 4, size, size)
    timesteps = torch.tensor([0, 70])
    if family in FLOW:
        even = (timesteps + 1) / generator.num_timesteps
        sigma = (even if family == "flux" else 3 * even / (1 + 2 * even)).reshape(2, 1, 1, 1)  # the tiny checkpoints' shift
        noisy, target, times = (1 - sigma) * latents + sigma * noise, noise - latents, 1000 * sigma.flatten()
    else:
        signal = generator.pipeline.scheduler.alphas_cumprod[timesteps].reshape(2, 1, 1, 1).sqrt()
        deviation = (1 - signal**2).sqrt()
        noisy, times = signal * latents + deviation * noise, timesteps
        target = signal * noise - deviation * latents if family == "sd2" else noise

    def predict(found: torch.Tensor, found_times: torch.Tensor, told: object) -> torch.Tensor:
        torch.testing.assert_close(found, noisy)
        torch.testing.assert_close(found_times, times)
        return target + error

    generator.family.predict = predict  # type: ignore[method-assign]
    loss = generator.training_loss(latents, generator.encode_prompts(["a", "b"]), noise, timesteps)
    torch.testing.assert_close(loss, torch.full((2,), error**2), atol=1e-9, rtol=1e-5)


def test_training_and_sampling_ask_the_denoiser_alike(family: str, generator: LatentDiffusion) -> None:
    """With pure noise at the last timestep, training meets what the first step of sampling meets."""
    asked = []
    predict = generator.family.predict

    def record(latents: torch.Tensor, times: torch.Tensor, told: dict[str, torch.Tensor]) -> torch.Tensor:
        asked.append((latents, times, told))
        return predict(latents, times, told)

    generator.family.predict = record  # type: ignore[method-assign]
    draw(generator, IMAGE_SIZES[family], slice(0, 1), guidance_scale=1.0, steps=1)
    latents, times, told = asked[0]
    last = torch.tensor([generator.num_timesteps - 1])
    generator.training_loss(torch.zeros_like(latents), generator.encode_prompts(PROMPTS[:1]), latents, last)
    assert asked[1][0].shape == latents.shape
    assert asked[1][2].keys() == told.keys()
    if family in FLOW:
        torch.testing.assert_close(asked[1][0], latents)
        torch.testing.assert_close(asked[1][1].float(), times.float(), atol=1.0, rtol=0)  # Sana's scheduler rounds down


def test_few_training_steps_lower_the_loss(family: str, generator: LatentDiffusion) -> None:
    size, draws = IMAGE_SIZES[family] // 2, torch.Generator().manual_seed(0)
    parameters = generator.add_lora(4, seed=0)
    latents, noise = torch.randn(8, 4, size, size, generator=draws), torch.randn(8, 4, size, size, generator=draws)
    told = {name: rows.clone() for name, rows in generator.encode_prompts(["one image"] * 8).items()}
    timesteps = generator.draw_timesteps(torch.arange(8) * generator.num_timesteps // 8)
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-2)
    generator.enable_gradient_checkpointing()
    losses = []
    for _ in range(8):
        loss = generator.training_loss(latents, told, noise, timesteps).mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in parameters.values())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.001


def test_gradient_checkpointing_changes_no_gradient(family: str, families: dict[str, Path]) -> None:
    size = IMAGE_SIZES[family] // 2
    latents, noise = torch.ones(1, 4, size, size), torch.ones(1, 4, size, size).cumsum(-1) / size
    gradients = []
    for checkpointing in (False, True):
        generator = fresh_generator(families[family])
        parameters = generator.add_lora(2, seed=0)
        if checkpointing:
            generator.enable_gradient_checkpointing()
        told = {name: rows.clone() for name, rows in generator.encode_prompts(["a"]).items()}
        generator.training_loss(latents, told, noise, torch.tensor([50])).sum().backward()
        gradients.append([parameter.grad for parameter in parameters.values()])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_unfitting_image_size_names_the_nearest(family: str, generator: LatentDiffusion) -> None:
    multiple = {"sana": 32, "sd3": 4, "flux": 4}.get(family, 8)
    check_image_size(generator, 3 * multiple)
    with pytest.raises(UserError, match=rf"multiple of {multiple} px.*prepare.image_size={3 * multiple} or {4 * multiple}"):
        check_image_size(generator, 3 * multiple + 1)


def test_empty_prompt_of_sdxl_is_zero_where_it_was_trained_so(families: dict[str, Path]) -> None:
    generator = fresh_generator(families["sdxl"])
    told = generator.encode_prompts(["", "a", ""])
    for rows in told.values():
        assert not rows[[0, 2]].any()
        assert rows[1].any()
    generator.pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    assert all(rows.any() for rows in generator.encode_prompts([""]).values())


def test_sd3_without_t5_counts_clip_tokens(tmp_path: Path) -> None:
    generator = load_generator(str(build_family("sd3", tmp_path)), "cpu")
    generator.pipeline.text_encoder_3 = generator.pipeline.tokenizer_3 = None
    family = type(generator.family)(generator.pipeline)
    assert family.num_tokens == 24
    assert family.count_tokens(["abc"]) == [5]
    assert family.encode_prompts(["abc"])["prompt_embeds"].shape[0] == 1


def test_models_with_distilled_guidance_refuse_an_interval(families: dict[str, Path]) -> None:
    generator = fresh_generator(families["flux"])
    with pytest.raises(UserError, match="distilled guidance"):
        draw(generator, 16, guidance_interval=(0.0, 0.5))


def test_guidance_off_ignores_the_empty_prompt(family: str, generator: LatentDiffusion) -> None:
    told, sampling = generator.encode_prompts(PROMPTS), Sampling(steps=2, guidance_scale=1.0, size=IMAGE_SIZES[family])
    zeros, ones = ({name: fill(rows[:1]) for name, rows in told.items()} for fill in (torch.zeros_like, torch.ones_like))
    drawn = [generator.denoise(told, negative, seeds=SEEDS, sampling=sampling) for negative in (zeros, ones)]
    assert torch.equal(*drawn)


def test_an_image_that_is_larger_than_the_positions_of_sd3_is_refused(families: dict[str, Path]) -> None:
    generator = fresh_generator(families["sd3"])
    check_image_size(generator, 64)
    with pytest.raises(UserError, match=r"68 px.*at most 64 px; set prepare.image_size=64 or less"):
        check_image_size(generator, 68)
