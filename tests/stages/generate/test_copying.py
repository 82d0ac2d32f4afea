"""Near-copies of members are generated again until none is left or a bound is reached; the audit then flags no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tckr.artifacts.synthetic import ReplacedCopies, load_synthetic, synthetic_column
from tckr.config import RunConfig, load_settings
from tckr.data.images import encode_png
from tckr.data.seeds import derive_seed
from tckr.data.shards import write_shard
from tckr.engine.executors.local import LocalExecutor
from tckr.errors import UserError
from tckr.membership.likeness import features_of, features_of_records
from tckr.metrics.copies import measure_copies
from tckr.models.classifiers import build_classifier, load_classifier
from tckr.pipeline import pipeline
from tckr.stages.generate import stage
from tckr.stages.generate.candidates import Candidate, better
from tckr.stages.generate.config import GenerateConfig
from tckr.stages.generate.plan import PlannedImage
from tests.stages.generate.tiny_sets import write_adapter
from tests.tiny_artifacts import CLASS_NAMES, MEMBERS, NUM_POOL, Recorder, make_context, write_captions, write_private_set
from tests.tiny_models import ARRAY_WARNING

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
PLAIN = GenerateConfig(steps=2, cardinality=1.2, shard_size=4, precision="float32")
REDRAWS = 40
CONFIG = PLAIN.model_copy(update={"redraw_copies": REDRAWS})
COPIED = {0: 2, 4: 6, 8: 9}
"""Pool record -> the synthetic image that it is a copy of. Records 0 to 8 are members of run 0, 9 to 14 are not."""


@pytest.fixture
def inputs(tmp_path: Path, tiny_generator: Path) -> dict[str, Path]:
    """Write a pool in which three members are images that the generator makes; the hold-out is others of their kind."""
    inputs = {
        "captions": write_captions(tmp_path / "captions"),
        "adapter": write_adapter(tmp_path / "adapter", tiny_generator),
    }
    drawn, _ = draw(tmp_path / "first", inputs, PLAIN)
    inputs |= {"data": write_private_set(tmp_path / "data"), "features": tmp_path / "features"}
    build_classifier("embedded:resnet", 3, CLASS_NAMES, seed=1).save(inputs["features"] / "model")
    alike, _ = draw(tmp_path / "alike", inputs, PLAIN, seed=7)
    holdout = {record: alike[record - 9] for record in range(9, NUM_POOL)}
    plant(inputs["data"], {record: drawn[index] for record, index in COPIED.items()} | holdout)
    return inputs


def plant(data: Path, planted: dict[int, np.ndarray]) -> None:
    """Put images in place of some records of the pool."""
    for path in sorted((data / "pool").iterdir()):
        rows = pq.read_table(path).to_pylist()
        columns = {name: np.array([row[name] for row in rows], dtype=np.int64) for name in ("label", "record")}
        images = [encode_png(planted[row["record"]]) if row["record"] in planted else row["image"]["bytes"] for row in rows]
        path.unlink()
        write_shard(path, {"image": images, **columns}, CLASS_NAMES)


def draw(folder: Path, inputs: dict[str, Path], config: GenerateConfig, **changes) -> tuple[np.ndarray, np.ndarray]:
    stage.run(config, make_context(folder, inputs, **changes))
    return np.array(load_synthetic(folder / "out", folder).images), synthetic_column(folder / "out", "seed")


def flagged(folder: Path, inputs: dict[str, Path], run: int = 0) -> set[int]:
    """Return the indices that the audit flags in a synthetic set."""
    classifier = load_classifier(inputs["features"] / "model")
    sides = features_of_records(classifier, inputs["data"], run, batch_size=4, cache=folder)
    images = features_of(classifier, load_synthetic(folder / "out", folder), 4)
    return {image.synthetic for image in measure_copies(images, *sides, confidence=0.95).flagged}


def test_flagged_images_are_replaced_until_the_audit_flags_none_and_no_other_image_changes(tmp_path, inputs):
    assert flagged(tmp_path / "first", inputs) >= set(COPIED.values())
    before, seeds = draw(tmp_path / "plain", inputs, PLAIN)
    bad = sorted(flagged(tmp_path / "plain", inputs))
    after, new_seeds = draw(tmp_path / "replaced", inputs, CONFIG)
    assert flagged(tmp_path / "replaced", inputs) == set()
    same = [index for index in range(len(before)) if index not in bad]
    assert np.array_equal(after[same], before[same])
    assert np.array_equal(new_seeds[same], seeds[same])
    for index in bad:
        assert int(new_seeds[index]) in [
            derive_seed(int(seeds[index]), "candidate", number) for number in range(1, REDRAWS + 1)
        ]
    counted = ReplacedCopies.read(tmp_path / "replaced" / "out")
    assert counted == ReplacedCopies(redraws=REDRAWS, replaced=len(bad), left=0)
    assert not (tmp_path / "plain" / "out" / "replaced_copies.json").exists()


def test_what_is_left_when_the_bound_is_reached_is_counted_and_reported(tmp_path, inputs, monkeypatch):
    monkeypatch.setattr("tckr.stages.generate.copying.near_copies", lambda vectors, *_: np.ones(len(vectors), dtype=bool))
    before, _ = draw(tmp_path / "plain", inputs, PLAIN)
    recorder = Recorder()
    config = CONFIG.model_copy(update={"redraw_copies": 2})
    after, _ = draw(tmp_path / "all", inputs, config, recorder=recorder)
    assert np.array_equal(before, after), "of copies alone the first one stays"
    assert ReplacedCopies.read(tmp_path / "all" / "out") == ReplacedCopies(redraws=2, replaced=0, left=len(before))
    assert set(synthetic_column(tmp_path / "all" / "out", "candidates")) == {3}
    (warning,) = [event["message"] for event in recorder.events if event["event"] == "warning"]
    assert warning.startswith(f"{len(before)} images are near-copies of members after 2 further samples each")


def test_copies_of_this_runs_own_members_count_and_of_others_not(tmp_path, inputs):
    """Record 0 is a member of run 0 alone, record 8 of both; for run 1 the image of record 0 is near a hold-out record."""
    assert 0 not in MEMBERS[1]
    assert 8 in MEMBERS[1]
    other = {**inputs, "captions": write_captions(tmp_path / "captions.1", run=1)}
    before, _ = draw(tmp_path / "plain", other, PLAIN, run=1)
    planted = {0: before[3], 8: before[5]}
    plant(other["data"], planted)
    after, _ = draw(tmp_path / "replaced", other, CONFIG, run=1)
    assert np.array_equal(after[3], before[3])
    assert not np.array_equal(after[5], before[5])


def test_processes_replace_the_very_images_that_one_process_replaces(tmp_path, inputs):
    alone, _ = draw(tmp_path / "alone", inputs, CONFIG)
    with LocalExecutor(lambda _: 1, 2) as executor:
        shared, _ = draw(tmp_path / "shared", inputs, CONFIG, workers=executor.map)
    assert np.abs(alone.astype(int) - shared.astype(int)).max() <= 1
    assert flagged(tmp_path / "shared", inputs) == set()


def test_a_copy_is_worse_than_what_the_teacher_disowns():
    def candidate(seed: int, **judged) -> Candidate:
        image = PlannedImage(index=0, label=0, prompt="", seed=seed)
        return Candidate(image=image, pixels=np.zeros(1), number=seed, copies=int(judged["copied"]), **judged)

    copy, disowned = (
        candidate(1, copied=True, recognised=True),
        candidate(2, copied=False, recognised=False, probability=0.1),
    )
    assert better(copy, disowned).image.seed == better(disowned, copy).image.seed == 2
    assert (better(copy, disowned).copies, better(copy, candidate(2, copied=True)).copies) == (1, 2)


def test_too_few_records_to_compare_with_are_refused(tmp_path, inputs):
    membership = np.zeros((1, NUM_POOL), dtype=bool)
    membership[0, :14] = True
    np.save(inputs["data"] / "membership.npy", membership)
    with pytest.raises(UserError, match=r"found 14 and 1; expected 2 of each: raise prepare\.audit_holdout"):
        stage.run(CONFIG, make_context(tmp_path / "few", inputs))


def test_every_run_replaces_copies_of_its_own_members_with_one_classifier_that_saw_none():
    found = {
        step.name: step
        for step in pipeline(RunConfig(generate={"redraw_copies": 3}, audit={"num_reference_runs": 2, "depth": "full"}), b"")
    }
    for name in ("generate", "generate.1", "generate.2"):
        assert {source.name for source in found[name].inputs.values()} >= {"prepare", "teach.null"}, name
        assert found[name].config.redraw_copies == 3
    assert {found[name].run for name in ("generate", "generate.1")} == {0, 1}
    assert found["generate.null"].config.redraw_copies == 0
    assert set(found["generate.null"].inputs) == {"captions", "adapter"}
    assert found["audit"].inputs["features"].fingerprint == found["generate"].inputs["features"].fingerprint


def test_without_hold_out_records_replacing_copies_is_refused_before_anything_is_computed():
    with pytest.raises(UserError, match=r"prepare\.audit_holdout=0 leaves none"):
        load_settings(overrides=["prepare.audit_holdout=0.0", "generate.redraw_copies=3"])
