"""Images that the Teacher disowns are generated again with other noise: bounded, counted, the same after a restart."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tckr.artifacts.synthetic import Candidates, load_synthetic, synthetic_column, synthetic_shards
from tckr.config import RunConfig
from tckr.data.seeds import derive_seed
from tckr.models.classifiers import build_classifier, class_columns, load_classifier, predict_logits
from tckr.pipeline import pipeline
from tckr.stages.generate import assemble, stage
from tckr.stages.generate.candidates import Candidate, better
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.plan import PlannedImage
from tests.stages.generate.tiny_sets import KilledError, write_adapter
from tests.tiny_artifacts import CLASS_NAMES, make_context, write_captions
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
CONFIG = GenerateConfig(steps=2, cardinality=1.2, shard_size=4, precision="float32", redraw_disowned=3)


@pytest.fixture
def inputs(tmp_path: Path, tiny_generator: Path) -> dict[str, Path]:
    """A Teacher that knows the classes in another order than the images."""
    build_classifier("embedded:resnet", 3, CLASS_NAMES[::-1], seed=1).save(tmp_path / "teacher" / "model")
    adapter = write_adapter(tmp_path / "adapter", tiny_generator)
    return {"captions": write_captions(tmp_path / "captions"), "adapter": adapter, "teacher": tmp_path / "teacher"}


def drawn(folder: Path, inputs: dict[str, Path], config: GenerateConfig = CONFIG) -> tuple[np.ndarray, ...]:
    stage.run(config, make_context(folder, inputs))
    images = load_synthetic(folder / "out", folder)
    return (np.array(images.images), images.labels, synthetic_column(folder / "out", "seed"))


def recognised(inputs: dict[str, Path], images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    teacher = load_classifier(inputs["teacher"] / "model")
    logits = predict_logits(teacher, images, batch_size=4)[:, class_columns(teacher.class_names, CLASS_NAMES)]
    return logits.argmax(axis=1) == labels


def test_only_images_that_the_teacher_disowns_are_generated_again_and_all_is_counted(tmp_path, inputs):
    plain, labels, seeds = drawn(tmp_path / "plain", inputs, CONFIG.model_copy(update={"redraw_disowned": 0}))
    images, _, new_seeds = drawn(tmp_path / "again", inputs)
    before, after = recognised(inputs, plain, labels), recognised(inputs, images, labels)
    assert 0 < before.sum() < len(before)
    assert np.array_equal(images[before], plain[before])
    assert np.array_equal(new_seeds[before], seeds[before])
    for old, new in zip(seeds[~before].tolist(), new_seeds[~before].tolist(), strict=True):
        assert new in [old, *(derive_seed(old, "candidate", number) for number in (1, 2, 3))]
    counted = Candidates.read(tmp_path / "again" / "out")
    numbers, known = (synthetic_column(tmp_path / "again" / "out", name) for name in ("candidates", "recognised"))
    assert np.array_equal(known, after)
    assert counted.total == {"n": len(images), "candidates": int(numbers.sum()), "recognised": int(after.sum())}
    assert set(numbers[before]) == {1}
    assert set(numbers[~after]) <= {4}
    assert not (tmp_path / "plain" / "out" / "candidates.json").exists()


def test_a_killed_step_ends_with_the_same_images_and_counts(tmp_path, inputs, monkeypatch):
    whole = drawn(tmp_path / "whole", inputs)
    with monkeypatch.context() as patched:
        patched.setattr(assemble, "write_synthetic_shard", killed_after_one())
        with pytest.raises(KilledError):
            stage.run(CONFIG, make_context(tmp_path / "killed", inputs))
    assert len(synthetic_shards(tmp_path / "killed" / "out")) == 1
    assert all(map(np.array_equal, drawn(tmp_path / "killed", inputs), whole))
    one, other = (Candidates.read(tmp_path / name / "out") for name in ("whole", "killed"))
    assert one == other


def killed_after_one():
    written, write = [], assemble.write_synthetic_shard

    def write_or_die(*given):
        if written:
            raise KilledError
        written.append(given)
        write(*given)

    return write_or_die


def test_of_candidates_that_nobody_recognises_the_most_probable_stays_and_the_earlier_of_equals():
    def candidate(number: int, probability: float, known: bool = False) -> Candidate:
        image = PlannedImage(index=0, label=0, prompt="", seed=number)
        return Candidate(image=image, pixels=np.zeros(1), number=number, recognised=known, probability=probability)

    first = candidate(1, 0.2)
    assert [better(first, other).image.seed for other in (candidate(2, 0.1), candidate(2, 0.2), candidate(2, 0.3))] == [
        1,
        1,
        2,
    ]
    assert better(first, candidate(2, 0.1)).number == 2
    assert better(candidate(1, 0.49), candidate(2, 0.4, known=True)).image.seed == 2


def test_the_teacher_is_an_input_of_generate_only_where_it_judges():
    def inputs_of(**settings):
        steps = {step.name: step for step in pipeline(RunConfig(generate=settings), b"")}
        return set(steps["generate"].inputs), steps["generate"].inputs.get("teacher") is steps["teach"]

    assert inputs_of() == ({"captions", "adapter"}, False)
    assert inputs_of(redraw_disowned=2) == ({"captions", "adapter", "teacher"}, True)


def test_images_generated_for_a_grey_set_have_no_colour(tmp_path, inputs, tiny_generator):
    config = CONFIG.model_copy(update={"redraw_disowned": 0})
    coloured, _, seeds = drawn(tmp_path / "colour", inputs, config)
    shutil.rmtree(inputs["adapter"])
    write_adapter(tmp_path / "adapter", tiny_generator, grey=True)
    grey, _, same = drawn(tmp_path / "grey", inputs, config)
    assert (coloured[..., 0] != coloured[..., 1]).any()
    assert (grey == grey[..., :1]).all()
    assert np.array_equal(seeds, same)
    luma = coloured @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[..., 0] - luma).max() <= 1
