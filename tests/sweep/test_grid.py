"""A sweep's variants are the products of its lists; what cannot be meant is refused before anything is computed."""

from __future__ import annotations

import pytest

from tckr.errors import UserError
from tckr.sweep.grid import lay_out, parse_over, read_grids


def test_values_are_yaml_and_a_prompt_form_is_a_text():
    grid = parse_over(["generate.cardinality=0.1,1,20", "adapt.prompt_form=n: c, n", "adapt.steps=null, 3"])
    assert grid == {"generate.cardinality": [0.1, 1, 20], "adapt.prompt_form": ["n: c", "n"], "adapt.steps": [None, 3]}
    assert parse_over(['adapt.prompt_form="n: d","n: c"'])["adapt.prompt_form"] == ["n: d", "n: c"]
    assert parse_over(["adapt.descriptions={a: x}, {a: y}"])["adapt.descriptions"] == [{"a": "x"}, {"a": "y"}]
    assert parse_over(["generate.redraw=[1, 2], []"])["generate.redraw"] == [[1, 2], []]


def test_variants_are_all_combinations_of_every_grid_each_once():
    grids = read_grids([{"seed": [0, 1], "distill.labels": ["soft", "hard"]}, {"seed": 0, "distill.labels": "soft"}], "x")
    variants = lay_out(grids)
    assert [variant.name for variant in variants] == [
        f"seed-{seed}_labels-{labels}" for seed in (0, 1) for labels in ("soft", "hard")
    ]
    assert variants[1].changes == {"seed": 0, "distill.labels": "hard"}


def test_settings_with_one_last_name_are_written_in_full():
    names = [variant.name for variant in lay_out([{"teach.epochs": [1, 2], "distill.epochs": [3]}])]
    assert names == ["teach.epochs-1_distill.epochs-3", "teach.epochs-2_distill.epochs-3"]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        (["seed"], "expected --over section.setting=value"),
        (["=1"], "expected --over section.setting=value"),
        (["seed="], "without a value"),
        (["seed=0,1,0"], "the value 0 twice"),
        (["seed=0", "seed=1"], "two --over seed"),
        (["execution.workers=1,2"], "changes no result"),
        (["report.title='a b','a-b'"], "would have the same folder"),
        (['report.title="a'], "not YAML"),
    ],
)
def test_a_sweep_that_cannot_be_meant_is_refused(over, expected):
    with pytest.raises(UserError, match=expected):
        lay_out([parse_over(over)])


@pytest.mark.parametrize("section", [[], {}, "seed", [3], [{}], None])
def test_a_section_of_another_form_shows_the_form(section):
    with pytest.raises(UserError, match="expected grids such as"):
        read_grids(section, "my.yaml")


def test_an_empty_list_in_a_section_is_refused():
    with pytest.raises(UserError, match="empty list"):
        lay_out(read_grids({"seed": []}, "my.yaml"))


def test_true_is_not_one():
    assert len(lay_out([{"teach.augment.flip": [True, 1.0]}])) == 2
