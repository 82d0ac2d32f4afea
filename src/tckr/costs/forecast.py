"""Predict the cost for all images from the cost for a few: a fixed cost plus a cost proportional to the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tckr.config import RunConfig
from tckr.costs.guarantee import expected_per_step, gradients_of_means
from tckr.costs.probe import Probe
from tckr.stages.generate.config import GenerateConfig

CARDINALITIES = (0.1, 0.2, 1.0, 5.0, 10.0, 20.0)
"""Cardinalities of the paper."""

NOISY_COST = 4
"""Time to train on an image with noise, as a multiple of the time without (the embedded ResNet on one core)."""

LIKE_TEACH = ("votes", "dp_teacher")
"""Steps of stage `teach` under a guarantee. Their pace is estimated from that of the Teacher: a probe has too few steps."""

PER_IMAGE = ("caption", "generate", "label")
"""Stages whose artifacts grow with the number of images; other artifacts are models of constant size."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Predicted cost of one step.

    Attributes:
        seconds: wall-clock time.
        num_bytes: size of the artifact.
        scratch_bytes: size of caches and checkpoints, deleted when the stage is finished.
    """

    seconds: float
    num_bytes: float
    scratch_bytes: float


def work_of(config: RunConfig, num_members: int, cardinality: float, found: Probe) -> dict[str, dict[str, float]]:
    """Return, for each step up to the Student, the amount of work in each unit of its progress bars.

    Epochs and steps are converted to those of the probe `found`, which has fewer images. Early stopping may end a training
    sooner.
    """
    probe_members = found.num_members
    num_drawn, adapted = drawn(config.generate, num_members, cardinality), config.adapt.num_images(num_members)
    learned: dict[str, float] = {"teach": config.teach.num_teachers * config.teach.epochs * num_members}
    if config.privacy.takes_votes:  # Teachers of all parts together see each image once
        learned["votes"] = config.teach.epochs * num_members
    if config.privacy.has_teacher:
        noisy = NOISY_COST * config.privacy.teacher_epochs * num_members
        learned["dp_teacher"] = config.teach.epochs * num_drawn + noisy
    distill = config.distill.resolved(max(1, round(num_drawn * (1 - config.distill.validation_fraction))))
    return {
        "caption": {"images": num_members},
        "adapt": {
            "images": adapted,
            "steps": (config.adapt.num_steps(adapted) * _step_share(config, adapted) + _steps_of_means(config))
            / found.step_share,
        },
        "generate": {"images": num_drawn},
        **{name: {"epochs": images / probe_members} for name, images in learned.items()},
        "label": {"images": num_drawn},
        "distill": {"epochs": distill.epochs * num_drawn / probe_members},
    }


def _steps_of_means(config: RunConfig) -> float:
    """Return how many steps with `adapt.batch_size` images cost as much as the training on mean images."""
    return gradients_of_means(config) / (config.adapt.batch_size * config.privacy.noise_draws)


def _step_share(config: RunConfig, num_images: int) -> float:
    return expected_per_step(config, num_images) / config.adapt.batch_size


def drawn(generate: GenerateConfig, num_members: int, cardinality: float) -> int:
    """Return the number of synthetic images at this cardinality."""
    return generate.model_copy(update={"cardinality": cardinality}).num_images(num_members)


def forecast(config: RunConfig, num_members: int, cardinality: float, found: Probe) -> Mapping[str, Forecast]:
    """Return the predicted cost of each step up to the Student, on the machine of the probe."""
    images = {"generate", "label", "distill"}
    return {
        stage: _forecast(
            found,
            stage,
            units,
            growth=(drawn(config.generate, num_members, cardinality) if stage in images else num_members)
            / found.num_members,
        )
        for stage, units in work_of(config, num_members, cardinality, found).items()
    }


def _forecast(found: Probe, stage: str, units: Mapping[str, float], growth: float) -> Forecast:
    """Return the cost of `units` of work in one step, for `growth` times as many images as in the probe."""
    lap = found.laps["teach" if stage in LIKE_TEACH else stage]
    paced = sum(lap.phase(unit).seconds_per_unit * count for unit, count in units.items())
    return Forecast(
        seconds=lap.fixed_seconds + paced,
        num_bytes=lap.num_bytes * (growth if stage in PER_IMAGE else 1),
        scratch_bytes=lap.scratch_bytes * growth,
    )


def disk_needed(costs: Mapping[str, Forecast]) -> float:
    """Return the peak disk use in bytes of a run up to its Student: all artifacts, and the caches of one stage at a time."""
    return sum(cost.num_bytes for cost in costs.values()) + max(cost.scratch_bytes for cost in costs.values())


def images_per_second(found: Probe, stage: str) -> float:
    """Return the images per second of a stage: images trained on for a training, encoded images for `adapt`."""
    unit = {"teach": "epochs", "distill": "epochs"}.get(stage, "images")
    seconds = found.laps[stage].phase(unit).seconds_per_unit
    per_unit = found.num_members if unit == "epochs" else 1
    return per_unit / seconds if seconds else float("inf")
