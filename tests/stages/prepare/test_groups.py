"""Pictures of one group (patient, part) are never separated: not by splits, not by membership, not by canaries."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import CANARY_KINDS, COMPANION, read_canaries, read_membership
from tckr.data.groups import group_strata, read_groups
from tckr.data.images import load_images
from tckr.data.layouts.description import read_layout
from tckr.data.sources.opening import open_source
from tckr.data.sources.record import TEST
from tckr.errors import UserError
from tckr.stages.prepare.config import PrepareConfig
from tckr.stages.prepare.drawing import draw_by_group, ordinary_strata
from tckr.stages.prepare.splitting import SPLITS, Splits, group_numbers
from tckr.stages.prepare.stage import run
from tckr.stages.prepare.staging import Staged
from tests.stages.prepare.pictures import png, prepared, write_classes
from tests.stages.prepare.test_splits import sha256, split
from tests.tiny_artifacts import Recorder, make_context


def in_groups(seed: int, num_groups: int = 60, num_classes: int = 3) -> list[Staged]:
    """Return records of groups of 1 to 9, most of one class, some of several; a few records have no group."""
    generator = random.Random(seed)
    records = []
    for group in range(num_groups):
        own = generator.randrange(num_classes)
        for n in range(generator.randint(1, 9)):
            label = own if generator.random() < 0.8 else generator.randrange(num_classes)
            name = f"{group} {n}"
            records.append(Staged(file=name, origin="train", label=label, sha256=sha256(name), group=sha256(str(group))))
    return records + [Staged(file=f"x{n}", origin="train", label=n % num_classes, sha256=sha256(f"x{n}")) for n in range(12)]


def places(splits: Splits) -> dict[str, set[str]]:
    return {name: {record.group or record.sha256 for record in getattr(splits, name)} for name in SPLITS}


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_in_two_splits_and_every_record_is_in_one(seed: int) -> None:
    records = in_groups(seed)
    splits = split(records, seed)
    found = places(splits)
    assert len(splits.in_order()) == len(records)
    assert len(set.union(*found.values())) == sum(map(len, found.values()))
    assert len(splits.test) == pytest.approx(0.2 * len(records), abs=3 * 4)  # each class up to half a group
    assert len(splits.validation) == pytest.approx(0.08 * len(records), abs=3 * 4)


def test_names_of_groups_and_the_order_of_files_do_not_matter() -> None:
    records = in_groups(1)
    renamed = [Staged(**(vars(record) | {"group": record.group and f"g{record.group}"})) for record in records]
    random.Random(2).shuffle(renamed)
    for name in SPLITS:
        assert [r.sha256 for r in getattr(split(renamed), name)] == [r.sha256 for r in getattr(split(records), name)]


def rows(pool: list[Staged], canaries: np.ndarray, num_rows: int = 8) -> np.ndarray:
    draws = {"audit_holdout": 0.4, "num_rows": num_rows, "seed": 7}
    return np.stack(list(draw_by_group(pool, canaries, ["a", "b", "c"], **draws)))


def test_members_and_non_members_never_share_a_group_and_every_row_has_the_rounded_share_of_groups() -> None:
    pool = split(in_groups(3)).pool
    groups, none = group_numbers(pool), np.zeros(len(pool), dtype=bool)
    strata = ordinary_strata(groups, np.array([record.label for record in pool]), none)
    for row in rows(pool, none):
        members = np.unique(groups[row])
        assert not set(members) & set(groups[~row])
        sizes, found = np.bincount(strata), np.bincount(strata[members], minlength=3)
        assert found.sum() == np.ceil(0.6 * sizes.sum())
        assert (np.abs(found - found.sum() / sizes.sum() * sizes) < 1).all()


def test_rows_of_groups_are_independent_samples() -> None:
    pool = split(in_groups(4)).pool
    matrix = rows(pool, np.zeros(len(pool), dtype=bool), 60)
    agreement = [(one == other).mean() for number, one in enumerate(matrix) for other in matrix[:number]]
    assert np.mean(agreement) == pytest.approx(0.6**2 + 0.4**2, abs=0.02)


def test_a_group_is_sampled_with_the_class_that_the_fewest_groups_have() -> None:
    groups, labels = np.array([0, 0, 0, 1, 1, 2, 3]), np.array([1, 1, 0, 1, 2, 1, 0])
    assert group_strata(groups, labels).tolist() == [0, 2, 1, 0]
    assert group_strata(np.arange(4), np.array([2, 0, 1, 1])).tolist() == [2, 0, 1, 1]


def write_patients(
    root: Path, kinds: tuple[str, ...] = ("cat", "dog"), patients: int = 10, each: int = 4, first: int = 0
) -> Path:
    """Write `root/cat/p03_2.png`...; patients have the same numbers in both classes."""
    for label, kind in enumerate(kinds):
        for number in range(patients * each):
            place = root / kind / f"p{number // each:02}_{number % each}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(png(first + 1000 * label + number))
    return root


def patients_of(source: Path, artifact: Path) -> np.ndarray:
    """Return the patient in the name of each record's file, found by its pixels."""
    pixels = {}
    for file in source.rglob("*.png"):
        with Image.open(file) as image:
            pixels[np.asarray(image.convert("RGB")).tobytes()] = file.name[:3]
    found = [load_images(artifact / name, None) for name in SPLITS]
    return np.array([pixels[image.tobytes()] for images in found for image in images.images])


def check_artifact(artifact: Path, patients: np.ndarray) -> None:
    """No patient is in two splits, nor on both sides of a row; groups.npy says the same groups."""
    card, groups = DataCard.read(artifact), read_groups(artifact)
    pairs = set(zip(patients.tolist(), groups.tolist(), strict=True))
    assert len(pairs) == len(set(groups.tolist())) == len(set(patients.tolist()))
    ends = np.cumsum([card.num_pool, card.num_validation, card.num_test])
    pool, validation, test = (set(part) for part in np.split(patients, ends[:-1]))
    assert not pool & validation
    assert not (pool | validation) & test
    membership = read_membership(artifact)
    for row in membership:
        assert not set(patients[: card.num_pool][row]) & set(patients[: card.num_pool][~row])
    of_members = set(patients[: card.num_pool][membership[0]])
    assert card.groups == {
        "pool": len(pool),
        "validation": len(validation),
        "test": len(test),
        "members": len(of_members),
    }


def test_a_pattern_on_the_path_keeps_patients_together(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    artifact = prepared(tmp_path, data, image_size=12, group_pattern="p([0-9]+)_")
    check_artifact(artifact, patients_of(data, artifact))
    layout = read_layout(artifact)
    assert (layout.num_groups, "the path" in layout.groups) == (10, True)
    assert "10 groups from" in "\n".join(layout.lines())


def write_table(path: Path, data: Path, **columns: list[str]) -> None:
    files = sorted(data.rglob("*.png"))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "patient", *columns])
        for number, place in enumerate(files):
            name = place.relative_to(path.parent).as_posix()
            writer.writerow([name, f"{int(place.name[1:3])}.0", *(values[number] for values in columns.values())])


def test_a_column_of_a_table_beside_class_folders_keeps_patients_together(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    write_table(data / "patients.csv", data)
    artifact = prepared(tmp_path, data, image_size=12, group_column="patient")
    check_artifact(artifact, patients_of(data, artifact))
    layout = read_layout(artifact)
    assert layout.num_groups == 10
    assert "the table has no label column" not in "\n".join(layout.lines())  # it is read for its groups


def test_a_column_of_the_table_of_labels_keeps_patients_together(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_patients(data / "images", ("",), 20)
    files = sorted(data.rglob("*.png"))
    write_table(data / "labels.csv", data, label=["cat" if int(file.name[1:3]) < 10 else "dog" for file in files])
    artifact = prepared(tmp_path, data, image_size=12, group_column="patient")
    check_artifact(artifact, patients_of(data, artifact))


def test_a_pattern_searches_in_the_column_of_a_parquet_file(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    files = sorted(data.rglob("*.png"))
    columns = {
        "image": [file.read_bytes() for file in files],
        "label": [file.parent.name for file in files],
        "file": [file.name for file in files],
    }
    pq.write_table(pa.table(columns), tmp_path / "all.parquet")
    artifact = prepared(tmp_path, tmp_path / "all.parquet", image_size=12, group_column="file", group_pattern="p([0-9]+)_")
    check_artifact(artifact, patients_of(data, artifact))
    assert read_layout(artifact).num_groups == 10


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # datasets leaves files open
def test_a_column_of_a_saved_data_set_keeps_patients_together(tmp_path: Path) -> None:
    import datasets

    data = write_patients(tmp_path / "data")
    files = sorted(data.rglob("*.png"))
    columns = {"image": [{"bytes": file.read_bytes(), "path": None} for file in files]}
    columns |= {"label": [file.parent.name for file in files], "patient": [file.name[1:3] for file in files]}
    features = datasets.Features(image=datasets.Image(), label=datasets.Value("string"), patient=datasets.Value("string"))
    datasets.Dataset.from_dict(columns, features).save_to_disk(str(tmp_path / "saved"))
    artifact = prepared(tmp_path, tmp_path / "saved", image_size=12, group_column="patient")
    check_artifact(artifact, patients_of(data, artifact))
    assert read_layout(artifact).num_groups == 10


def test_a_canary_is_a_complete_group_with_one_coin(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data", ("cat", "dog"), 24)
    for number, file in enumerate(sorted((data / "dog").iterdir())):  # patients of one class each
        file.rename(file.with_name(f"p{50 + number // 4}_{number % 4}.png"))
    artifact = prepared(tmp_path, data, image_size=12, group_pattern="p([0-9]+)_", num_canaries=8)
    kinds, groups = read_canaries(artifact), read_groups(artifact)[: DataCard.read(artifact).num_pool]
    for code in CANARY_KINDS.values():
        assert len(set(groups[kinds == code])) == np.count_nonzero(kinds == code) == 4  # one record speaks for each coin
    planted = set(groups[(kinds == 1) | (kinds == 2)])
    assert set(groups[kinds == COMPANION]) == planted
    assert not planted & set(groups[kinds == 0])
    assert DataCard.read(artifact).canaries == {"natural": 4, "mislabelled": 4}
    stored, names = load_images(artifact / "pool", None).labels, patients_of(data, artifact)
    true = np.array([int(int(name[1:]) >= 50) for name in names[: len(kinds)]])  # p50 and above are dogs
    wrong = set(groups[kinds == 2])
    assert ((stored != true) == np.isin(groups, list(wrong))).all()
    check_artifact(artifact, patients_of(data, artifact))
    with pytest.raises(UserError, match=r"groups can be canaries.*2 groups of it, must stay ordinary"):
        prepared(tmp_path / "more", data, group_pattern="p([0-9]+)_", num_canaries=80)


def test_training_pictures_of_a_tested_patient_are_refused_and_the_test_split_stays_complete(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_patients(data / "train", patients=12)
    for number, kind in enumerate(("cat", "dog")):
        (data / "test" / kind).mkdir(parents=True)
        (data / "test" / kind / "p03_9.png").write_bytes(png(5000 + number))
    artifact = prepared(tmp_path, data, image_size=12, group_pattern="p([0-9]+)_")
    card = DataCard.read(artifact)
    assert (card.num_test, card.rejected) == (2, {"group_in_test": 8})
    assert card.num_pool + card.num_validation == 2 * 11 * 4
    check_artifact(artifact, patients_of(data, artifact))


def test_a_picture_without_group_is_refused_and_a_class_of_few_groups_left_out(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    write_patients(data, ("emu",), patients=3, each=5, first=7000)
    (data / "cat" / "nobody.png").write_bytes(png(9000))
    card = DataCard.read(prepared(tmp_path, data, group_pattern="p([0-9]+)_"))
    assert card.class_names == ["cat", "dog"]
    assert card.rejected == {"no_group": 1, "too_few_groups": 15}


def test_without_groups_each_record_is_one_of_its_own_and_the_card_counts_none(tmp_path: Path) -> None:
    artifact = prepared(tmp_path, write_classes(tmp_path / "data", {"cat": 12, "dog": 12}))
    assert read_groups(artifact).tolist() == list(range(24))
    assert DataCard.read(artifact).groups == {}


def test_no_file_of_the_artifact_names_a_group(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    for file in data.rglob("*.png"):
        file.rename(file.with_name(f"Mustermann{file.name}"))
    artifact = prepared(tmp_path, data, group_pattern="(Mustermannp[0-9]+)_")
    layout = (artifact / "layout.json").read_text()
    assert "(Mustermannp[0-9]+)_" in layout  # the setting; no group
    for file in artifact.rglob("*"):
        assert not file.is_file() or b"Mustermannp0" not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"group_column": "sister"}, r"no table in .* has this column; columns found: file_name, patient\. Name one"),
        (
            {"group_pattern": "q([0-9]+)"},
            r"0 usable classes.*80 x no_group.*\(such as cat/p00_0.png: no_group nothing found.*"
            r"\. Correct prepare\.group_pattern: no image has a group by 'q\(\[0-9\]\+\)'\.$",
        ),
    ],
)
def test_groups_that_nothing_names_stop_the_run(settings: dict[str, str], sentence: str, tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    write_table(data / "patients.csv", data)
    with pytest.raises(UserError, match=sentence):
        prepared(tmp_path, data, **settings)


def test_a_picture_in_two_groups_stops_the_run(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    write_table(data / "patients.csv", data)
    with (data / "patients.csv").open("a") as file:
        file.write("cat/p00_0.png,9\n")
    with pytest.raises(UserError, match=r"puts cat/p00_0.png into a second group"):
        prepared(tmp_path, data, group_column="patient")


def test_the_digits_have_no_groups(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="group_pattern without a column cannot be read from a table of images"):
        open_source("digits", group_pattern="([0-9])", cache=tmp_path)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [("p[0-9]+", "has 0 capture groups"), ("(a)(b)", "has 2 capture groups"), ("(a", "is not a regular expression")],
)
def test_a_pattern_needs_one_capture_group(pattern: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        PrepareConfig(group_pattern=pattern)


def test_the_sources_own_test_records_keep_their_split() -> None:
    records = in_groups(5)
    tested = [Staged(file=f"t{n}", origin=TEST, label=n % 3, sha256=sha256(f"t{n}"), group="t") for n in range(9)]
    splits = split(records + tested)
    assert {record.origin for record in splits.test} == {TEST}
    assert len(places(splits)["test"]) == 1


def smooth(seed: int, darker: float = 1.0, side: int = 32) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).point(lambda value: value * darker)


def write_repeats(root: Path, side: int = 32) -> Path:
    """Write 20 cats and 20 dogs, each twice, the second time darker: with so many, some lie on two sides."""
    for label, kind in enumerate(("cat", "dog")):
        (root / kind).mkdir(parents=True)
        for number in range(20):
            for copy, darker in enumerate((1.0, 0.8)):
                smooth(100 * label + number, darker, side).save(root / kind / f"p{number:02}_{copy}.png")
    return root


def warnings_of(folder: Path, source: Path, **settings: object) -> str:
    recorder = Recorder()
    run(PrepareConfig(source=str(source), image_size=32, **settings), make_context(folder, {}, recorder=recorder))
    return "\n".join(event["message"] for event in recorder.events if event["event"] == "warning")


def test_test_pictures_that_look_like_training_pictures_are_counted(tmp_path: Path) -> None:
    data = write_repeats(tmp_path / "data")
    text = warnings_of(tmp_path, data)
    with_copy = {f"{file.parent.name}{file.name[:3]}" for file in data.rglob("*.png")}
    assert len(with_copy) == 40
    images = [load_images(tmp_path / "out" / name, None).images for name in SPLITS]
    test, train = images[2], np.concatenate(images[:2]).astype(int)
    alike = sum(
        bool((abs(train * 0.8 - image) < 3).all((1, 2, 3)).any() or (abs(train - image * 0.8) < 3).all((1, 2, 3)).any())
        for image in test.astype(int)
    )
    assert alike > 3
    assert f"{alike} of 16 test images look like an image to train on, such as" in text


def test_with_groups_or_tiny_pictures_nothing_is_said_of_repeats(tmp_path: Path) -> None:
    data = write_repeats(tmp_path / "data")
    assert "look like" not in warnings_of(tmp_path / "1", data, group_pattern="p([0-9]+)_")
    assert "look like" not in warnings_of(tmp_path / "2", write_repeats(tmp_path / "tiny", 12))
