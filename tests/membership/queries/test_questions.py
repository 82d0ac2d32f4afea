"""Every signal equals its definition, computed here in the plainest way, and is higher for records of the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from scipy.special import softmax

from tckr.data.images import ImageSet
from tckr.membership.collection import relative_to_base
from tckr.membership.config import QueryConfig
from tckr.membership.queries.denoising import denoising_losses
from tckr.membership.queries.questions import (
    QUESTIONS,
    Answers,
    Asked,
    ask_adapter,
    ask_attacker,
    ask_captions,
    ask_images,
    ask_student,
    ask_student_indirectly,
    ask_teacher,
)
from tckr.membership.queries.views import views
from tckr.models.classifiers import load_classifier, predict_features, predict_logits
from tckr.models.diffusion.latent import LatentDiffusion
from tests.membership.artifacts import (
    SHUFFLED_NAMES,
    log_odds,
    noise_images,
    write_adapter,
    write_all_captions,
    write_classifier,
    write_pool,
    write_synthetic,
)
from tests.tiny_artifacts import CLASS_NAMES
from tests.tiny_models import ARRAY_WARNING, fresh_generator

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
NUM = 10
IMAGES, LABELS = noise_images(0, NUM), np.arange(NUM) % 3
COPIED = [1, 4, 8]
"""Records whose images are among the synthetic ones."""
KNOWN = {"teacher": [0, 1, 2, 3, 4], "student": [3, 4, 5, 6, 7], "attacker": [5, 6, 7, 8, 9]}
"""Role of a classifier -> the records that it has learned by heart."""


def near(image: np.ndarray, step: int) -> np.ndarray:
    """Return `image` with one number changed by `step`."""
    changed = image.copy()
    changed[0, 0, 0] += step if image[0, 0, 0] < 128 else -step
    return changed


SYNTHETIC = np.concatenate([noise_images(1, 5), IMAGES[COPIED], near(IMAGES[0], 20)[None], near(IMAGES[0], 51)[None]])
SYNTHETIC_LABELS = np.arange(len(SYNTHETIC)) % 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return classifiers by role, each of other weights, and a synthetic set."""
    folder = tmp_path_factory.mktemp("asked")
    found = {"features": write_classifier(folder / "features", seed=0)}
    for seed, (role, rows) in enumerate(KNOWN.items()):
        found[role] = write_classifier(folder / role, seed, (IMAGES[rows], LABELS[rows]))
    prompts = [f"{CLASS_NAMES[label]}: drawn" for label in SYNTHETIC_LABELS]
    data = write_pool(folder / "data", IMAGES, LABELS, np.ones((1, NUM), dtype=bool))
    return found | {"data": data, "synthetic": write_synthetic(folder / "synthetic", SYNTHETIC, SYNTHETIC_LABELS, prompts)}


def asked(folders: Mapping[str, Path], cache: Path, labels: np.ndarray = LABELS, batch: int = 4, **settings: int) -> Asked:
    return Asked(
        folders=folders,
        records=ImageSet(IMAGES, labels, np.arange(NUM)),
        class_names=CLASS_NAMES,
        settings=QueryConfig(**settings),  # type: ignore[arg-type]
        device="cpu",
        batch_size=batch,
        cache=cache,
        advance=lambda amount: None,
    )


def brute_distances(records: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return float64 [N], from each record to the nearest of the others."""
    flat, bank = (each.reshape(len(each), -1).astype(np.float64) for each in (records, others))
    return np.array([min(np.sqrt(((one - other) ** 2).sum()) for other in bank) for one in flat])


def logits_of(folders: Mapping[str, Path], name: str, images: np.ndarray) -> np.ndarray:
    return predict_logits(load_classifier(folders[name] / "model"), np.ascontiguousarray(images), batch_size=32)


def test_images_score_higher_the_nearer_they_are_in_pixels(folders: dict[str, Path], tmp_path: Path) -> None:
    found = ask_images(asked(folders, tmp_path))["images_pixels"]
    assert found == pytest.approx(-brute_distances(IMAGES / 255, SYNTHETIC / 255), abs=1e-5)
    assert found[COPIED] == pytest.approx(0, abs=1e-9)
    assert found[0] == pytest.approx(-20 / 255, abs=1e-6)  # the nearer of two changed copies
    assert (np.delete(found, COPIED) < -0.05).all()


def test_images_score_higher_the_nearer_they_are_in_features(folders: dict[str, Path], tmp_path: Path) -> None:
    found = ask_images(asked(folders, tmp_path))["images"]
    model = load_classifier(folders["features"] / "model")
    features = [predict_features(model, images, batch_size=32) for images in (IMAGES, SYNTHETIC)]
    assert found == pytest.approx(-brute_distances(*features), abs=1e-4)
    assert found[COPIED] == pytest.approx(0, abs=1e-4)
    assert (np.delete(found, [0, *COPIED]) < -0.01).all()


def test_with_validation_images_nearness_is_also_given_relative_to_theirs(folders: dict[str, Path], tmp_path: Path) -> None:
    unseen = noise_images(7, 4)
    data = write_pool(tmp_path / "data", IMAGES, LABELS, np.ones((1, NUM), dtype=bool), list(unseen))
    found = ask_images(asked({**folders, "data": data}, tmp_path / "cache"))
    model = load_classifier(folders["features"] / "model")
    records, drawn, others = (predict_features(model, each, batch_size=32) for each in (IMAGES, SYNTHETIC, unseen))
    usual, own = brute_distances(records, others), brute_distances(records, drawn)
    small = 1e-3 * usual.mean()
    assert found["images_relative"] == pytest.approx(np.log(usual + small) - np.log(own + small), abs=0.01)
    assert "images_relative" not in ask_images(asked(folders, tmp_path))


def test_one_more_synthetic_image_never_lowers_the_signal(folders: dict[str, Path], tmp_path: Path) -> None:
    before = ask_images(asked(folders, tmp_path))
    more = np.concatenate([SYNTHETIC, IMAGES[6:7]])
    grown = write_synthetic(tmp_path / "grown", more, np.arange(len(more)) % 3, ["x"] * len(more))
    after = ask_images(asked({**folders, "synthetic": grown}, tmp_path))
    for name, signals in before.items():
        assert (after[name] >= signals - 1e-5).all()
        assert after[name][6] > signals[6] + 0.01


@pytest.mark.parametrize(
    ("form", "released", "expected"),
    [
        ("n: c", ["alpha: mark 0", "alpha: mark 0", "beta: mark 0", "beta: mark 4", "mark 8"], {0: 2, 4: 1}),
        ("c", ["alpha: mark 0", "mark 8", "mark 8", "mark 8"], {8: 3}),
        ("n", ["beta", "beta", "alpha: mark 0"], {1: 2, 4: 2, 7: 2}),
    ],
)
def test_captions_signal_is_the_logarithm_of_how_often_a_record_was_the_prompt(
    tmp_path: Path, form: str, released: list[str], expected: dict[int, int]
) -> None:
    count = len(released)
    found = {
        "captions": write_all_captions(tmp_path / "captions", [f"mark {record}" for record in range(NUM)]),
        "adapter": write_adapter(tmp_path / "adapter", "never loaded", prompt_form=form),
        "synthetic": write_synthetic(tmp_path / "drawn", SYNTHETIC[:count], SYNTHETIC_LABELS[:count], released),
    }
    counts = [expected.get(record, 0) for record in range(NUM)]
    assert ask_captions(asked(found, tmp_path))["captions"] == pytest.approx(np.log(1 + np.array(counts)))


@pytest.mark.parametrize(
    ("ask", "role", "column"),
    [(ask_teacher, "teacher", "teacher"), (ask_student, "student", "student"), (ask_attacker, "attacker", "soft_labels")],
)
def test_a_classifier_is_as_sure_of_the_records_label_as_its_log_odds_say(
    folders: dict[str, Path], tmp_path: Path, ask: Callable[[Asked], Answers], role: str, column: str
) -> None:
    by_view = [logits_of(folders, role, view) for view in views(IMAGES, 1, False)]
    odds = np.array([[log_odds(logits[row], LABELS[row]) for row in range(NUM)] for logits in by_view])
    found, unmoved = (ask(asked(folders, tmp_path, shift=shift)) for shift in (1, 0))
    assert found[column] == pytest.approx(odds.mean(axis=0), abs=1e-3)
    assert unmoved[column] == pytest.approx(odds[0], abs=1e-3)
    known = np.isin(np.arange(NUM), KNOWN[role])
    assert unmoved[column][known].mean() > unmoved[column][~known].mean() + 1
    if role == "attacker":
        assert set(found) == {"soft_labels"}  # no accuracy: the attacker's student is not released
        return
    said = [SHUFFLED_NAMES[best] for best in by_view[0].argmax(axis=1)]
    assert found[f"{role}_correct"].tolist() == [
        name == CLASS_NAMES[label] for name, label in zip(said, LABELS, strict=True)
    ]
    assert 0 < found[f"{role}_correct"].sum() < NUM


@pytest.mark.parametrize("num_neighbours", [1, 3, 1000])
def test_indirect_signal_is_the_mean_log_odds_of_the_records_label_on_its_neighbours(
    folders: dict[str, Path], tmp_path: Path, num_neighbours: int
) -> None:
    model = load_classifier(folders["features"] / "model")
    features, bank = (predict_features(model, images, batch_size=32).astype(np.float64) for images in (IMAGES, SYNTHETIC))
    logits = logits_of(folders, "student", SYNTHETIC)
    for labels in (LABELS, (LABELS + 1) % 3):  # the record's label counts, not that of its neighbours
        found = ask_student_indirectly(asked(folders, tmp_path, labels, num_neighbours=num_neighbours))["student_indirect"]
        for row in range(NUM):
            order = np.argsort(((bank - features[row]) ** 2).sum(axis=1))[:num_neighbours]
            assert found[row] == pytest.approx(np.mean([log_odds(logits[place], labels[row]) for place in order]), abs=1e-3)


@pytest.fixture(scope="module")
def adapters(tiny_generator: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return captions, the base model, and an adapter whose weights are set by hand."""
    folder = tmp_path_factory.mktemp("adapters")
    generator = fresh_generator(tiny_generator)
    assert isinstance(generator, LatentDiffusion)
    for name, weight in generator.add_lora(2, seed=0).items():
        weight.data.fill_(0.2 if "lora_B" in name else 0.1)
    changed = write_adapter(folder / "changed", tiny_generator, steps=1)
    generator.save_lora(changed)
    captions = write_all_captions(folder / "captions", [f"mark {record}" for record in range(NUM)])
    return {"captions": captions, "adapter": changed, "base": write_adapter(folder / "base", tiny_generator)}


def test_adapter_signal_is_that_of_all_weights_where_all_were_trained(
    adapters: dict[str, Path], tiny_generator: Path, tmp_path: Path
) -> None:
    generator = fresh_generator(tiny_generator)
    generator.load_lora(adapters["adapter"])
    whole = write_adapter(tmp_path / "whole", tiny_generator, steps=1)
    generator.save_weights(whole)
    expected = ask_adapter(asked(adapters, tmp_path, loss_draws=3))["adapter"]
    found = ask_adapter(asked({**adapters, "adapter": whole}, tmp_path, loss_draws=3))["adapter"]
    assert found == pytest.approx(expected, rel=1e-2)  # weights are stored in float16
    base = ask_adapter(asked({**adapters, "adapter": adapters["base"]}, tmp_path, loss_draws=3))["adapter"]
    assert np.abs(found - expected).max() < 0.1 * np.abs(base - expected).max()


def test_adapter_signal_is_minus_the_loss_of_the_adapted_generator(
    adapters: dict[str, Path], tiny_generator: Path, tmp_path: Path
) -> None:
    adapted = fresh_generator(tiny_generator)
    adapted.load_lora(adapters["adapter"])
    prompts = [f"{CLASS_NAMES[label]}: mark {record}" for record, label in enumerate(LABELS)]
    expected = denoising_losses(adapted, IMAGES, prompts, num_draws=3, batch_size=NUM)
    changed = ask_adapter(asked(adapters, tmp_path, loss_draws=3))["adapter"]
    assert changed == pytest.approx(-expected, abs=1e-5)
    base = ask_adapter(asked({**adapters, "adapter": adapters["base"]}, tmp_path, loss_draws=3))
    relative = relative_to_base({"0": {"adapter": changed}, "1": base, "base": base})
    assert relative["1"]["adapter"].tolist() == [0.0] * NUM
    assert np.abs(relative["0"]["adapter"]).max() > 1e-3


def test_every_question_tells_of_as_many_looks_as_it_announces(
    folders: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    for name, question in QUESTIONS.items():
        told: list[int] = []
        run = replace(asked({**adapters, **folders}, tmp_path, shift=1, loss_draws=2), advance=told.append)
        question.ask(run)
        assert sum(told) == question.looks(run.settings) * NUM, name


def test_an_ensemble_of_teachers_is_queried_as_one_model_by_its_mean_probability(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    members = [folders[role] / "model" for role in KNOWN]
    for number, member in enumerate(members, start=1):
        copytree(member, tmp_path / "ensemble" / "model" / f"member-{number}")
    found = ask_teacher(asked(folders | {"teacher": tmp_path / "ensemble"}, tmp_path, shift=0))
    each = [predict_logits(load_classifier(member), IMAGES, batch_size=32).astype(np.float64) for member in members]
    mean = np.log(np.mean([softmax(logits, axis=1) for logits in each], axis=0))
    expected = [log_odds(logits, label) for logits, label in zip(mean, LABELS, strict=True)]
    assert found["teacher"] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    alone = [log_odds(logits, label) for logits, label in zip(each[0], LABELS, strict=True)]
    assert np.abs(np.array(expected) - alone).max() > 1
