"""label: soft labels of each image and view, in the class order of the images, and how far prompt and Teacher agree."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from pydantic import ValidationError

from tckr.artifacts.agreement import agreement_of_counts, low_classes
from tckr.artifacts.soft_labels import read_soft_labels
from tckr.artifacts.training import TrainingSummary, write_history
from tckr.artifacts.voted_labels import VotedLabels
from tckr.data.class_names import read_class_names
from tckr.data.shards import list_shards, read_columns
from tckr.data.transforms import to_device
from tckr.data.variation import Variation
from tckr.data.views import make_views
from tckr.engine.executors.local import LocalExecutor
from tckr.errors import UserError
from tckr.models.classifiers import build_classifier, load_classifier, predict_logits
from tckr.stages.label.agreement import agreement_of
from tckr.stages.label.config import LabelConfig
from tckr.stages.label.labelling import Labeller
from tckr.stages.label.stage import run, run_of_prompts
from tckr.stages.label.wording import describe_low
from tests.tiny_artifacts import Recorder, make_context
from tests.training.colours import COLOURS, draw_colours, write_synthetic

ORDER = ["blue", "red", "green"]


SETTINGS = {"one": LabelConfig(views=1), "compressed views": LabelConfig(views=3, top_k=2)}


@pytest.fixture
def inputs(tmp_path):
    """A Teacher that knows the classes in another order than the images."""
    build_classifier("embedded:resnet", 3, ORDER, seed=1).save(tmp_path / "teacher" / "model")
    return {"synthetic": write_synthetic(tmp_path / "synthetic", count=20, shards=3), "teacher": tmp_path / "teacher"}


def test_without_a_teacher_labels_are_the_classes_of_prompts_or_of_votes(tmp_path, inputs):
    synthetic, labels = inputs["synthetic"], draw_colours(20, seed=7)[1]
    voted = tmp_path / "voted"
    voted.mkdir()
    VotedLabels(indices=np.array([5, 2]), labels=np.array([0, 1])).write(voted, COLOURS)
    changed = labels.copy()
    changed[[5, 2]] = [0, 1]
    for name, given, expected in (("prompts", {}, labels), ("votes", {"voted": voted}, changed)):
        recorder = Recorder()
        context = make_context(tmp_path / name, {"synthetic": synthetic, **given}, recorder=recorder)
        run_of_prompts(LabelConfig(views=3 if given else 1), context)
        assert ("label.views=3 has no effect: labels are classes" in str(recorder.events)) == bool(given)
        found = read_soft_labels(context.out, tmp_path / name)
        assert np.array_equal(found.stored[:, 0], np.eye(3)[expected])
        assert read_columns(context.out, ["label"])["label"].tolist() == labels.tolist()


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_soft_labels_are_the_teachers_softmax_in_the_images_class_order(tmp_path, inputs):
    recorder = Recorder()
    run(LabelConfig(views=1, temperature=2.0), make_context(tmp_path, inputs, recorder=recorder))
    found = read_soft_labels(tmp_path / "out", tmp_path)
    soft_labels = found.stored[:, 0]
    teacher = load_classifier(inputs["teacher"] / "model")
    logits = predict_logits(teacher, draw_colours(20, seed=7)[0], batch_size=20)
    assert found.indices.tolist() == list(range(20))
    assert (found.recipe.temperature, found.recipe.views.num_views, found.classes) == (2.0, 1, None)
    assert soft_labels.dtype == np.float16
    np.testing.assert_allclose(soft_labels, softmax(logits / 2)[:, [1, 2, 0]], atol=2e-3)
    assert read_class_names(tmp_path / "out") == COLOURS
    assert str(pq.read_schema(tmp_path / "out" / "soft_labels.parquet").field("soft_label").type.value_type) == "halffloat"
    assert sum(recorder.advanced) == 20


@pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS)
def test_other_machines_write_the_very_labels_that_one_process_writes(tmp_path, inputs, config):
    shards = []
    with LocalExecutor(lambda num_workers: 1) as executor:

        def workers(function, items, num_workers):
            shards.append((num_workers, len(items)))
            yield from executor.map(function, items, num_workers)

        files, advanced = {}, []
        for elsewhere in (False, True):
            recorder = Recorder()
            context = make_context(
                tmp_path / str(elsewhere), inputs, workers=workers, elsewhere=elsewhere, recorder=recorder
            )
            run(config, context)
            files[elsewhere] = (context.out / "soft_labels.parquet").read_bytes()
            advanced.append(sum(recorder.advanced))
    assert shards == [(2, 3)]
    assert files[True] == files[False]
    assert advanced == [20, 20]


def test_a_teacher_that_diverged_is_a_user_error(tmp_path, inputs):
    teacher = build_classifier("embedded:resnet", 3, ORDER, seed=1)
    next(teacher.parameters()).data.fill_(float("nan"))
    teacher.save(tmp_path / "teacher" / "model")
    with pytest.raises(UserError, match=r"not a number; its training probably diverged: lower teach\.learning_rate"):
        run(LabelConfig(), make_context(tmp_path, inputs))


@pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS)
def test_a_killed_step_labels_only_the_missing_shards(tmp_path, inputs, monkeypatch, config):
    labelled = []
    soft_labels = Labeller.soft_labels

    def dies_in_the_second_shard(labeller, images, indices):
        labelled.append(len(images))
        if len(labelled) == 3:
            raise KeyboardInterrupt
        return soft_labels(labeller, images, indices)

    monkeypatch.setattr(Labeller, "soft_labels", dies_in_the_second_shard)
    with pytest.raises(KeyboardInterrupt):
        run(config, make_context(tmp_path, inputs))  # 7 + 7 + 6 images in batches of 4
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.undo()
    recorder = Recorder()
    run(config, make_context(tmp_path, inputs, recorder=recorder))
    assert sum(recorder.advanced) == 13
    run(config, make_context(tmp_path / "whole", inputs))
    one, other = (pq.read_table(folder / "out" / "soft_labels.parquet") for folder in (tmp_path, tmp_path / "whole"))
    assert one.equals(other)


def test_agreement_counts_by_class_and_warns_of_low_ones(tmp_path, inputs):
    recorder = Recorder()
    run(LabelConfig(views=1), make_context(tmp_path, inputs, recorder=recorder))
    counts = json.loads((tmp_path / "out" / "agreement.json").read_text())
    table = pq.read_table(tmp_path / "out" / "soft_labels.parquet").to_pydict()
    seen = np.array(table["soft_label"], dtype=np.float32).argmax(axis=1)
    for index, name in enumerate(COLOURS):
        of_class = np.array(table["label"]) == index
        assert (counts[name]["n"], counts[name]["agree"]) == (of_class.sum(), (seen[of_class] == index).sum())
        assert counts[name]["low"] <= counts[name]["agree"] / counts[name]["n"] <= counts[name]["high"]
    warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
    assert len(warnings) == 1  # an untrained Teacher
    right = sum(count["agree"] for count in counts.values())
    assert warnings[0].startswith(
        f"the Teacher recognises {right / 20:.0%} of the 20 synthetic images as the class they were"
    )


def counted(**classes):
    return {name: agreement_of_counts(*counts) for name, counts in classes.items()}


def test_a_generator_that_cannot_draw_is_one_sentence_with_the_number_and_the_way_out():
    found = counted(a=(100, 20), b=(100, 10), c=(100, 30), d=(100, 0))
    assert describe_low(found, 0.98) == (
        "the Teacher recognises 15% of the 400 synthetic images as the class they were generated for (25% "
        "is guessing, lowest 'd' 0 of 100, 'b' 10 of 100, 'a' 20 of 100), and 98% of the private validation "
        "images: too few images show their class; use a larger model (adapt.model), adapt it longer "
        "(adapt.steps) or on a GPU (docs/generators.md)"
    )
    assert "validation" not in describe_low(found, None)


def test_of_two_classes_half_is_guessing_and_no_success():
    assert describe_low(counted(a=(50, 30), b=(50, 32)), None).startswith("the Teacher recognises 62% of the 100")
    assert describe_low(counted(a=(50, 45), b=(50, 40)), None) == ""


def test_single_classes_that_are_not_recognised_are_one_sentence_too():
    found = counted(a=(50, 49), b=(50, 20), c=(50, 48), d=(50, 50))
    assert describe_low(found, 0.98).startswith(
        "the Teacher recognises fewer than half of the images generated for 1 of 4 classes ('b' 20 of 50): these images show"
    )


def test_the_accuracy_of_the_kept_epoch_tells_the_teacher_from_the_generator(tmp_path, inputs):
    records = [{"epoch": epoch, "validation_accuracy": accuracy} for epoch, accuracy in enumerate([0.5, 0.91, 0.7])]
    write_history(inputs["teacher"], records)
    TrainingSummary(epochs=3, seconds=1.0, best_epoch=1, num_train=9).write(inputs["teacher"])
    recorder = Recorder()
    run(LabelConfig(), make_context(tmp_path, inputs, recorder=recorder))
    assert any("91% of the private validation images" in event.get("message", "") for event in recorder.events)


def test_a_class_without_images_does_not_warn():
    counts = agreement_of(np.array([[1, 1, 0], [0, 0, 0], [2, 0, 1]]), COLOURS)
    assert {name: (count.n, count.agree) for name, count in counts.items()} == {
        "red": (2, 1),
        "green": (0, 0),
        "blue": (3, 1),
    }
    assert (counts["green"].low, counts["green"].high) == (0, 1)
    assert list(low_classes(counts)) == ["blue"]


def test_shards_are_one_file_in_their_order(tmp_path, inputs):
    run(LabelConfig(), make_context(tmp_path, inputs))
    assert [path.name for path in list_shards(tmp_path / "out")] == ["soft_labels.parquet"]


def test_every_view_has_the_teachers_label_of_that_very_view(tmp_path, inputs):
    run(LabelConfig(views=3), make_context(tmp_path, inputs))
    found = read_soft_labels(tmp_path / "out", tmp_path)
    teacher = load_classifier(inputs["teacher"] / "model")
    pixels = to_device(draw_colours(20, seed=7)[0], "cpu")
    for view in range(3):
        made = make_views(pixels, found.indices, np.full(20, view), found.recipe.views)
        expected = softmax(teacher(made).detach().numpy())[:, [1, 2, 0]]
        np.testing.assert_allclose(found.of(np.arange(20), np.full(20, view)), expected, atol=1e-3)
    assert np.abs(found.stored[:, 1] - found.stored[:, 0]).max() > 1e-2  # a view has its own label
    run(LabelConfig(), make_context(tmp_path / "plain", inputs))
    assert np.array_equal(read_soft_labels(tmp_path / "plain" / "out", tmp_path / "plain").stored[:, 0], found.stored[:, 0])


def test_views_depend_on_the_seed_and_not_on_the_batch(tmp_path, inputs):
    stored = []
    for name, seed, batch_size in (("one", 0, 4), ("other batch", 0, 7), ("other seed", 1, 4)):
        run(LabelConfig(views=2), make_context(tmp_path / name, inputs, seed=seed, batch_size=batch_size))
        stored.append(np.array(read_soft_labels(tmp_path / name / "out", tmp_path / name).stored[:, 1]))
    np.testing.assert_allclose(stored[0], stored[1], atol=1e-3)
    assert np.abs(stored[0] - stored[2]).max() > 1e-2


def test_compressed_labels_of_views_are_read_by_datasets_and_agree_like_complete_ones(tmp_path, inputs):
    configs = {
        "whole": LabelConfig(views=1),
        "top": LabelConfig(views=2, top_k=2),
        "all": LabelConfig(views=1, top_k=3),
    }
    for name, config in configs.items():
        run(config, make_context(tmp_path / name, inputs))
    agreements = {name: (tmp_path / name / "out" / "agreement.json").read_text() for name in ("whole", "top", "all")}
    assert len(set(agreements.values())) == 1
    whole, top, every = (pq.read_table(tmp_path / name / "out" / "soft_labels.parquet") for name in agreements)
    assert every.equals(whole)
    rows = load_dataset(
        "parquet", data_files=str(tmp_path / "top/out/soft_labels.parquet"), cache_dir=str(tmp_path / "cache")
    )
    rows = rows["train"]
    assert rows.features["label"].names == COLOURS
    assert rows["index"][:4] == [0, 0, 1, 1]
    assert rows["view"][:4] == [0, 1, 0, 1]
    probabilities = np.array(whole.column("soft_label").to_pylist(), dtype=np.float32)
    assert np.array_equal(rows["soft_label_class"][::2], np.argsort(-probabilities, axis=1, kind="stable")[:, :2])
    assert np.array_equal(rows["soft_label"][::2], -np.sort(-probabilities, axis=1)[:, :2])
    assert top.num_rows == 40


def test_views_that_do_not_differ_are_refused():
    with pytest.raises(ValidationError, match="set one of label"):
        LabelConfig(views=2, augment=Variation(shift=0, rotation_degrees=0, scale=0))


def test_the_positive_control_learns_complete_labels_of_the_same_images():
    config = LabelConfig(views=4, top_k=1, temperature=2.0).memorizing()
    assert config == LabelConfig(views=1, temperature=2.0)
