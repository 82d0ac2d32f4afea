"""`prepare` end to end: digits, folders, tables, a kill in the middle, and the message if too little remains."""

from __future__ import annotations

import gc
import itertools
import re
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import MEMBERSHIP_ROWS, read_members, read_membership
from tckr.artifacts.split_lock import LOCK_KEY_NAME, check_test_split, split_digest
from tckr.data.images import load_images
from tckr.data.layouts.description import read_layout
from tckr.data.shards import read_columns, write_shard
from tckr.data.source_rows import SOURCE_ROWS_NAME
from tckr.errors import UserError
from tckr.stages.prepare import staging, writing
from tckr.stages.prepare.config import PrepareConfig
from tckr.stages.prepare.stage import run
from tests.data.layouts.encoded_cases import tars
from tests.stages.prepare.pictures import picture, png, prepared, write_classes
from tests.stages.prepare.test_odd_files import rejected
from tests.tiny_artifacts import Recorder, make_context


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("digits"), "digits", image_size=16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "data", {"cat": 20, "dog": 16, "emu": 12})


def test_all_digits_are_prepared(digits: Path) -> None:
    card = DataCard.read(digits)
    assert card.class_names == [str(digit) for digit in range(10)]
    assert card.num_pool + card.num_validation + card.num_test == 1797
    assert card.rejected == {}
    assert card.sizes == {"min": 8, "median": 8, "max": 8}
    assert sum(sum(counts.values()) for counts in card.counts.values()) == 1797


def test_records_are_numbered_through_the_splits(digits: Path) -> None:
    records = [read_columns(digits / split, ["record"])["record"] for split in ("pool", "validation", "test")]
    assert (np.concatenate(records) == np.arange(1797)).all()


def test_the_matrix_has_a_column_per_pool_record_and_rows_of_equal_size(digits: Path) -> None:
    card, matrix = DataCard.read(digits), read_membership(digits)
    assert matrix.shape == (MEMBERSHIP_ROWS, card.num_pool)
    assert set(matrix.sum(axis=1)) == {card.num_members}
    assert (read_members(digits, 2) == np.flatnonzero(matrix[2])).all()


def test_the_test_split_is_locked(digits: Path, tmp_path: Path) -> None:
    key = bytes.fromhex((digits / LOCK_KEY_NAME).read_text())
    assert split_digest(digits / "test", key) == DataCard.read(digits).test_sha256
    check_test_split(digits / "test", digits)
    for name in ("card.json", LOCK_KEY_NAME):
        (tmp_path / name).write_bytes((digits / name).read_bytes())
    images = load_images(digits / "test", None)
    columns = {"image": [png(0)] * len(images), "label": images.labels, "record": images.ids}
    write_shard(tmp_path / "test" / "part-00000.parquet", columns)
    with pytest.raises(UserError, match="was changed afterwards"):
        check_test_split(tmp_path / "test", tmp_path)


def test_datasets_opens_the_shards_with_images_and_class_names(digits: Path, tmp_path: Path) -> None:
    opened = datasets.load_dataset("parquet", data_dir=str(digits / "pool"), split="train", cache_dir=str(tmp_path))
    assert opened.features["label"].names == DataCard.read(digits).class_names
    assert opened[0]["image"].size == (16, 16)


def test_refused_files_are_one_warning_with_reasons_and_place(folder: Path, tmp_path: Path) -> None:
    for step, broken in (("clean", 0), ("dirty", 3)):
        for number in range(broken):
            (folder / "cat" / f"broken{number}.png").write_bytes(b"")
        recorder = Recorder()
        run(PrepareConfig(source=str(folder), image_size=8), make_context(tmp_path / step, {}, recorder=recorder))
        warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
        place = tmp_path / step / "out" / "rejected.csv"
        assert warnings == ([f"3 files rejected (3 x zero_bytes); see {place}"] if broken else [])


def test_a_class_that_is_left_out_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "rare").mkdir()
    for number in range(2):
        (folder / "rare" / f"{number}.png").write_bytes(png(1000 + number))
    recorder = Recorder()
    run(PrepareConfig(source=str(folder), image_size=8), make_context(tmp_path / "step", {}, recorder=recorder))
    warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
    assert "2 files rejected (2 x class_too_small)" in warnings[0]
    assert re.fullmatch(
        r"1 of \d+ classes were left out, because they have fewer than .*=8 usable images: 'rare' \(2\)", warnings[1]
    )


def test_a_label_edited_in_place_is_noticed_and_no_picture_reaches_the_shared_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "shared"))
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "shared" / "downloads")
    root = write_classes(tmp_path / "data", {".": 12})
    for word in ("dog", "emu"):
        rows = [f"{number:03d}.png,{'cat' if number % 2 else word}\n" for number in range(12)]
        (root / "metadata.csv").write_text("file_name,label\n" + "".join(rows))
        folder = prepared(tmp_path / word, root, min_images_per_class=4)
        assert DataCard.read(folder).class_names == ["cat", word]
    assert not (tmp_path / "shared").exists()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # datasets leaves files open
def test_no_picture_of_a_tar_reaches_the_shared_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "shared"))
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "shared" / "downloads")
    (tmp_path / "data").mkdir()
    tars(tmp_path / "data")
    folder = prepared(tmp_path / "out", tmp_path / "data", min_images_per_class=4, image_column="png", label_column="cls")
    assert DataCard.read(folder).class_names == ["0", "1"]
    gc.collect()  # close it here, not in another test
    assert not (tmp_path / "shared").exists()
    assert (tmp_path / "out" / "scratch" / "datasets").is_dir()


def test_the_understood_layout_is_logged_and_stored(folder: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    context = make_context(tmp_path / "step", {}, recorder=recorder)
    run(PrepareConfig(source=str(folder), image_size=8), context)
    layout = read_layout(context.out)
    assert {name: counts["train"] for name, counts in layout.classes.items()} == {"cat": 20, "dog": 16, "emu": 12}
    assert recorder.events[0] == {"event": "layout", "message": "\n".join(layout.lines())}
    assert "3 classes: cat 20, dog 16, emu 12" in layout.lines()


@pytest.mark.parametrize(("peak", "said"), [(4095, True), (65_535, False)])
def test_sixteen_bit_pictures_that_use_a_part_of_their_range_cause_a_warning(tmp_path: Path, peak: int, said: bool) -> None:
    generator = np.random.default_rng(0)
    for name, number in itertools.product(("cat", "dog"), range(9)):
        path = tmp_path / "data" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = generator.integers(0, peak + 1, (12, 12)).astype(np.uint16)
        values[0, 0] = peak
        Image.fromarray(values).save(path)
    recorder = Recorder()
    context = make_context(tmp_path / "step", {}, recorder=recorder)
    run(PrepareConfig(source=str(tmp_path / "data"), image_size=8), context)
    warnings = [event["message"] for event in recorder.events if event["event"] == "warning"]
    notes = read_layout(context.out).notes
    assert warnings == (notes if said else [])
    assert len(notes) == 1
    assert f" to {peak:,}, and 65,535 becomes white" in notes[0]
    assert ("they come out dark" in notes[0]) == said


def test_a_set_is_grey_where_no_picture_has_colour(tmp_path: Path) -> None:
    def pictures(folder: Path, tint: int) -> Path:
        for number in range(20):
            shade = np.random.default_rng(number).integers(0, 200, (32, 32, 1), dtype=np.uint8)
            pixels = np.repeat(shade, 3, axis=2)
            pixels[0, 0, 1] += tint * (number == 7)
            (folder / f"class {number % 2}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"class {number % 2}" / f"{number}.png")
        return folder

    for name, tint in (("grey", 0), ("one of them tinted", 9)):
        config = PrepareConfig(source=str(pictures(tmp_path / name, tint)), image_size=32)
        run(config, make_context(tmp_path / f"{name} prepared", {}))
        assert DataCard.read(tmp_path / f"{name} prepared" / "out").grey is (tint == 0)


def test_renamed_and_touched_files_give_the_same_splits(folder: Path, tmp_path: Path) -> None:
    before = prepared(tmp_path / "one", folder)
    for number, path in enumerate(sorted((folder / "cat").iterdir())):
        path.rename(path.with_name(f"{(number * 7) % 20:03d}-renamed.png"))
    after = prepared(tmp_path / "two", folder)
    for out in (before, after):
        (out / SOURCE_ROWS_NAME).unlink()  # says in which order the files were found, and nothing reads images by it
    assert contents(before) == contents(after)


def test_another_seed_gives_other_splits(folder: Path, tmp_path: Path) -> None:
    one, other = prepared(tmp_path / "one", folder), prepared(tmp_path / "two", folder, seed=1)
    assert DataCard.read(one).test_sha256 != DataCard.read(other).test_sha256


class KilledError(Exception):
    """Stand in for SIGKILL."""


def test_killed_while_staging_continues_and_writes_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "CHUNK_RECORDS", 10)
    whole = prepared(tmp_path / "whole", folder)
    config, context = PrepareConfig(source=str(folder), image_size=8), make_context(tmp_path / "killed", {})
    encode, done = staging.encode_png, []

    def encode_until_killed(pixels: np.ndarray) -> bytes:
        done.append(1)
        if len(done) == 25:
            raise KilledError
        return encode(pixels)

    monkeypatch.setattr(staging, "encode_png", encode_until_killed)
    with pytest.raises(KilledError):
        run(config, context)
    recorder = Recorder()
    run(config, make_context(tmp_path / "killed", {}, recorder=recorder))
    assert recorder.advanced[0] == 20  # two complete chunks were kept
    assert contents(context.out) == contents(whole)


def test_killed_while_writing_keeps_complete_shards(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SHARD_RECORDS", 10)
    whole = prepared(tmp_path / "whole", folder)
    config, context = PrepareConfig(source=str(folder), image_size=8), make_context(tmp_path / "killed", {})
    write, written = writing.write_shard, []

    def write_until_killed(path: Path, *rest: object) -> None:
        if len(written) == 2:
            written.append(path)
            raise KilledError
        written.append(path)
        write(path, *rest)

    monkeypatch.setattr(writing, "write_shard", write_until_killed)
    with pytest.raises(KilledError):
        run(config, context)
    run(config, context)
    assert contents(context.out) == contents(whole)
    assert len(written) == len(set(written)) + 1  # only the shard in flight was written twice


@pytest.mark.parametrize("labels", ["class label", "text", "integer"])
def test_a_parquet_table_equals_the_folder_of_the_same_pictures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str
) -> None:
    files = sorted(folder.rglob("*.png"))
    names = ["cat", "dog", "emu"]
    values = [path.parent.name if labels == "text" else names.index(path.parent.name) for path in files]
    columns = {"image": [path.read_bytes() for path in files], "label": values}
    write_shard(tmp_path / "table" / "a.parquet", columns, names if labels == "class label" else None)
    out = prepared(tmp_path / "b", tmp_path / "table")
    expected = contents(prepared(tmp_path / "a", folder) / "pool")
    if labels != "integer":
        assert contents(out / "pool") == expected
    assert DataCard.read(out).class_names == (["0", "1", "2"] if labels == "integer" else names)


def test_a_saved_hugging_face_data_set_is_read_with_its_own_class_order(tmp_path: Path) -> None:
    features = datasets.Features({"pixels": datasets.Image(), "kind": datasets.ClassLabel(names=["zebra", "ant"])})

    def rows(first: int, count: int) -> datasets.Dataset:
        images = [picture(seed) for seed in range(first, first + count)]
        return datasets.Dataset.from_dict({"pixels": images, "kind": [n % 2 for n in range(count)]}, features=features)

    splits = datasets.DatasetDict({"train": rows(0, 40), "test": rows(100, 10), "extra": rows(200, 3)})
    splits.save_to_disk(str(tmp_path / "saved"))
    out = prepared(tmp_path, tmp_path / "saved")
    card = DataCard.read(out)
    assert card.class_names == ["zebra", "ant"]
    assert card.num_test == 10
    assert rejected(out) == {"extra": ("split_not_used", "3 rows")}
    drawn = prepared(tmp_path / "again", tmp_path / "saved", test_split="")
    assert DataCard.read(drawn).num_test == 8


def test_train_and_test_folders_are_the_sources_own_splits(tmp_path: Path) -> None:
    write_classes(tmp_path / "data" / "train", {"cat": 10, "dog": 10})
    write_classes(tmp_path / "data" / "test", {"cat": 3, "dog": 4}, first_seed=50)
    write_classes(tmp_path / "data" / "test", {"cat": 1}, first_seed=0)  # also the first training picture
    card = DataCard.read(out := prepared(tmp_path, tmp_path / "data"))
    assert {name: counts["test"] for name, counts in card.counts.items()} == {"cat": 3, "dog": 4}
    assert rejected(out) == {"train/cat/000.png": ("duplicate", "same pixels as test/cat/000.png")}
    assert card.duplicates == 1


@pytest.mark.parametrize(
    ("train", "test_split"), [("training", "test"), ("train", ""), ("training", ""), ("train", "holdout")]
)
def test_split_folders_are_never_classes(tmp_path: Path, train: str, test_split: str) -> None:
    write_classes(tmp_path / "data" / train, {"cat": 20, "dog": 20})
    write_classes(tmp_path / "data" / "test", {"cat": 5, "dog": 5}, first_seed=50)
    card = DataCard.read(prepared(tmp_path, tmp_path / "data", test_split=test_split))
    assert card.class_names == ["cat", "dog"]
    assert card.num_pool + card.num_validation + card.num_test == 50
    assert card.counts["cat"]["test"] == 5  # the source's own five, or a fifth of all 25


def test_a_test_split_of_which_nothing_can_be_read_is_not_replaced(tmp_path: Path) -> None:
    """Another test split would be sampled from the training images, and nobody had asked for it."""
    write_classes(tmp_path / "data" / "train", {"cat": 20, "dog": 16})
    for path in [*write_classes(tmp_path / "data" / "test", {"cat": 5, "dog": 4}).rglob("*.png")]:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r"none of the 9 images of the test split 'test' .* 9 x .*prepare\.test_split= "):
        prepared(tmp_path / "step", str(tmp_path / "data"))
    card = DataCard.read(prepared(tmp_path / "sampled", str(tmp_path / "data"), test_split=""))
    assert card.num_test > 0


def test_too_little_says_what_was_found_needed_and_to_do(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"sphynx": 3, "tabby": 20})
    (data / "tabby" / "bad.png").write_bytes(b"")
    with pytest.raises(UserError) as error:
        prepared(tmp_path, data)
    message = str(error.value)
    assert "1 usable classes; prepare needs 2" in message
    assert "'tabby' (20), 'sphynx' (3)" in message
    assert "3 x class_too_small, 1 x zero_bytes" in message
    assert (tmp_path / "out" / "rejected.csv").exists()


@pytest.mark.parametrize(
    ("fewest", "missing"), [(2, "one class, and a second class is"), (4, "one class, and 3 more classes are")]
)
def test_a_source_of_one_class_is_told_that_others_are_missing(tmp_path: Path, fewest: int, missing: str) -> None:
    data = write_classes(tmp_path / "data", {"circle": 20})
    with pytest.raises(UserError, match=rf"Rejected: nothing\. The source has {missing} missing\.$"):
        prepared(tmp_path, data, min_classes=fewest)


def test_an_empty_folder_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="0 usable classes"):
        prepared(tmp_path, tmp_path / "data")


@pytest.mark.parametrize(("batch_bytes", "most"), [(staging.BATCH_BYTES, staging.BATCH_RECORDS), (3 * len(png(0)), 4)])
def test_pictures_are_never_held_beyond_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_bytes: int, most: int
) -> None:
    """Count the pictures between source and disk: the staging pass holds one batch however long the source is."""
    monkeypatch.setattr(staging, "BATCH_BYTES", batch_bytes)
    held: list[int] = []
    count = {"taken": 0, "written": 0}
    make = staging._normalise

    class Endless:
        name, class_names = "endless", ["a"]

        def __len__(self) -> int:
            return 200

        def records(self, start: int = 0):
            for number in range(start, 200):
                count["taken"] += 1
                held.append(count["taken"] - count["written"])
                yield staging.SourceRecord(file=str(number), label=0, data=png(number % 7))

    def normalise(*arguments: object) -> object:
        count["written"] += 1
        return make(*arguments)

    monkeypatch.setattr(staging, "_normalise", normalise)
    staged = staging.stage_records(
        Endless(), tmp_path / "s", image_size=8, max_pixels=10**6, num_threads=2, advance=lambda _: None
    )
    assert len(staged) == 200
    assert max(held) <= most


def test_settings_that_leave_nothing_are_refused() -> None:
    for wrong in ({"test_fraction": 1.0}, {"audit_holdout": 1.0}, {"min_images_per_class": 1}, {"max_pixels": 10**9}):
        with pytest.raises(ValueError, match="1 validation error"):
            PrepareConfig(**wrong)


def test_prepare_loads_no_torch() -> None:
    code = "import sys, tckr.stages.prepare.stage; sys.exit('torch' in sys.modules or 'datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_links_out_of_the_source_are_read_by_a_setting_alone(tmp_path: Path) -> None:
    store = write_classes(tmp_path / "annex", {"cat": 9, "dog": 9})
    for file in store.rglob("*.png"):
        link = tmp_path / "data" / file.relative_to(store)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    with pytest.raises(UserError, match=r"prepare.follow_links=true"):
        prepared(tmp_path / "refused", tmp_path / "data")
    (tmp_path / "classes").mkdir()
    (tmp_path / "classes" / "cat").symlink_to(store / "cat")
    with pytest.raises(UserError, match="points to a folder; no setting follows it"):  # it would be no help
        prepared(tmp_path / "linked", tmp_path / "classes")
    card = DataCard.read(prepared(tmp_path / "followed", tmp_path / "data", follow_links=True))
    assert {name: sum(counts.values()) for name, counts in card.counts.items()} == {"cat": 9, "dog": 9}
