"""Noise levels, densities and weights in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler
from scipy.stats import norm

from tckr.errors import UserError
from tckr.models.diffusion.forward_process import Diffusion, FlowMatching, process_of

GAMMA = 5.0


def diffusion(prediction: str) -> Diffusion:
    process = process_of(DDIMScheduler(num_train_timesteps=100, prediction_type=prediction, rescale_betas_zero_snr=True))
    assert isinstance(process, Diffusion)
    return process


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_min_snr_weighs_the_error_of_the_latents_alike_whatever_is_predicted(prediction: str) -> None:
    """Hang et al. 2023: the squared error of x_0 is weighed by min(SNR, gamma); the others follow from what x_0 is."""
    process, timesteps = diffusion(prediction), torch.arange(1, 90, 4)
    signal = process.scheduler.alphas_cumprod[timesteps].double()
    ratio = signal / (1 - signal)
    # An error e of the output is an error of x_0 of e sqrt(1 - a) / sqrt(a) (noise), e sqrt(1 - a) (velocity), e (latents).
    per_output = {"epsilon": 1 / ratio, "v_prediction": 1 - signal, "sample": torch.ones_like(ratio)}[prediction]
    expected = ratio.clamp(max=GAMMA) * per_output
    assert (ratio > GAMMA).any()
    assert (ratio < GAMMA).any()
    torch.testing.assert_close(process.weights(timesteps, GAMMA).double(), expected, rtol=1e-4, atol=1e-6)


def test_weights_without_signal_are_their_limits() -> None:
    last = torch.tensor([99])
    assert diffusion("epsilon").scheduler.alphas_cumprod[99] < 1e-6
    torch.testing.assert_close(diffusion("epsilon").weights(last, GAMMA), torch.ones(1))
    torch.testing.assert_close(diffusion("v_prediction").weights(last, GAMMA), torch.zeros(1), atol=1e-6, rtol=0)


def test_flow_matching_refuses_min_snr() -> None:
    with pytest.raises(UserError, match=r"gamma 5.*flow matching.*set adapt.min_snr_gamma=null"):
        FlowMatching(100, 1.0).weights(torch.tensor([3]), 5.0)


def test_unknown_prediction_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"prediction_type 'score'.*epsilon, v_prediction, sample"):
        process_of(DDIMScheduler(prediction_type="score"))


def test_flow_levels_are_those_of_diffusers_from_least_to_most_noise() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    process = process_of(scheduler)
    timesteps = torch.tensor([0, 500, 999])
    torch.testing.assert_close(process.times(timesteps), scheduler.timesteps[999 - timesteps])
    latents, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    expected = scheduler.scale_noise(latents, scheduler.timesteps[999 - timesteps], noise)
    torch.testing.assert_close(process.noisy(latents, noise, timesteps), expected)
    torch.testing.assert_close(process.target(latents, noise, timesteps), noise - latents)


@pytest.mark.parametrize(
    ("scheduler", "middle"),
    [
        (FlowMatchEulerDiscreteScheduler(shift=3.0), 0.75),
        (FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True), 0.5),
        (DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0), 0.75),
    ],
)
def test_shift_is_the_checkpoints(scheduler: object, middle: float) -> None:
    process = process_of(scheduler)
    assert process.times(torch.tensor([499])).item() == pytest.approx(1000 * middle)


def test_flow_timesteps_are_logit_normal_and_diffusions_uniform() -> None:
    uniform = torch.arange(1000)
    assert torch.equal(diffusion("epsilon").draw(uniform), uniform)
    drawn = FlowMatching(1000, 3.0).draw(uniform)
    assert drawn.dtype == torch.int64
    assert 0 <= drawn.min() < drawn.max() <= 999
    for quantile in (0.05, 0.25, 0.5, 0.9):
        expected = 1 / (1 + np.exp(-norm.ppf(quantile)))
        assert np.quantile(drawn / 1000, quantile) == pytest.approx(expected, abs=2e-3)
