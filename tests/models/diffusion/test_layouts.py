"""Adapters in published layouts: every weight changes as the file states, or the file is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tckr.errors import UserError
from tckr.models.diffusion import changes
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator
from tckr.models.diffusion.lora import FILE_NAME
from tests import lora_layouts
from tests.lora_layouts import KOHYA_SD, LOADED, PEFT, PLAIN, REFUSED, Layout, write


def weights_of(generator: LatentDiffusion) -> dict[str, torch.Tensor]:
    """Return `part:name` -> weight of every layer and embedding."""
    parts = {name: part for name, part in generator.pipeline.components.items() if isinstance(part, torch.nn.Module)}
    return {
        f"{part}:{name.removesuffix('.weight')}": weight
        for part, network in parts.items()
        for name, weight in network.named_parameters()
    }


@pytest.fixture(scope="module")
def loaded(families: dict[str, Path]) -> dict[str, LatentDiffusion]:
    """Return every family, loaded once."""
    return {name: load_generator(str(families[name]), "cpu") for name in ("sd1", "sd2", "sdxl", "sd3", "flux")}


@pytest.fixture
def change(loaded: dict[str, LatentDiffusion]) -> Iterator[dict[str, LatentDiffusion]]:
    """Give the generators, and take back what was done to their weights."""
    kept = {family: {name: weight.clone() for name, weight in weights_of(g).items()} for family, g in loaded.items()}
    yield loaded
    for family, weights in kept.items():
        for name, weight in weights_of(loaded[family]).items():
            weight.copy_(weights[name])


def differences(generator: LatentDiffusion, before: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    after = weights_of(generator)
    return {name: (after[name].double() - before[name].double()).numpy() for name in after}


def assert_changed(generator: LatentDiffusion, before: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> None:
    for name, found in differences(generator, before).items():
        np.testing.assert_allclose(found, expected.get(name, np.zeros_like(found)), atol=2e-5, rtol=2e-5, err_msg=name)
    assert expected


@pytest.mark.parametrize("layout", LOADED, ids=lambda layout: layout.title)
def test_every_weight_changes_by_what_the_file_says(
    layout: Layout, change: dict[str, LatentDiffusion], tmp_path: Path
) -> None:
    generator = change[layout.family]
    before = {name: weight.clone() for name, weight in weights_of(generator).items()}
    file, expected = write(layout, before, tmp_path)
    generator.load_lora(file)
    assert_changed(generator, before, expected)


@pytest.mark.parametrize("layout", REFUSED, ids=lambda layout: layout.title)
def test_what_would_be_half_an_adapter_is_refused_with_the_reason(
    layout: Layout, change: dict[str, LatentDiffusion], tmp_path: Path
) -> None:
    generator = change[layout.family]
    before = {name: weight.clone() for name, weight in weights_of(generator).items()}
    file, _ = write(layout, before, tmp_path)
    with pytest.raises(UserError, match=layout.reason):
        generator.load_lora(file)
    assert not any(found.any() for found in differences(generator, before).values())


def test_the_page_has_the_table_of_these_tests() -> None:
    page = lora_layouts.DOCS.read_text(encoding="utf-8")
    assert page == lora_layouts.with_table(page), "run python -m tests.lora_layouts"


@pytest.mark.parametrize(
    "title", ["Kohya, SDXL, convolutions (LoCon)", "Kohya, Flux, CLIP and T5", "peft, save_pretrained, rsLoRA"]
)
def test_an_adapter_written_anew_is_the_same_here_and_in_diffusers(
    title: str, change: dict[str, LatentDiffusion], tmp_path: Path
) -> None:
    """With its strength in its numbers: neither alpha nor settings beside it are needed any more."""
    layout = next(layout for layout in LOADED if layout.title == title)
    generator = change[layout.family]
    before = {name: weight.clone() for name, weight in weights_of(generator).items()}
    file, expected = write(layout, before, tmp_path)
    half = {name: 0.5 * product for name, product in expected.items()}
    (tmp_path / "new").mkdir()
    generator.rewrite_lora(file, 0.5, tmp_path / "new")
    assert not any(found.any() for found in differences(generator, before).values())
    generator.load_lora(tmp_path / "new")
    assert_changed(generator, before, half)
    for name, weight in weights_of(generator).items():
        weight.copy_(before[name])
    denoiser = {name: product for name, product in half.items() if name.startswith(generator.family.lora_part)}
    generator.pipeline.load_lora_weights(
        {name: tensor for name, tensor in load_file(tmp_path / "new" / FILE_NAME).items() if not name.startswith("text")}
    )
    generator.pipeline.fuse_lora()
    generator.pipeline.unload_lora_weights()
    assert_changed(generator, before, denoiser)


def test_the_check_after_loading_finds_a_change_that_the_file_does_not_say(
    change: dict[str, LatentDiffusion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = change["sd1"]
    before = {name: weight.clone() for name, weight in weights_of(generator).items()}
    file, _ = write(Layout("", "sd1", KOHYA_SD), before, tmp_path)
    right = changes.read_changes(generator.pipeline, "unet", file, 1.0)
    place, wrong = next(iter(right.items()))
    for spoiled in (
        {place: changes.Change(wrong.down, wrong.up, 0.9)},  # weaker
        {place: changes.Change(wrong.down, wrong.up.flip(0), 1.0)},  # as large, elsewhere
    ):
        monkeypatch.setattr(
            changes.Change, "times", lambda self, vector, meant=wrong: meant.scale * meant.up @ (meant.down @ vector)
        )
        with pytest.raises(UserError, match="not added correctly to 1 of"):
            changes.add_changes(file, generator.pipeline, spoiled)
        monkeypatch.undo()
        for name, weight in weights_of(generator).items():
            weight.copy_(before[name])


def test_values_beyond_the_type_of_the_weights_are_refused(families: dict[str, Path], tmp_path: Path) -> None:
    generator = load_generator(str(families["sd1"]), "cpu", torch.float16)
    file, _ = write(
        Layout("", "sd1", PLAIN, PEFT, spoil=lambda t: next(iter(t.values())).fill_(1e6)), weights_of(generator), tmp_path
    )
    with pytest.raises(UserError, match=r"not added correctly.*too large"):
        generator.load_lora(file)


def test_files_that_are_not_what_they_are_called_are_refused_in_a_sentence(
    change: dict[str, LatentDiffusion], tmp_path: Path
) -> None:
    file, _ = write(Layout("", "sd1", PLAIN, PEFT), weights_of(change["sd1"]), tmp_path)
    whole = file.read_bytes()
    for content, reason in {
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n": "pointer of Git LFS",
        whole[: len(whole) // 2]: "cannot be read",
        whole[:100]: "cannot be read",
        b"": "cannot be read",
        b"<html>not found</html>" * 9: "cannot be read",
    }.items():
        file.write_bytes(content)
        with pytest.raises(UserError, match=reason):
            change["sd1"].load_lora(file)


@pytest.mark.parametrize("kind", ["alpha is 0", "second matrices are 0"])
def test_an_adapter_that_changes_nothing_is_not_taken(kind: str, change: dict[str, LatentDiffusion], tmp_path: Path) -> None:
    def clear(tensors: dict[str, torch.Tensor]) -> None:
        for name in tensors:
            tensors[name] *= 0.0 if "lora_B" in name and kind != "alpha is 0" else 1.0

    alpha = 0.0 if kind == "alpha is 0" else 2.0
    file, _ = write(Layout("", "sd1", PLAIN, PEFT, alpha=lambda *_: alpha, spoil=clear), weights_of(change["sd1"]), tmp_path)
    with pytest.raises(UserError, match="changes nothing: its matrices or its alphas are zero"):
        change["sd1"].rewrite_lora(file, 1.0, tmp_path)


def test_a_file_of_peft_that_was_renamed_has_the_strength_that_its_settings_say(
    change: dict[str, LatentDiffusion], tmp_path: Path
) -> None:
    layout = next(layout for layout in LOADED if layout.title == "peft, save_pretrained")
    before = {name: weight.clone() for name, weight in weights_of(change["sd1"]).items()}
    file, expected = write(layout, before, tmp_path)
    change["sd1"].load_lora(file.rename(tmp_path / "my_style.safetensors"))
    assert_changed(change["sd1"], before, expected)


def test_a_folder_of_peft_without_its_settings_is_refused(change: dict[str, LatentDiffusion], tmp_path: Path) -> None:
    layout = next(layout for layout in LOADED if layout.title == "peft, save_pretrained")
    write(layout, weights_of(change["sd1"]), tmp_path)
    for content, reason in {None: "has no adapter_config.json", "[1]": "not a JSON object", "{": "cannot be read"}.items():
        (tmp_path / "adapter_config.json").unlink(missing_ok=True)
        if content:
            (tmp_path / "adapter_config.json").write_text(content)
        with pytest.raises(UserError, match=reason):
            change["sd1"].load_lora(tmp_path)
