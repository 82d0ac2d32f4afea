"""Forecasts are straight lines: a fixed cost and a pace, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tckr.config import load_settings
from tckr.costs.forecast import NOISY_COST, drawn, forecast, images_per_second
from tckr.costs.guarantee import private_work
from tckr.costs.probe import Probe
from tckr.costs.stopwatch import Lap, Phase
from tckr.errors import UserError
from tckr.privacy.accountant import Training, count_noise, epsilon_spent
from tckr.stages.generate.config import GenerateConfig

STEADY = [(2.0, 10), (3.0, 20)]
"""Ten units at first, then ten a second: 0.1 s a unit, and 1 s more for the first."""


@pytest.fixture
def found() -> Probe:
    """Return a probe of 20 members: each phase took 3 s for 20 units and each stage 1 s beside it."""
    units = {"caption": ["images"], "adapt": ["images", "steps"], "generate": ["images"], "label": ["images"]}
    units |= {"teach": ["epochs"], "distill": ["epochs"]}
    laps = {
        stage: Lap(
            phases=[Phase(name, STEADY) for name in names],
            seconds=1 + 3 * len(names),
            num_bytes=2000,
            scratch_bytes=100,
        )
        for stage, names in units.items()
    }
    return Probe(laps=laps, num_members=20)


def test_every_stage_by_hand(found):
    config = load_settings(
        overrides=["adapt.steps=50", "teach.epochs=15", "teach.num_teachers=2", "distill.epochs=60"]
    ).run_config()
    costs = forecast(config, 200, 5.0, found)
    fixed = 1 + 1  # beside the phase, and in its first advance
    assert costs["caption"].seconds == pytest.approx(fixed + 200 * 0.1)
    assert costs["adapt"].seconds == pytest.approx(fixed + 1 + 200 * 0.1 + 50 * 0.1)
    assert costs["generate"].seconds == pytest.approx(fixed + 1000 * 0.1)
    assert costs["label"].seconds == pytest.approx(fixed + 1000 * 0.1)
    assert costs["teach"].seconds == pytest.approx(fixed + 30 * (200 / 20) * 0.1)
    assert costs["distill"].seconds == pytest.approx(fixed + 60 * (1000 / 20) * 0.1)


@pytest.mark.parametrize(
    ("batch_size", "per_step"), [(50, 50), (200, 200), (512, 200)]
)  # a step has each image at most once, so at most 200
def test_a_step_under_a_guarantee_takes_longer_than_the_probe_s_which_has_few_images(found, batch_size, per_step):
    overrides = ["adapt.steps=50", f"adapt.batch_size={batch_size}", "privacy.epsilon=10"]
    config = load_settings(preset="dp", overrides=overrides).run_config()
    costs = forecast(config, 200, 1.0, replace(found, step_share=20 / batch_size))
    assert costs["adapt"].seconds == pytest.approx(3 + 200 * 0.1 + 50 * 0.1 * per_step / 20)


def test_teachers_that_vote_learn_every_image_once_more(found):
    names = ["teach.epochs=15", "distill.labels=soft", "adapt.steps=50"]
    alone, voting = (
        forecast(load_settings(preset="dp", overrides=[*names, f"privacy.labels={labels}"]).run_config(), 200, 1.0, found)
        for labels in ("prompt", "votes")
    )
    assert "votes" not in alone
    assert voting["votes"].seconds == pytest.approx(2 + 15 * (200 / 20) * 0.1)
    assert voting["teach"].seconds == alone["teach"].seconds


def test_a_teacher_trained_with_noise_learns_synthetic_images_and_then_private_ones_more_slowly(found):
    names = ["teach.epochs=15", "adapt.steps=50"]
    alone, taught = (
        forecast(load_settings(preset="dp", overrides=[*names, *more]).run_config(), 200, 2.0, found)
        for more in (["privacy.labels=prompt"], ["privacy.teacher_epochs=5"])
    )
    assert "dp_teacher" not in alone
    assert taught["dp_teacher"].seconds == pytest.approx(2 + (15 * 400 + NOISY_COST * 5 * 200) / 20 * 0.1)
    assert taught["teach"].seconds == alone["teach"].seconds


@pytest.mark.usefixtures("coarse_accounting")
def test_work_under_a_guarantee_grows_with_steps_batch_and_draws_and_epsilon_changes_only_the_noise():
    def work(*overrides):
        settings = ["adapt.steps=50", "adapt.batch_size=20", "privacy.noise_draws=3", *overrides]
        return private_work(load_settings(preset="dp", overrides=settings).run_config(), 200)

    found = work("privacy.epsilon=10", "privacy.labels=prompt")
    assert (found.units_per_step, found.gradients) == (20, 50 * 20 * 3)
    spent = Training(sampling_rate=0.1, steps=50, noise_multiplier=found.noise_multiplier)
    assert 8.5 < epsilon_spent(spent, count_noise(10, 1e-5), 1e-5) < 9  # noise that is enough for 169 to 231 units too
    voted = work("privacy.epsilon=10", "privacy.labels=votes", "distill.labels=soft", "privacy.votes=100")
    assert voted.noise_multiplier > found.noise_multiplier
    assert (voted.vote_noise, voted.units_per_teacher) == (pytest.approx(14.14, abs=0.01), 200 / 250)
    assert voted.voted == 100
    assert work("privacy.epsilon=10", "privacy.labels=votes", "distill.labels=soft").voted == 200  # all that are generated
    assert (found.central_noise, found.units_per_mean) == (None, None)
    with pytest.raises(UserError, match=r"the set has about 200 images in all; set privacy\.central_images=false"):
        work("privacy.epsilon=10", "privacy.labels=prompt", "privacy.central_images=true")
    warmed = work("privacy.epsilon=90", "privacy.labels=prompt", "privacy.central_images=true")
    assert (warmed.central_noise, warmed.units_per_mean) == (pytest.approx(0.6, abs=0.2), pytest.approx(80, abs=25))
    strict = work("privacy.epsilon=1")
    assert strict.gradients == found.gradients
    assert strict.noise_multiplier > 2 * found.noise_multiplier


def test_sets_grow_on_disk_and_models_do_not(found):
    costs = forecast(load_settings().run_config(), 200, 5.0, found)
    assert {stage: cost.num_bytes for stage, cost in costs.items()} == {
        "caption": 20_000,
        "adapt": 2000,
        "generate": 100_000,
        "teach": 2000,
        "label": 100_000,
        "distill": 2000,
    }
    assert costs["teach"].scratch_bytes == 1000
    assert costs["distill"].scratch_bytes == 5000


def test_paces_of_trainings_count_images(found):
    assert images_per_second(found, "caption") == pytest.approx(10)
    assert images_per_second(found, "teach") == pytest.approx(10 * 20)


def test_a_longer_probe_is_expected(found):
    fixed = 2 * 5 + 3  # of five stages with one phase, and of adapt with two
    grown = 4 * 6 * 20 * 0.1 + 20 * 0.1  # six phases that grow, and the steps of adapt, which do not
    assert found.seconds_of(4) == pytest.approx(fixed + grown)
    assert replace(found, step_share=0.5).seconds_of(4) == pytest.approx(fixed + grown + 20 * 0.1)  # full at twice as many


def test_at_least_one_image_is_generated():
    plain = GenerateConfig()
    assert (drawn(plain, 3, 0.1), drawn(plain, 649, 0.1), drawn(plain, 10, 20)) == (1, 65, 200)
    assert drawn(GenerateConfig(per_class={"a": 5, "b": 7}), 649, 0.1) == 12
