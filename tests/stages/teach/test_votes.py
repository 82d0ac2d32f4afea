"""Private votes: adding or removing one unit changes the votes of one Teacher at most, whatever the order of the set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from tckr.artifacts.guarantee import VotesInputs
from tckr.artifacts.membership import MEMBERSHIP_NAME
from tckr.artifacts.voted_labels import VotedLabels
from tckr.data.groups import write_groups
from tckr.data.images import ImageSet, encode_png
from tckr.data.shards import write_shard
from tckr.errors import UserError
from tckr.stages.teach import stage, voting
from tckr.stages.teach.config import TeachConfig, VotingConfig
from tckr.stages.teach.votes import FEWEST_IMAGES, NO_VOTE, divide, histograms, noisy_choices
from tckr.stages.teach.wording import describe_silent, describe_small
from tests.stages.teach.guaranteed import guarantee_of, write_adapter
from tests.tiny_artifacts import Recorder, make_context
from tests.training.colours import COLOURS, SIZE, draw_colours, write_prepared

TEACHERS, VOTED, GROUP = 4, 90, 3
EVERYONE = list(range(24))
CONFIG = VotingConfig(epochs=3, batch_size=8, learning_rate=3e-3)
HARDLY = VotingConfig(epochs=1, batch_size=8, learning_rate=3e-3)
"""For tests that do not ask what Teachers learned."""


def write_members(folder: Path, chosen: list[int]) -> Path:
    """Write a `prepare` artifact whose members are these images, in this order; three images in a row are a group."""
    write_prepared(folder, num_pool=len(chosen), num_validation=0)
    images, labels = draw_colours(len(EVERYONE), seed=3)
    pool = {"image": [encode_png(images[place]) for place in chosen], "label": labels[chosen], "record": range(len(chosen))}
    write_shard(folder / "pool" / "part-00000.parquet", pool, COLOURS)
    np.save(folder / MEMBERSHIP_NAME, np.ones((1, len(chosen)), dtype=bool))
    numbers = {group: number for number, group in enumerate(dict.fromkeys(place // GROUP for place in chosen))}
    write_groups(folder, np.array([numbers[place // GROUP] for place in chosen]))
    return folder


def write_doubtful(folder: Path, count: int) -> Path:
    """Write a `generate` artifact of images that are of no class, so that little changes a vote."""
    images, rows = np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8), np.arange(count)
    columns = {"image": [encode_png(image) for image in images], "label": rows % len(COLOURS), "index": rows}
    write_shard(folder / "data" / "train-00000-of-00001.parquet", columns, COLOURS)
    return folder


def vote(
    folder: Path,
    chosen: list[int],
    unit: str = "record",
    *,
    noise: float = 0.0,
    fingerprint: str = "f",
    num_images: int = VOTED + 3,
    recorder: Recorder | None = None,
    config: VotingConfig = CONFIG,
) -> Path:
    """Run the stage on the members `chosen`, and return its folder, with the scratch folder that a run would delete."""
    if not (folder / "out" / "voted.parquet").exists():
        inputs = {
            "data": write_members(folder / "data", chosen),
            "adapter": write_adapter(
                folder / "adapter", guarantee_of(unit, votes=VotesInputs(images=VOTED, teachers=TEACHERS, noise=noise))
            ),
            "synthetic": write_doubtful(folder / "synthetic", num_images),
        }
        context = make_context(folder, inputs, seed=5, recorder=recorder)
        stage.run_of_votes(config, replace(context, fingerprint=fingerprint))
    return folder


@pytest.fixture(scope="module")
def of_everyone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the votes with all images, of which each is a unit."""
    return vote(tmp_path_factory.mktemp("everyone"), EVERYONE)


def votes_in(folder: Path) -> np.ndarray:
    return np.stack([np.load(folder / "scratch" / f"votes-{number}.npy") for number in range(TEACHERS)])


def votes_of_neighbours(
    folder: Path, unit: str, removed: list[int], whole: Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the votes with all images, and without the images `removed`, where the others come in another order."""
    rest = [place for place in np.random.default_rng(0).permutation(EVERYONE).tolist() if place not in removed]
    return votes_in(whole or vote(folder / "all", EVERYONE, unit)), votes_in(vote(folder / "rest", rest, unit))


def num_changed(whole: np.ndarray, neighbour: np.ndarray) -> int:
    return int((whole != neighbour).any(axis=1).sum())


@pytest.mark.parametrize(
    ("unit", "removed", "most"),
    [("record", [7], np.sqrt(2)), ("record", [11], np.sqrt(2)), ("group", [6, 7, 8], 1.0)],  # alone in its part
)
def test_one_unit_changes_one_teacher_and_each_histogram_by_sqrt_2_at_most(
    tmp_path: Path, of_everyone: Path, unit: str, removed: list[int], most: float
) -> None:
    whole, neighbour = votes_of_neighbours(tmp_path, unit, removed, of_everyone if unit == "record" else None)
    assert num_changed(whole, neighbour) == 1
    change = histograms(whole, len(COLOURS)) - histograms(neighbour, len(COLOURS))
    assert np.linalg.norm(change, axis=1).max() == pytest.approx(most)


def of_the_list(images: ImageSet, rows: np.ndarray, units: np.ndarray, *, num_parts: int, seed: int) -> list[np.ndarray]:
    return np.array_split(np.random.default_rng(seed).permutation(rows), num_parts)


def of_images(images: ImageSet, rows: np.ndarray, units: np.ndarray, *, num_parts: int, seed: int) -> list[np.ndarray]:
    return divide(images, rows, np.arange(len(rows)), num_parts=num_parts, seed=seed)


def by_number(images: ImageSet, rows: np.ndarray, units: np.ndarray, *, num_parts: int, seed: int) -> list[np.ndarray]:
    return [np.sort(part) for part in divide(images, rows, units, num_parts=num_parts, seed=seed)]


@pytest.mark.parametrize("planted", [of_the_list, of_images, by_number])
def test_a_unit_that_several_teachers_feel_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: Callable[..., Any]
) -> None:
    """Bugs planted on purpose: a split of the shuffled list, images of a unit in several parts, an order by number."""
    monkeypatch.setattr(stage, "divide", planted)
    assert num_changed(*votes_of_neighbours(tmp_path, "group", [6, 7, 8])) > 1


def test_parts_are_disjoint_and_complete_and_keep_a_unit_together() -> None:
    images, labels = draw_colours(60, seed=3)
    units = np.arange(60) // GROUP
    parts = divide(ImageSet(images, labels, np.arange(60)), np.arange(60), units, num_parts=5, seed=1)
    assert sorted(np.concatenate(parts).tolist()) == list(range(60))
    homes = [{number for number, part in enumerate(parts) if unit in units[part]} for unit in range(20)]
    assert all(len(home) == 1 for home in homes)
    assert min(len(part) for part in parts) > 0
    others = divide(ImageSet(images, labels, np.arange(60)), np.arange(60), units, num_parts=5, seed=2)
    assert any(part.tolist() != other.tolist() for part, other in zip(parts, others, strict=True)), "the key is used"


def test_the_winner_is_chosen_with_noise_of_the_stated_size() -> None:
    """The difference of two noisy numbers is normal, with a standard deviation of sqrt(2) times the noise."""
    choices = noisy_choices(np.tile([10, 7], (20_000, 1)), noise=3.0, seed=0)
    assert (choices == 0).mean() == pytest.approx(norm.cdf(3 / (3 * np.sqrt(2))), abs=0.015)


def test_only_choices_leave_and_each_run_has_its_own_noise(tmp_path: Path) -> None:
    first, again, other = (
        vote(tmp_path / name, EVERYONE, noise=50.0, fingerprint=name[0], config=HARDLY) for name in ("a1", "a2", "b1")
    )
    labels = [VotedLabels.read(folder / "out").labels for folder in (first, again, other)]
    assert np.array_equal(labels[0], labels[1])
    assert not np.array_equal(labels[0], labels[2])
    assert [path.name for path in (first / "out").iterdir()] == ["voted.parquet"]
    assert VotedLabels.read(first / "out").indices.tolist() == list(range(VOTED))


def test_an_interrupted_vote_goes_on_with_the_same_teachers(
    tmp_path: Path, of_everyone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, fit = [], voting.fit

    def dying(*arguments: Any, **named: Any) -> Any:
        fitted.append(named["seed"])
        if len(fitted) == 3:
            raise KeyboardInterrupt
        return fit(*arguments, **named)

    monkeypatch.setattr(voting, "fit", dying)
    with pytest.raises(KeyboardInterrupt):
        vote(tmp_path / "killed", EVERYONE)
    folder, recorder = tmp_path / "killed", Recorder()
    inputs = {name: folder / name for name in ("data", "adapter", "synthetic")}
    stage.run_of_votes(CONFIG, replace(make_context(folder, inputs, seed=5, recorder=recorder), fingerprint="f"))
    assert np.array_equal(votes_in(folder), votes_in(of_everyone))
    assert (recorder.done, sum(recorder.advanced)) == ([2], TEACHERS - 2)


@pytest.mark.parametrize("where", ["fit", "predict_logits"])
@pytest.mark.parametrize("error", [UserError, ValueError, torch.OutOfMemoryError, MemoryError])
def test_an_error_of_one_teacher_takes_its_vote_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: type[Exception]
) -> None:
    calls, works = [], getattr(voting, where)

    def fails_at_first(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise error("planted\nfailure")
        return works(*arguments, **named)

    monkeypatch.setattr(voting, where, fails_at_first)
    recorder = Recorder()
    votes = votes_in(vote(tmp_path, EVERYONE, num_images=20, recorder=recorder, config=HARDLY))
    assert (votes == NO_VOTE).all(axis=1).tolist() == [True, False, False, False]
    (told,) = [event for event in recorder.events if event["event"] == "no_vote"]
    assert told == {"event": "no_vote", "teacher": 0, "reason": f"{error.__name__}: planted failure"}
    (voted,) = [event for event in recorder.events if event["event"] == "voted"]
    assert (voted["teachers"], voted["silent"]) == (TEACHERS, 1)


def warnings_of(recorder: Recorder) -> list[str]:
    return [event["message"] for event in recorder.events if event["event"] == "warning"]


def test_votes_of_few_teachers_units_or_images_are_warned_of(tmp_path: Path) -> None:
    recorder = Recorder()
    votes = votes_in(vote(tmp_path, EVERYONE[: FEWEST_IMAGES - 1], num_images=50, recorder=recorder))
    assert (votes == NO_VOTE).all()
    images, units, silent = warnings_of(recorder)
    assert "only 50 images are generated, but the noise is that of 90 votes" in images
    assert "set privacy.votes=50" in images
    assert "each Teacher that votes learns from about 6 images" in units
    assert "4 of 4 Teachers do not vote: labels are noise alone" in silent


def test_enough_teachers_units_and_images_are_not_warned_of() -> None:
    votes = VotesInputs(images=90, teachers=20, noise=1.0)
    guarantee = guarantee_of(votes=votes).model_copy(update={"noisy_count": 500})
    assert describe_small(guarantee, 90) == []
    assert len(describe_small(guarantee.model_copy(update={"noisy_count": 499}), 89)) == 2
    assert describe_silent(2, 20) == ""
    assert "3 of 20 Teachers do not vote: the noise stays the same" in describe_silent(3, 20)


def test_validation_images_and_unequal_classes_have_no_influence() -> None:
    config = VotingConfig.of(TeachConfig(epochs=7, selection="best", patience=3, balance=1.0, num_teachers=2))
    assert (config.epochs, config.selection, config.patience) == (7, "last", None)
    assert not hasattr(config, "balance")
