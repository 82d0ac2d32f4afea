"""The sampling loop: solvers, the guidance interval, and the source of the noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from tckr.errors import UserError
from tckr.models.diffusion.generator import Sampling
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator
from tckr.models.diffusion.sampling import DIFFUSION_SOLVERS, FLOW_SOLVERS, build_solver, space_quadratically
from tests.models.diffusion.drawing import PROMPTS, SEEDS, draw, draw_plainly, grey_levels_apart
from tests.tiny_generators import IMAGE_SIZES
from tests.tiny_models import fresh_generator


class Counted:
    """A denoiser that records the number of rows of each step."""

    def __init__(self, generator: LatentDiffusion) -> None:
        self.rows: list[int] = []
        self.predict = generator.family.predict
        generator.family.predict = self  # type: ignore[assignment, method-assign]

    def __call__(self, latents: torch.Tensor, times: torch.Tensor, told: dict[str, torch.Tensor]) -> torch.Tensor:
        self.rows.append(len(latents))
        return self.predict(latents, times, told)


def test_guidance_is_one_evaluation_of_both_halves_per_step(families: dict[str, Path]) -> None:
    generator = fresh_generator(families["sd1"])
    counted = Counted(generator)
    draw(generator, 16, steps=4)
    draw(generator, 16, steps=4, guidance_scale=1.0)
    assert counted.rows == [6] * 4 + [3] * 4


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sd3", "sana"])
def test_guidance_interval_from_nothing_to_everything(family: str, families: dict[str, Path]) -> None:
    generator, size = fresh_generator(families[family]), IMAGE_SIZES[family]
    guided, unguided = draw(generator, size), draw(generator, size, guidance_scale=1.0)
    assert np.array_equal(draw(generator, size, guidance_interval=(0.0, 1.0)), guided)
    assert np.array_equal(draw(generator, size, guidance_interval=(0.5, 0.5)), unguided)
    some = draw(generator, size, guidance_interval=(0.0, 0.4))
    assert not np.array_equal(some, guided)
    assert not np.array_equal(some, unguided)


def test_empty_prompt_is_not_evaluated_outside_of_the_interval(families: dict[str, Path]) -> None:
    generator = fresh_generator(families["sd1"])
    counted = Counted(generator)
    draw(generator, 16, steps=10, guidance_interval=(0.2, 0.5))
    assert counted.rows == [3, 3, 6, 6, 6, 3, 3, 3, 3, 3]


@pytest.mark.parametrize(("kind", "evaluations"), [(PNDMScheduler, 1), (HeunDiscreteScheduler, 2)])
def test_steps_of_several_evaluations_count_as_one(kind: type, evaluations: int, families: dict[str, Path]) -> None:
    generator = fresh_generator(families["sd1"])
    given = {"skip_prk_steps": True} if kind is PNDMScheduler else {}
    generator.pipeline.scheduler = kind.from_config(generator.pipeline.scheduler.config, **given)  # type: ignore[attr-defined]
    counted = Counted(generator)
    draw(generator, 16, steps=20, guidance_interval=(0.5, 0.51))  # step 10 alone
    assert len(counted.rows) > 20
    assert counted.rows.count(6) == evaluations


def test_every_solver_generates_or_says_what_the_family_offers(family: str, generator: LatentDiffusion) -> None:
    size = IMAGE_SIZES[family]
    default = draw(generator, size)
    for solver in ("dpm++", "unipc", "euler", "lcm"):
        if solver not in (FLOW_SOLVERS if family in ("sd3", "flux", "sana") else DIFFUSION_SOLVERS):
            with pytest.raises(UserError, match=rf"no solver '{solver}'.*to one of default, dpm\+\+, unipc, euler$"):
                draw(generator, size, solver=solver)
            continue
        images = draw(generator, size, solver=solver)
        assert grey_levels_apart(draw(generator, size, slice(1, 2), solver=solver)[0], images[1]) <= 1
        assert images.std() > 5
    assert np.array_equal(draw(generator, size), default)  # the checkpoint's own scheduler is left as it was


@pytest.mark.parametrize("family", ["sd2", "sdxl", "sd3", "flux", "sana"])
def test_solvers_meet_when_steps_are_many(family: str, families: dict[str, Path]) -> None:
    """They solve one equation; with wrong noise levels they would not meet."""
    generator, size = fresh_generator(families[family]), IMAGE_SIZES[family]

    def drawn(solver: str, steps: int) -> np.ndarray:
        return draw(generator, size, slice(0, 1), steps=steps, guidance_scale=1.0, solver=solver).astype(int)

    euler = drawn("euler", 60)
    few = np.abs(drawn("euler", 2) - euler).mean()
    for solver in ("dpm++", "unipc"):
        assert np.abs(drawn(solver, 60) - euler).mean() < few / 2


def test_quadratic_steps_are_those_of_the_formula_with_the_noise_levels_of_diffusers(families: dict[str, Path]) -> None:
    own = load_generator(str(families["sd2"]), "cpu").pipeline.scheduler
    spaced, given = build_solver("dpm++", own), build_solver("dpm++", own)
    spaced.set_timesteps(6)
    space_quadratically(spaced)
    times = [99, 69, 44, 25, 11, 3]  # 99 (1 - i/6)^2
    given.set_timesteps(timesteps=times)
    assert spaced.timesteps.tolist() == times
    assert torch.allclose(spaced.sigmas, given.sigmas)
    spaced.set_timesteps(80)
    space_quadratically(spaced)
    assert (spaced.timesteps.diff() < 0).all()  # no step stays at a noise level


def test_quadratic_steps_solve_the_same_equation(families: dict[str, Path]) -> None:
    generator = load_generator(str(families["sd2"]), "cpu")

    def drawn(spacing: str, solver: str, steps: int) -> np.ndarray:
        return draw(generator, 16, slice(0, 1), steps=steps, guidance_scale=1.0, solver=solver, spacing=spacing).astype(int)

    even = drawn("default", "euler", 30)
    few = np.abs(drawn("default", "euler", 2) - even).mean()
    for solver in ("dpm++", "unipc", "euler"):
        assert np.abs(drawn("quadratic", solver, 30) - even).mean() < few / 2
        assert not np.array_equal(drawn("quadratic", solver, 6), drawn("default", solver, 6))


def test_quadratic_steps_need_a_solver_between_noise_levels(families: dict[str, Path]) -> None:
    generator = load_generator(str(families["sd3"]), "cpu")
    with pytest.raises(UserError, match=r"generate.spacing=quadratic is for diffusion models.*FlowMatchEuler"):
        draw(generator, IMAGE_SIZES["sd3"], spacing="quadratic")
    with pytest.raises(UserError, match="this generator uses LCMScheduler"):
        draw(load_generator(str(families["sd2"]), "cpu"), 16, solver="lcm", spacing="quadratic")


@pytest.mark.parametrize(
    "kind", [DDIMScheduler, DDPMScheduler, PNDMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler]
)
def test_any_scheduler_of_a_checkpoint_gives_the_images_of_the_plain_pipeline(
    kind: type, families: dict[str, Path], tmp_path: Path
) -> None:
    generator = fresh_generator(families["sd1"])
    given = {"skip_prk_steps": True} if kind is PNDMScheduler else {}
    generator.pipeline.scheduler = kind.from_config(generator.pipeline.scheduler.config, **given)  # type: ignore[attr-defined]
    generator.pipeline.save_pretrained(tmp_path, safe_serialization=True)
    assert grey_levels_apart(draw(load_generator(str(tmp_path), "cpu"), 16), draw_plainly(tmp_path, 16)) <= 1


def test_noise_of_stochastic_schedulers_is_each_images_own(tiny_stochastic_generator: Path) -> None:
    generator = fresh_generator(tiny_stochastic_generator)
    together = draw(generator, 16)
    for i in range(3):
        assert grey_levels_apart(draw(generator, 16, slice(i, i + 1))[0], together[i]) <= 1
    assert grey_levels_apart(together, draw_plainly(tiny_stochastic_generator, 16)) <= 1


def test_drawing_leaves_torchs_global_generator_alone(tiny_stochastic_generator: Path) -> None:
    generator = fresh_generator(tiny_stochastic_generator)
    before = torch.get_rng_state()
    draw(generator, 16)
    draw(generator, 16, solver="lcm")
    generator.add_lora(2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_compiled_denoiser_gives_the_same_images(families: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled without inductor, which takes half a minute: what is compiled, and that it stands in for the denoiser."""
    generator = fresh_generator(families["sd1"])
    before = draw(generator, 16)
    asked: list[dict[str, object]] = []
    compile_module = torch.nn.Module.compile

    def compile_eagerly(module: torch.nn.Module, **settings: object) -> None:
        asked.append(settings)
        compile_module(module, backend="eager", dynamic=settings["dynamic"])

    monkeypatch.setattr(torch.nn.Module, "compile", compile_eagerly)
    generator.compile_denoiser()
    assert asked == [{"mode": "default", "dynamic": False}]
    assert grey_levels_apart(draw(generator, 16), before) <= 1
    assert not any("_orig_mod" in name for name, _ in generator.denoiser.named_parameters())


@pytest.mark.parametrize("family", IMAGE_SIZES)
def test_bfloat16_gives_nearly_the_same_images_with_float32_weights(families: dict[str, Path], family: str) -> None:
    generator, size = fresh_generator(families[family]), IMAGE_SIZES[family]
    exact, rounded = draw(generator, size), draw(generator, size, bfloat16=True)
    assert generator.dtype == torch.float32
    assert np.abs(exact.astype(int) - rounded.astype(int)).mean() < 2
    told, sampling = generator.encode_prompts(PROMPTS), Sampling(steps=2, guidance_scale=1.0, size=size)
    latents = [
        generator.denoise(told, told, seeds=SEEDS, sampling=replace(sampling, bfloat16=bfloat16))
        for bfloat16 in (False, True)
    ]
    assert latents[1].dtype == torch.float32  # the solver's sums
    assert not torch.equal(*latents)


def test_the_unipc_solver_keeps_float32_beside_a_bfloat16_denoiser(families: dict[str, Path]) -> None:
    """UniPC adds predictions up by a matrix product, which must not be rounded."""
    generator = fresh_generator(families["sd1"])
    seen: list[bool] = []
    step = UniPCMultistepScheduler.step

    def watched(*arguments: object, **named: object) -> object:
        seen.append(torch.is_autocast_enabled("cpu"))
        return step(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UniPCMultistepScheduler, "step", watched)
        draw(generator, 16, solver="unipc", bfloat16=True)
    assert seen == [False] * 3
