"""The Teacher that labels under a guarantee: what one unit can change is bounded, and noise of the stated size is added."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tckr.artifacts.guarantee import TeacherInputs
from tckr.artifacts.training import MODEL_FOLDER, read_history
from tckr.data.groups import write_groups
from tckr.errors import UserError
from tckr.models.classifiers import Classifier, load_classifier, predict_logits
from tckr.models.ghost_clipping import is_supported
from tckr.models.memory import BatchLimit
from tckr.privacy.units import Units
from tckr.stages.teach import dp_sgd, stage
from tckr.stages.teach.config import DpTeachConfig, TeachConfig
from tckr.stages.teach.dp_sgd import Lessons, continue_with_noise
from tckr.training.batches import TrainingData
from tckr.training.config import AugmentConfig
from tckr.training.fit import new_classifier
from tests.stages.teach.guaranteed import guarantee_of, write_adapter
from tests.tiny_artifacts import Recorder, make_context
from tests.training.colours import COLOURS, colour_data, draw_colours, write_prepared, write_synthetic

CLIP, EXPECTED = 0.01, 4
"""A norm below that of each gradient here, so that all are clipped."""

CONFIG = DpTeachConfig.of(TeachConfig(epochs=1, batch_size=16, learning_rate=3e-3, augment=AugmentConfig.none()))
EVERYONE = TeacherInputs(noise_multiplier=0.0, sampling_rate=1.0, steps=1, clip=CLIP)


def lessons_of(
    chosen: list[int], inputs: TeacherInputs = EVERYONE, *, unit_of: np.ndarray | None = None, seed: int = 3
) -> Lessons:
    data = colour_data(6)
    rows = np.array(chosen, dtype=np.int64)
    return Lessons(
        data=TrainingData(data.images, rows, np.asarray(data.targets)[rows]),
        units=Units(rows if unit_of is None else unit_of),
        inputs=inputs,
        expected=EXPECTED,
        seed=seed,
    )


def gradient(lessons: Lessons, *, per_pass: int = 8, prepare: object = None, config: DpTeachConfig = CONFIG) -> torch.Tensor:
    """Return the noisy gradient of the first step, all weights joined."""
    model = new_classifier(CONFIG, COLOURS, 1)
    learning = dp_sgd._make_learn(model)
    if callable(prepare):
        prepare(model)
    dp_sgd._set_noisy_gradient(model, learning, lessons, config, BatchLimit(per_pass), step=0, device="cpu")
    return torch.cat([weights.grad.flatten() for weights in model.parameters() if weights.grad is not None])


def test_a_unit_changes_the_sum_by_the_clipping_norm() -> None:
    everyone = gradient(lessons_of(list(range(6))))
    for unit in range(6):
        without = gradient(lessons_of([other for other in range(6) if other != unit]))
        change = EXPECTED * (everyone - without).norm().item()  # the sum is divided by the same number for both
        assert change == pytest.approx(CLIP, rel=1e-3)


def test_without_frozen_statistics_one_unit_changes_the_gradients_of_others() -> None:
    """The bug that evaluation mode prevents, planted: the statistics of a batch mix its units."""

    def mix(model: Classifier) -> None:
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.train()

    everyone, without = gradient(lessons_of(list(range(6))), prepare=mix), gradient(lessons_of(list(range(5))), prepare=mix)
    assert EXPECTED * (everyone - without).norm().item() > 1.05 * CLIP


def test_the_sum_is_the_same_whatever_the_passes() -> None:
    whole = gradient(lessons_of(list(range(6))))
    for per_pass in (1, 4):
        torch.testing.assert_close(gradient(lessons_of(list(range(6))), per_pass=per_pass), whole, rtol=1e-4, atol=1e-7)


def test_noise_has_the_stated_size_and_is_there_without_any_unit() -> None:
    nobody = TeacherInputs(noise_multiplier=3.0, sampling_rate=1e-12, steps=1, clip=CLIP)
    noise = gradient(lessons_of(list(range(6)), nobody))
    assert noise.std().item() == pytest.approx(3.0 * CLIP / EXPECTED, rel=5 / np.sqrt(2 * noise.numel()))
    with_everyone = gradient(lessons_of(list(range(6)), nobody.model_copy(update={"sampling_rate": 1.0})))
    torch.testing.assert_close(with_everyone - noise, gradient(lessons_of(list(range(6)))), rtol=1e-3, atol=1e-5)


def test_a_group_counts_once_however_many_images_it_has() -> None:
    group = np.array([0, 0, 0, 1, 1, 1])
    assert EXPECTED * gradient(lessons_of(list(range(6)), unit_of=group)).norm().item() <= 2 * CLIP * (1 + 1e-4)


def test_memory_that_runs_out_changes_nothing_but_the_passes() -> None:
    tried: list[int] = []

    def limit(model: Classifier) -> None:
        def check(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            tried.append(len(output))
            if len(output) > 2:
                raise torch.OutOfMemoryError("planted")

        [layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d)][-1].register_forward_hook(check)

    found = gradient(lessons_of(list(range(6))), prepare=limit)
    assert tried == [6, 3, 1, 1, 1, 1, 1, 1]
    torch.testing.assert_close(found, gradient(lessons_of(list(range(6)))), rtol=1e-4, atol=1e-7)


def test_normalization_and_statistics_stay_and_the_rest_learns(tmp_path: Path) -> None:
    model = new_classifier(CONFIG, COLOURS, 1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    result = continue_with_noise(model, lessons_of(list(range(6)), EVERYONE), CONFIG, device="cpu", scratch=tmp_path)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    kinds = dict(model.named_modules())
    assert changed
    assert all(is_supported(kinds[name.rpartition(".")[0]]) for name in changed)
    assert len(result.history) == 1


NOISY = TeacherInputs(noise_multiplier=1.0, sampling_rate=0.3, steps=8, clip=1.0)
LEARNING_WELL = DpTeachConfig(epochs=3, batch_size=16, learning_rate=3e-3, augment=AugmentConfig.none())


def teach(
    folder: Path,
    *,
    inputs: TeacherInputs = NOISY,
    fingerprint: str = "f",
    unit: str = "record",
    recorder: Recorder | None = None,
    config: DpTeachConfig = LEARNING_WELL,
) -> Path:
    """Run the stage, and return its folder; called again, it goes on with what a killed run left."""
    if not (folder / "data").exists():
        write_prepared(folder / "data")
        write_groups(folder / "data", np.arange(72) // 3)
        write_synthetic(folder / "synthetic")
        write_adapter(folder / "adapter", guarantee_of(unit, teacher=inputs))
    sources = {name: folder / name for name in ("data", "synthetic", "adapter")}
    context = make_context(folder, sources, seed=5, recorder=recorder)
    stage.run_of_dp_teacher(config, replace(context, fingerprint=fingerprint))
    return folder / "out"


def weights_in(folder: Path) -> torch.Tensor:
    return torch.cat([weights.flatten() for weights in load_classifier(folder / MODEL_FOLDER).parameters()])


def accuracy(folder: Path) -> float:
    images, labels = draw_colours(60, seed=99)
    model = load_classifier(folder / MODEL_FOLDER)
    order = [COLOURS.index(name) for name in model.class_names]
    return float((np.array(order)[predict_logits(model, images, batch_size=60).argmax(axis=1)] == labels).mean())


def test_it_learns_from_synthetic_images_and_goes_on_with_private_ones(tmp_path: Path) -> None:
    recorder = Recorder()
    folder = teach(tmp_path, recorder=recorder)
    assert accuracy(folder) > 0.6
    assert [record["epoch"] for record in read_history(folder)] == [0, 1]  # 8 steps; 4 of them see each unit once
    assert sum(recorder.advanced) == LEARNING_WELL.epochs + 2


def test_two_runs_share_no_noise_though_seed_and_secret_are_equal(tmp_path: Path) -> None:
    first, second = (weights_in(teach(tmp_path / name, fingerprint=name)) for name in ("a", "b"))
    assert not torch.equal(first, second)
    assert torch.equal(first, weights_in(teach(tmp_path / "again", fingerprint="a")))


def test_a_killed_training_goes_on_with_the_same_units_and_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, done = weights_in(teach(tmp_path / "whole")), []
    real = dp_sgd._set_noisy_gradient

    def killed(*given: object, step: int, **named: object) -> float:
        if step == 5:
            raise KeyboardInterrupt
        return real(*given, step=step, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(dp_sgd, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(dp_sgd, "_set_noisy_gradient", killed)
    with pytest.raises(KeyboardInterrupt):
        teach(tmp_path / "killed")

    def counted(*given: object, step: int, **named: object) -> float:
        done.append(step)
        return real(*given, step=step, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(dp_sgd, "_set_noisy_gradient", counted)
    assert torch.equal(weights_in(teach(tmp_path / "killed")), whole)
    assert done == [4, 5, 6, 7]


def test_units_are_groups_if_groups_are_protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(stage, "Units", lambda unit_of: seen.append(len(np.unique(unit_of))) or Units(unit_of))
    for unit in ("record", "group"):
        teach(tmp_path / unit, unit=unit, config=LEARNING_WELL.model_copy(update={"epochs": 1}))
    assert seen == [30, 20]  # 30 members, the even records of 60; three records in a row are a group


def test_layers_that_share_weights_stay() -> None:
    model = new_classifier(CONFIG, COLOURS, 1)
    learning = dp_sgd._make_learn(model)
    sharing = [layer for layer in learning if isinstance(layer, torch.nn.Conv2d)][-2:]
    sharing[0].weight = sharing[1].weight
    assert {id(layer) for layer in learning} - {id(layer) for layer in dp_sgd._make_learn(model)} == set(map(id, sharing))


def test_a_training_that_diverges_is_an_error(tmp_path: Path) -> None:
    model = new_classifier(CONFIG, COLOURS, 1)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(UserError, match=r"diverged at teach\.learning_rate=0.003; lower it"):
        continue_with_noise(model, lessons_of([0, 1]), CONFIG, device="cpu", scratch=tmp_path)


def test_all_augmentation_of_the_settings_is_used() -> None:
    plain = gradient(lessons_of(list(range(6))))
    for change in ({"crop": 0.3}, {"augmix_severity": 9.0}, {"shift": 0.3}):
        changed = CONFIG.model_copy(update={"augment": AugmentConfig.none().model_copy(update=change)})
        assert not torch.equal(gradient(lessons_of(list(range(6))), config=changed), plain)
