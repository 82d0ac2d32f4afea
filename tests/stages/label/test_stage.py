"""label: one soft label per image, in the class order of the images, and how far prompt and Teacher agree."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tckr.data.class_names import read_class_names
from tckr.data.shards import list_shards
from tckr.models.classifiers import build_classifier, load_classifier, predict_logits
from tckr.stages.label.agreement import agreement_of, low_agreement
from tckr.stages.label.config import LabelConfig
from tckr.stages.label.labelling import Labeller
from tckr.stages.label.stage import run
from tckr.training.soft_labels import read_soft_labels
from tests.tiny_artifacts import Recorder, make_context
from tests.training.colours import COLOURS, draw_colours, write_synthetic

ORDER = ["blue", "red", "green"]


@pytest.fixture
def inputs(tmp_path):
    """A Teacher that knows the classes in another order than the images."""
    build_classifier("embedded:resnet", 3, ORDER, seed=1).save(tmp_path / "teacher" / "model")
    return {"synthetic": write_synthetic(tmp_path / "synthetic", count=20, shards=3), "teacher": tmp_path / "teacher"}


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_soft_labels_are_the_teachers_softmax_in_the_images_class_order(tmp_path, inputs):
    recorder = Recorder()
    run(LabelConfig(temperature=2.0), make_context(tmp_path, inputs, recorder=recorder))
    indices, soft_labels = read_soft_labels(tmp_path / "out" / "soft_labels.parquet", tmp_path / "cache.npy")
    teacher = load_classifier(inputs["teacher"] / "model")
    logits = predict_logits(teacher, draw_colours(20, seed=7)[0], batch_size=20)
    assert indices.tolist() == list(range(20))
    assert soft_labels.dtype == np.float16
    np.testing.assert_allclose(soft_labels, softmax(logits / 2)[:, [1, 2, 0]], atol=2e-3)
    assert read_class_names(tmp_path / "out") == COLOURS
    assert str(pq.read_schema(tmp_path / "out" / "soft_labels.parquet").field("soft_label").type.value_type) == "halffloat"
    assert sum(recorder.advanced) == 20


def test_a_killed_step_labels_only_the_missing_shards(tmp_path, inputs, monkeypatch):
    labelled = []
    soft_labels = Labeller.soft_labels

    def dies_in_the_second_shard(labeller, images):
        labelled.append(len(images))
        if len(labelled) == 3:
            raise KeyboardInterrupt
        return soft_labels(labeller, images)

    monkeypatch.setattr(Labeller, "soft_labels", dies_in_the_second_shard)
    with pytest.raises(KeyboardInterrupt):
        run(LabelConfig(), make_context(tmp_path, inputs))  # 7 + 7 + 6 images in batches of 4
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.undo()
    recorder = Recorder()
    run(LabelConfig(), make_context(tmp_path, inputs, recorder=recorder))
    assert sum(recorder.advanced) == 13
    run(LabelConfig(), make_context(tmp_path / "whole", inputs))
    one, other = (pq.read_table(folder / "out" / "soft_labels.parquet") for folder in (tmp_path, tmp_path / "whole"))
    assert one.equals(other)


def test_agreement_counts_by_class_and_warns_of_low_ones(tmp_path, inputs):
    recorder = Recorder()
    run(LabelConfig(), make_context(tmp_path, inputs, recorder=recorder))
    counts = json.loads((tmp_path / "out" / "agreement.json").read_text())
    table = pq.read_table(tmp_path / "out" / "soft_labels.parquet").to_pydict()
    seen = np.array(table["soft_label"], dtype=np.float32).argmax(axis=1)
    for index, name in enumerate(COLOURS):
        of_class = np.array(table["label"]) == index
        assert counts[name] == {"n": int(of_class.sum()), "agree": int((seen[of_class] == index).sum())}
    low = [name for name, count in counts.items() if count["agree"] < count["n"] / 2]
    warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
    assert len(warnings) == len(low) > 0  # an untrained Teacher
    assert all(any(f"'{name}'" in message for message in warnings) for name in low)


def test_a_class_without_images_does_not_warn():
    counts = agreement_of(np.array([[1, 1, 0], [0, 0, 0], [2, 0, 1]]), COLOURS)
    assert counts == {"red": {"n": 2, "agree": 1}, "green": {"n": 0, "agree": 0}, "blue": {"n": 3, "agree": 1}}
    assert low_agreement(counts) == ["blue"]


def test_shards_are_one_file_in_their_order(tmp_path, inputs):
    run(LabelConfig(), make_context(tmp_path, inputs))
    assert [path.name for path in list_shards(tmp_path / "out")] == ["soft_labels.parquet"]
