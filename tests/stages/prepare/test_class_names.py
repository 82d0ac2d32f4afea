"""Class names are made safe for prompts, pages and paths; names that look the same are refused."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tckr.artifacts.data_card import DataCard
from tckr.data.shards import write_shard
from tckr.errors import UserError
from tckr.stages.prepare.class_names import clean_name, clean_names, renamed
from tests.stages.prepare.pictures import png, prepared, write_classes
from tests.stages.prepare.test_odd_files import rejected


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("golden retriever", "golden retriever"),
        ("T-shirt/top", "T-shirt-top"),
        ("stage: II", "stage- II"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ("a\\b", "a-b"),
        ("<script>alert(1)</script>", "under script over alert(1) under -script over"),
        ("<5 mm", "under 5 mm"),
        ("two\nlines\ttab", "two lines tab"),
        ("bell\a null\0", "bell null"),
        ("right\u202eto left", "rightto left"),
        ("zero\u200bwidth", "zerowidth"),
        ("  spaces  ", "spaces"),
        ("...hidden", "hidden"),
        (unicodedata.normalize("NFD", "café"), "café"),
        ("猫", "猫"),
        ("+", "+"),
        ("\udcff broken", "broken"),
    ],
)
def test_names_are_cleaned_by_the_rule(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@pytest.mark.parametrize(
    ("names", "reasons"),
    [
        (["cat", "dog"], {}),
        (["A", "a"], {}),
        (["-", "+"], {}),
        (["caf\u00e9", "cafe\u0301", "tea"], {}),
        (["cat", "c\u0430t", "dog"], {0: "class_name_ambiguous", 1: "class_name_ambiguous"}),
        (["ice cream", "ice_cream", "cone"], {0: "class_name_ambiguous", 1: "class_name_ambiguous"}),
        (["ﬁsh", "fish"], {0: "class_name_ambiguous", 1: "class_name_ambiguous"}),
        (["a/b", "a:b"], {0: "class_name_ambiguous", 1: "class_name_ambiguous"}),
        (["x", " ", "\u200b", "..", "//"], dict.fromkeys((1, 2, 3, 4), "class_name_empty")),
        (["x", "y" * 101], {1: "class_name_too_long"}),
    ],
)
def test_unreadable_and_ambiguous_names_are_refused(names: list[str], reasons: dict[int, str]) -> None:
    assert {label: reason for label, (reason, _) in clean_names(names).refused.items()} == reasons


def test_two_compositions_of_one_name_become_one_class(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"caf\u00e9": 6, "cafe\u0301": 6, "tea": 10, "a:b": 10, "c\u0430t": 9, "cat": 9})
    out = prepared(tmp_path, data)
    card = DataCard.read(out)
    assert card.class_names == ["a-b", "caf\u00e9", "tea"]
    assert card.renamed_classes == {"a:b": "a-b", "cafe\u0301": "caf\u00e9"}
    assert card.normalised["class_name"] == 2
    assert sum(card.counts["caf\u00e9"].values()) == 12
    assert card.rejected == {"class_name_ambiguous": 18}
    assert rejected(out)["cat/000.png"][0] == "class_name_ambiguous"


def test_names_that_are_no_utf8_are_escaped(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"bad\udcff": 9, "cat": 9})
    (data / "cat" / "\udcfe.png").write_bytes(b"")
    out = prepared(tmp_path, data)
    assert DataCard.read(out).renamed_classes == {"bad\\udcff": "bad-udcff"}
    assert rejected(out) == {"cat/\\xfe.png": ("zero_bytes", "")}


def test_a_refused_class_in_the_middle_leaves_no_gap_in_the_labels(tmp_path: Path) -> None:
    labels = [label for label in range(3) for _ in range(9)] + [3, -1, 4, None]
    images = [png(seed) for seed in range(len(labels))]
    write_shard(tmp_path / "t.parquet", {"image": images, "label": labels}, ["zebra", "//", "ant", "one", "none"])
    out = prepared(tmp_path, tmp_path / "t.parquet")
    assert DataCard.read(out).class_names == ["zebra", "ant"]
    assert DataCard.read(out).rejected == {
        "class_name_empty": 9,
        "class_too_small": 2,
        "label_out_of_range": 1,
        "no_label": 1,
    }


def test_given_names_take_the_place_of_codes_in_the_sources_own_order() -> None:
    assert renamed(["n02", "n01", "koala"], {"n01": "goldfish", "n02": "ant", "n03": "koala"}) == [
        "ant",
        "goldfish",
        "koala",
    ]
    assert renamed(["b", "a"], {}) == ["b", "a"]


def test_a_class_without_a_given_name_and_one_name_for_two_classes_are_refused() -> None:
    with pytest.raises(UserError, match="does not name 1 of 2 classes, first 'b'"):
        renamed(["a", "b"], {"a": "x"})
    with pytest.raises(UserError, match="gives 'x' to several classes"):
        renamed(["a", "b"], {"a": "x", "b": "x"})


def test_names_that_differ_in_case_and_spaces_alone_can_be_made_one() -> None:
    assert renamed(["Cat ", "cat", "dog"], {"Cat ": "cat", "dog": "dog"}) == ["cat", "cat", "dog"]


def test_given_names_reach_the_card_with_their_images(tmp_path: Path) -> None:
    write_classes(tmp_path / "data", {"n02": 8, "n01": 12})
    out = prepared(tmp_path / "run", tmp_path / "data", class_names={"n01": "zebra", "n02": "ant"})
    card = DataCard.read(out)
    assert card.class_names == ["zebra", "ant"]
    assert {name: sum(count.values()) for name, count in card.counts.items()} == {"zebra": 12, "ant": 8}
