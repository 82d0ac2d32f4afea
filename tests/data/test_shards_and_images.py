"""Shards open with their features; images are decoded once, selected by id, and streamed in batches."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tckr.data import images as images_module
from tckr.data.encoded import EncodedImages
from tckr.data.images import ImageSet, decode_image, encode_png, iterate_images, load_images
from tckr.data.seeds import derive_seed, image_seed
from tckr.data.shards import list_shards, read_columns, write_shard
from tckr.disk import write_whole
from tckr.errors import UserError
from tckr.training.batches import TrainingData, augmented
from tckr.training.config import AugmentConfig

PIXELS = np.random.default_rng(0).integers(0, 256, (25, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(25) % 3
RECORDS = np.arange(25) * 10
SMOOTH = np.repeat(PIXELS[:8, :1, :1], 64, axis=1).repeat(64, axis=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return three shards of 10, 10 and 5 images."""
    for part in range(3):
        rows = slice(part * 10, part * 10 + 10)
        columns = {"image": [encode_png(image) for image in PIXELS[rows]], "label": LABELS[rows], "record": RECORDS[rows]}
        write_shard(tmp_path / "pool" / f"part-{part:05d}.parquet", columns, ["a", "b", "c"])
    return tmp_path / "pool"


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Return a shard of 8 images that are much smaller encoded than decoded."""
    columns = {"image": [encode_png(image) for image in SMOOTH], "label": np.zeros(8, int), "record": np.arange(8)}
    write_shard(tmp_path / "big" / "part-00000.parquet", columns)
    return tmp_path / "big"


@pytest.mark.parametrize("cached", [True, False])
def test_load_images_gives_every_pixel_label_and_id(folder: Path, tmp_path: Path, cached: bool) -> None:
    loaded = load_images(folder, tmp_path / "cache" if cached else None)
    assert isinstance(loaded.images, np.memmap) == cached
    assert (loaded.images == PIXELS).all()
    assert (loaded.labels == LABELS).all()
    assert (loaded.ids == RECORDS).all()
    assert loaded.labels.dtype == loaded.ids.dtype == np.int64


@pytest.mark.parametrize("cached", [True, False])
def test_select_keeps_the_order_of_the_ids(folder: Path, tmp_path: Path, cached: bool) -> None:
    ids = np.array([200, 0, 30, 200])
    chosen = load_images(folder, tmp_path / "cache" if cached else None).select(ids)
    assert (chosen.images == PIXELS[ids // 10]).all()
    assert (chosen.ids == ids).all()
    assert (chosen.labels == LABELS[ids // 10]).all()
    assert isinstance(chosen.images, np.memmap) == cached
    again = chosen.select(np.array([30, 0]))
    assert (again.images == PIXELS[[3, 0]]).all()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave room for all images but one; encoded they are much smaller."""
    monkeypatch.setattr(images_module, "free_bytes", lambda folder: SMOOTH[1:].nbytes)


@pytest.mark.usefixtures("full_disk")
def test_images_that_do_not_fit_on_the_disk_stay_encoded_and_read_alike(big: Path, tmp_path: Path) -> None:
    loaded = load_images(big, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".encoded"]
    images = loaded.images
    assert (images.shape, images.dtype, images.ndim, len(images)) == (SMOOTH.shape, np.uint8, 4, len(SMOOTH))
    assert (np.asarray(images) == SMOOTH).all()
    assert (images[3] == SMOOTH[3]).all()
    for index in (slice(2, 5), np.array([4, 0, 4]), np.array([], dtype=np.int64)):
        assert np.array_equal(images[index], SMOOTH[index])
    chosen = loaded.select(np.array([3, 1]))
    assert isinstance(chosen.images, EncodedImages)
    assert np.array_equal(chosen.images[:], SMOOTH[[3, 1]])


@pytest.mark.usefixtures("full_disk")
def test_a_training_meets_the_same_batches_whether_the_images_fit_or_not(big: Path, tmp_path: Path) -> None:
    batches = {}
    for name, images in (("mapped", SMOOTH), ("encoded", load_images(big, tmp_path / "cache").images)):
        data = TrainingData(images, np.arange(len(SMOOTH)), np.zeros(len(SMOOTH), dtype=np.int64))
        options = {"batch_size": 3, "seed": 0, "epoch": 1, "num_classes": 2, "device": "cpu"}
        batches[name] = torch.cat([pixels for pixels, _ in augmented(data, AugmentConfig(flip=True), **options)])
    assert torch.equal(batches["mapped"], batches["encoded"])


def test_too_small_a_disk_is_reported_with_what_is_needed(
    big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "SPARE_BYTES", 2**62)
    with pytest.raises(
        UserError,
        match=r"has [\d.]+ [GM]B free, but it needs 2\.8 kB while .* must stay free.*same command again; it continues",
    ):
        load_images(big, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_slice_of_a_map_is_selected_by_its_own_rows(folder: Path, tmp_path: Path) -> None:
    whole = load_images(folder, tmp_path / "cache")
    whole.select(np.array([0, 10]))
    part = ImageSet(whole.images[5:15], whole.labels[5:15], whole.ids[5:15])
    assert (part.select(np.array([50, 60])).images == PIXELS[5:7]).all()


def test_an_unknown_id_is_refused(folder: Path) -> None:
    loaded = load_images(folder, None)
    with pytest.raises(KeyError, match="first 7"):
        loaded.select(np.array([0, 7]))
    with pytest.raises(KeyError):
        loaded.select(np.array([10**6]))


def test_images_are_decoded_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_images(folder, tmp_path / "cache")
    monkeypatch.setattr(images_module, "decode_image", lambda _: pytest.fail("decoded again"))
    assert (load_images(folder, tmp_path / "cache").images == PIXELS).all()


def test_two_folders_share_a_cache_without_mixing(folder: Path, tmp_path: Path) -> None:
    columns = {"image": [encode_png(PIXELS[7])], "label": [1], "record": [7]}
    write_shard(tmp_path / "test" / "part-00000.parquet", columns)
    load_images(folder, tmp_path / "cache")
    assert (load_images(tmp_path / "test", tmp_path / "cache").images == PIXELS[7:8]).all()


def test_iteration_streams_batches_in_order(folder: Path) -> None:
    batches = list(iterate_images(folder, 4))
    assert [len(batch["image"]) for batch in batches] == [4, 4, 2, 4, 4, 2, 4, 1]
    assert (np.concatenate([batch["image"] for batch in batches]) == PIXELS).all()
    assert (np.concatenate([batch["record"] for batch in batches]) == RECORDS).all()


def test_png_round_trip() -> None:
    assert (decode_image(encode_png(PIXELS[0])) == PIXELS[0]).all()


def test_datasets_reads_images_class_labels_and_half_floats(tmp_path: Path) -> None:
    soft = np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float16)
    columns = {
        "image": [encode_png(PIXELS[0]), encode_png(PIXELS[1])],
        "label": np.array([1, 0]),
        "soft_label": soft,
        "prompt": ["dog: a dog", "cat: <b>"],
        "seed": np.array([2**62, 1]),
    }
    write_shard(tmp_path / "set" / "data" / "train-00000-of-00001.parquet", columns, ["cat", "dog"])
    opened = datasets.load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache"))
    assert opened.features["label"] == datasets.ClassLabel(names=["cat", "dog"])
    assert opened.features["soft_label"] == datasets.List(datasets.Value("float16"))
    assert (np.asarray(opened[0]["image"]) == PIXELS[0]).all()
    assert opened[0]["soft_label"] == [0.25, 0.75]
    assert opened[0]["seed"] == 2**62
    assert opened[1]["prompt"] == "cat: <b>"
    assert (read_columns(tmp_path / "set" / "data", ["label"])["label"] == [1, 0]).all()


def test_a_reader_never_holds_more_than_a_row_group(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", {"image": [b"x"] * 250, "record": np.arange(250)})
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    assert [metadata.row_group(group).num_rows for group in range(3)] == [100, 100, 50]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "a.parquet", fail)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_shard_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".part-00000.parquet.abc.partial").touch()
    (tmp_path / ".part.parquet").touch()
    assert list_shards(tmp_path) == []


def test_seeds_follow_from_their_parts() -> None:
    assert derive_seed(1, "a") == derive_seed(np.int64(1), "a")
    different = [("a", "bc"), ("ab", "c"), ("abc",), (1,), ("1",), (1, 2), (12,), (-1,), ()]
    seeds = {derive_seed(*parts) for parts in different}
    assert len(seeds) == 9
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "run", 1) == 4095947444092155882  # pinned: it names stored images
    assert image_seed(0, "cat", 1) != image_seed(0, "cat", 2)
    with pytest.raises(TypeError):
        derive_seed(1.5)
