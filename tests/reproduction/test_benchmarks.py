"""Every benchmark has settings that hold, names for its classes, and sweeps that can be laid out."""

from __future__ import annotations

import pytest

from tckr.config import load_settings
from tckr.data.sources import source_kind
from tckr.errors import UserError
from tckr.reproduction.benchmarks import BENCHMARKS, CARDINALITIES, benchmark
from tckr.sweep.grid import lay_out


@pytest.mark.parametrize("name", BENCHMARKS)
def test_settings_hold_and_grids_lay_out(name):
    one = BENCHMARKS[name]
    settings = load_settings(one.file)
    assert source_kind(settings.prepare.source) in ("digits", "Hugging Face data set")
    sizes = {variant.changes["generate.cardinality"] for variant in lay_out(one.cardinality_grids)}
    assert sizes == set(CARDINALITIES)
    assert not one.ablation_grids or lay_out(one.ablation_grids)


@pytest.mark.parametrize("name", ["TinyImageNet", "Imagenette", "Imagewoof"])
def test_sets_that_name_classes_by_codes_bring_a_name_for_each(name):
    one = benchmark(name)
    names = load_settings(one.file).prepare.class_names
    assert len(names) == len(set(names.values())) == one.num_classes
    assert set(one.some_classes) <= {given.lower() for given in names.values()}


def test_the_published_sets_start_from_the_published_settings():
    settings, paper = load_settings(benchmark("CIFAR10").file), load_settings(preset="paper")
    assert settings.model_copy(update={"prepare": paper.prepare, "execution": paper.execution}) == paper


def test_the_digits_fill_every_cell_of_prompt_labels_and_share_on_three_seeds():
    names = ("adapt.prompt_form", "distill.labels", "adapt.fraction", "seed")
    cells = [tuple(variant.changes[name] for name in names) for variant in lay_out(benchmark("digits").ablation_grids)]
    assert len(cells) == len(set(cells)) == 4 * 2 * 4 * 3


def test_names_are_found_in_any_case_and_a_near_miss_is_named():
    assert benchmark("cifar10") is benchmark("CIFAR10")
    with pytest.raises(UserError, match=r"Did you mean StanfordCars\?"):
        benchmark("stanford-cars")
    with pytest.raises(UserError, match="Expected one of CIFAR10"):
        benchmark("mnist")
