"""Only what is on the list leaves: of artifacts full of private words, no copied byte has one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file
from transformers import AutoModelForImageClassification

from tckr.artifacts.soft_labels import LabelRecipe, read_soft_labels
from tckr.data.images import encode_png, load_images
from tckr.data.shards import write_shard
from tckr.data.variation import Variation, ViewRecipe
from tckr.errors import UserError
from tckr.models.classifiers import build_classifier, load_classifier, predict_logits
from tckr.sharing.allowed_files import LEAVES
from tckr.sharing.copying import copy_allowed

MARKER = "zoe_winter"
SEED = 987654321


def every_byte(folder: Path) -> str:
    """Return all that stands in the files of a folder: names, bytes, and of Parquet files every value and all metadata."""
    found = []
    for path in sorted(folder.rglob("*")):
        found.append(str(path.relative_to(folder)))
        if path.is_file():
            found.append(path.read_bytes().decode("latin-1"))
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                found += [str(file.schema_arrow.metadata), str(file.metadata.metadata), str(file.read().to_pylist())]
    return "\n".join(found)


def plant_generate(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    columns = {
        "image": [encode_png(image) for image in rng.integers(0, 255, (6, 8, 8, 3), dtype=np.uint8)],
        "label": np.arange(6) % 2,
        "prompt": [f"a: scan of {MARKER} {number}" for number in range(6)],
        "seed": SEED + np.arange(6),
        "index": np.arange(6),
    }
    write_shard(folder / "data" / "train-00000-of-00001.parquet", columns, ["a", "b"])
    (folder / "plan.json").write_text(json.dumps({"prompts": [MARKER], "redraw": [3], "root_seed": SEED}))
    (folder / "README.md").write_text(f"drawn for {MARKER}")
    return folder


def plant_label(folder: Path, views: int = 3) -> Path:
    folder.mkdir(parents=True)
    index = np.repeat(np.arange(4), views)
    soft = np.tile(np.array([0.25, 0.75], dtype=np.float16), (len(index), 1))
    soft[np.arange(len(index)) % views == 0] = [0.5, 0.5]
    columns = {"index": index, "label": index % 2, "view": np.arange(len(index)) % views, "soft_label": soft}
    path = folder / "soft_labels.parquet"
    write_shard(path, columns, ["a", "b"])
    recipe = LabelRecipe(temperature=2.0, views=ViewRecipe(num_views=views, seed=SEED, ranges=Variation(shift=0.1)))
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(recipe.into({**table.schema.metadata, b"owner": MARKER.encode()})), path)
    (folder / "agreement.json").write_text(json.dumps({MARKER: 1}))
    return folder


def plant_distill(folder: Path) -> Path:
    student = build_classifier("embedded:resnet", 2, ["a", "b"], seed=1)
    student.network.config._name_or_path = f"/home/{MARKER}/net"
    student.network.config.made_by = MARKER
    student.network.config.notes = [MARKER, {"who": MARKER}]
    student.save(folder / "model")
    weights = folder / "model" / "model.safetensors"
    raw = weights.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"] |= {"trained_on": f"/home/{MARKER}"}
    text = json.dumps(header).encode()
    weights.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
    config = folder / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"_name_or_path": f"/home/{MARKER}/net"}))
    (folder / "left_out.json").write_text(json.dumps({"indices": [3], MARKER: 1}))
    return folder


def plant_adapt(folder: Path) -> Path:
    folder.mkdir()
    weights = {"unet.to_q.lora.down.weight": np.ones((2, 4), dtype=np.float32)}
    save_file(weights, folder / "pytorch_lora_weights.safetensors", {"format": "pt", "trained_on": MARKER})
    (folder / "adapter.json").write_text(json.dumps({"descriptions": {"a": MARKER}, "model": f"/home/{MARKER}/net"}))
    (folder / "history.json").write_text(json.dumps([{MARKER: 1}]))
    return folder


PLANTED = {"adapt": plant_adapt, "generate": plant_generate, "label": plant_label, "distill": plant_distill}


@pytest.fixture
def planted(request, tmp_path) -> tuple[str, Path]:
    folder = PLANTED[request.param](tmp_path / request.param)
    manifest = {"config": {"model": f"/home/{MARKER}/net", "redraw": [3]}, "seed": SEED, "step": MARKER}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return request.param, folder


@pytest.mark.parametrize("planted", PLANTED, indirect=True)
def test_no_private_word_path_or_seed_is_in_a_copy(planted, tmp_path):
    stage, folder = planted
    assert MARKER in every_byte(folder)
    written = copy_allowed(stage, folder, tmp_path / "copy")
    assert written
    everything = every_byte(tmp_path / "copy")
    assert MARKER not in everything
    assert str(SEED)[:-1] not in everything
    assert not [
        path
        for path in written
        if path.name in ("manifest.json", "plan.json", "left_out.json", "agreement.json", "adapter.json")
    ]


def test_a_file_that_is_in_the_way_of_a_copy_is_left_as_it_is(tmp_path):
    artifact, mine = plant_generate(tmp_path / "set"), tmp_path / "mine"
    shard = next((artifact / "data").iterdir())
    (mine / "data").mkdir(parents=True)
    (mine / "data" / shard.name).write_text("mine")
    before = every_byte(artifact)
    for target in (mine, artifact):
        with pytest.raises(UserError, match="exists, and is left as it is"):
            copy_allowed("generate", artifact, target)
    assert (mine / "data" / shard.name).read_text() == "mine"
    assert every_byte(artifact) == before


def test_a_copied_set_has_its_images_labels_and_class_names(tmp_path):
    original = load_images(plant_generate(tmp_path / "set") / "data", None, id_column="index")
    copy_allowed("generate", tmp_path / "set", tmp_path / "copy")
    copied = load_images(tmp_path / "copy" / "data", None, id_column="index")
    assert np.array_equal(copied.images, original.images)
    assert np.array_equal(copied.labels, original.labels)
    (shard,) = (tmp_path / "copy" / "data").iterdir()
    assert pq.read_schema(shard).names == ["image", "label", "index"]
    assert json.loads(pq.read_schema(shard).metadata[b"huggingface"])["info"]["features"]["label"]["names"] == ["a", "b"]


def test_copied_soft_labels_are_those_of_the_images_as_they_are(tmp_path):
    copy_allowed("label", plant_label(tmp_path / "labels"), tmp_path / "copy")
    labels = read_soft_labels(tmp_path / "copy", tmp_path / "cache")
    assert labels.indices.tolist() == [0, 1, 2, 3]
    assert np.array_equal(labels.stored[:, 0], np.full((4, 2), 0.5, dtype=np.float16))
    assert (labels.recipe.temperature, labels.recipe.views.num_views) == (2.0, 1)


def test_a_copied_student_answers_as_before(tmp_path):
    folder = plant_distill(tmp_path / "student")
    copy_allowed("distill", folder, tmp_path / "copy")
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    before, after = (load_classifier(each / "model") for each in (folder, tmp_path / "copy"))
    assert after.class_names == ["a", "b"]
    assert np.array_equal(predict_logits(before, images, batch_size=3), predict_logits(after, images, batch_size=3))
    assert AutoModelForImageClassification.from_pretrained(tmp_path / "copy" / "model").config.id2label == {0: "a", 1: "b"}


@pytest.mark.parametrize("stage", ["prepare", "caption", "teach", "audit"])
def test_nothing_of_a_private_stage_may_be_copied(stage, tmp_path):
    assert stage not in LEAVES
    with pytest.raises(UserError, match=f"nothing of the stage {stage} may be shared"):
        copy_allowed(stage, tmp_path, tmp_path / "copy")


def test_a_report_that_shows_private_images_may_not_be_copied(tmp_path):
    for private in (True, False):
        folder = tmp_path / str(private)
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps({"contains_private": private}))
        (folder / "report.html").write_text("")
    assert len(copy_allowed("report", tmp_path / "False", tmp_path / "copy")) == 2
    with pytest.raises(UserError, match=r"report\.include_private=false"):
        copy_allowed("report", tmp_path / "True", tmp_path / "other")
