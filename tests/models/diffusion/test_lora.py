"""Adapters: what is trained, written, read in every published layout, added up, and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tckr.errors import UserError
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.lora import FILE_NAME
from tests.models.diffusion.drawing import disturb, draw, draw_plainly, grey_levels_apart
from tests.tiny_generators import IMAGE_SIZES
from tests.tiny_models import fresh_generator

LAYERS = {
    "sd1": {"to_q", "to_k", "to_v", "to_out.0"},
    "sd2": {"to_q", "to_k", "to_v", "to_out.0"},
    "sdxl": {"to_q", "to_k", "to_v", "to_out.0"},
    "sd3": {"to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"},
    "flux": {"to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"},
    "sana": {"to_q", "to_k", "to_v"},
}


def trained(folder: Path, seed: int = 0) -> LatentDiffusion:
    """Return a generator with a rank 4 adapter that changes images, not merged."""
    generator = fresh_generator(folder)
    disturb(generator.add_lora(4, seed=seed), seed=seed)
    return generator


def test_new_adapter_changes_nothing_and_trains_alone(family: str, generator: LatentDiffusion) -> None:
    size = IMAGE_SIZES[family]
    base = draw(generator, size)
    parameters = generator.add_lora(4, seed=0)
    assert np.array_equal(draw(generator, size), base)
    attention = {
        name.split(".lora_")[0].split("attn")[-1].lstrip("0123456789").lstrip(".") for name in parameters if "attn" in name
    }
    assert attention == LAYERS[family]
    feed_forward = {name.split(".lora_")[0].split(".ff")[-1] for name in parameters if "attn" not in name}
    expected = {".net.0.proj", ".net.2", "_context.net.0.proj", "_context.net.2"} if family == "flux" else set()
    assert feed_forward == expected
    trainable = [name for name, weight in generator.denoiser.named_parameters() if weight.requires_grad]
    assert trainable == list(parameters)


def test_adapter_weights_follow_the_seed(families: dict[str, Path]) -> None:
    drawn = [next(iter(fresh_generator(families["sd1"]).add_lora(2, seed).values())) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_saved_adapter_gives_the_images_of_the_trained_one_here_and_in_diffusers(
    family: str, families: dict[str, Path], tmp_path: Path
) -> None:
    folder, size = families[family], IMAGE_SIZES[family]
    ours = trained(folder)
    expected = draw(ours, size)
    ours.save_lora(tmp_path)
    loaded = fresh_generator(folder)
    base = draw(loaded, size)
    loaded.load_lora(tmp_path)
    assert grey_levels_apart(draw(loaded, size), expected) <= 1
    assert grey_levels_apart(expected, base) > 5
    assert not any("lora" in name for name, _ in loaded.denoiser.named_parameters())  # merged: no extra work
    assert grey_levels_apart(draw_plainly(folder, size, adapter=tmp_path), expected) <= 1


def test_equal_adapters_are_equal_files(generator: LatentDiffusion, tmp_path: Path) -> None:
    generator.add_lora(2, seed=0)
    files = set()
    for _ in range(4):
        generator.save_lora(tmp_path)
        files.add((tmp_path / FILE_NAME).read_bytes())
    assert len(files) == 1


PUBLISHED = {  # from the layer's name and whether it is the first matrix, A
    "unet. and .lora.down": lambda layer, first: f"unet.{layer}.lora.{'down' if first else 'up'}.weight",
    "unet. and processor": lambda layer, first: f"unet.{processor(layer)}_lora.{'down' if first else 'up'}.weight",
    "processor alone": lambda layer, first: f"{processor(layer)}_lora.{'down' if first else 'up'}.weight",
    "peft": lambda layer, first: f"unet.{layer}.lora_{'A' if first else 'B'}.weight",
}


def processor(layer: str) -> str:
    """Return `...attn1.processor.to_k` of `...attn1.to_k`, as attention processors were named."""
    attention, _, projection = layer.replace("to_out.0", "to_out").rpartition(".")
    return f"{attention}.processor.{projection}"


@pytest.mark.parametrize("layout", list(PUBLISHED))
def test_published_layouts_of_the_method_are_read(layout: str, families: dict[str, Path], tmp_path: Path) -> None:
    """Rank 4, float32, no alpha, as the published adapters: the same images as from the adapter that they were made of."""
    ours = trained(families["sd2"])
    weights = {}
    for name, weight in ours.denoiser.named_parameters():
        if ".lora_" in name:
            layer, _, which = name.partition(".lora_")
            weights[PUBLISHED[layout](layer, which.startswith("A"))] = weight.detach().float().contiguous()
    if layout == "unet. and .lora.down":
        assert "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k.lora.down.weight" in weights
    file = tmp_path / "published.safetensors"
    save_file(weights, file)
    loaded = fresh_generator(families["sd2"])
    loaded.load_lora(file)
    assert grey_levels_apart(draw(loaded, 16), draw(ours, 16)) <= 1


def test_alpha_of_a_file_scales_it(families: dict[str, Path], tmp_path: Path) -> None:
    """Kohya's layout, in which few-step adapters are published, says alpha: the adapter counts alpha / rank."""
    ours = trained(families["sd1"])
    weights = {}
    for name, weight in ours.denoiser.named_parameters():
        if ".lora_" in name:
            layer, _, which = name.partition(".lora_")
            stem = "lora_unet_" + layer.replace(".", "_")
            scale = 1.0 if which.startswith("A") else 2.0  # halved again by alpha = 2 of rank 4
            weights[f"{stem}.lora_{'down' if which.startswith('A') else 'up'}.weight"] = (
                scale * weight.detach()
            ).contiguous()
            weights[f"{stem}.alpha"] = torch.tensor(2.0)
    save_file(weights, tmp_path / "kohya.safetensors")
    loaded = fresh_generator(families["sd1"])
    loaded.load_lora(tmp_path / "kohya.safetensors")
    assert grey_levels_apart(draw(loaded, 16), draw(ours, 16)) <= 1


def test_two_adapters_add_up(family: str, families: dict[str, Path], tmp_path: Path) -> None:
    """As a few-step adapter on top of a trained one: the merged weights are the base and both differences."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for seed, folder in enumerate(folders):
        trained(families[family], seed=seed).save_lora(folder)
    merged = {}
    for name, chosen in {"none": [], "first": folders[:1], "second": folders[1:], "both": folders}.items():
        generator = fresh_generator(families[family])
        for folder in chosen:
            generator.load_lora(folder)
        merged[name] = dict(generator.denoiser.named_parameters())
    for name, base in merged["none"].items():
        expected = merged["first"][name] + merged["second"][name] - base
        torch.testing.assert_close(merged["both"][name], expected, atol=1e-5, rtol=1e-5)
    assert any(not torch.equal(merged["first"][name], merged["none"][name]) for name in merged["none"])


@pytest.mark.filterwarnings("ignore")
def test_adapters_of_text_encoders_are_merged_too(families: dict[str, Path], tmp_path: Path) -> None:
    ours = trained(families["sd1"])
    ours.save_lora(tmp_path)
    weights = load_file(tmp_path / FILE_NAME)
    layers = [name for name, _ in ours.pipeline.text_encoder.named_modules() if name.endswith(("q_proj", "v_proj"))]
    for layer in layers:
        weights[f"text_encoder.{layer}.lora_A.weight"] = torch.randn(4, 16)
        weights[f"text_encoder.{layer}.lora_B.weight"] = torch.randn(16, 4)
    save_file(weights, tmp_path / FILE_NAME)
    loaded = fresh_generator(families["sd1"])
    before = loaded.encode_prompts(["a"])["prompt_embeds"]
    loaded.load_lora(tmp_path)
    assert (loaded.encode_prompts(["a"])["prompt_embeds"] - before).abs().max() > 0.01
    assert grey_levels_apart(draw(loaded, 16), draw_plainly(families["sd1"], 16, adapter=tmp_path)) <= 1


def broken(kind: str, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the adapter `weights`, spoiled."""
    first = next(iter(weights))
    if kind == "empty":
        return {}
    if kind == "no LoRA":
        return {name.replace("lora", "weights"): weight for name, weight in weights.items()}
    if kind == "another layer":
        return {**weights, first.replace("blocks.", "blocks.7"): weights[first].clone()}
    down = ("down.weight", "lora_A.weight")
    return {name: (weight[:, :3] if name.endswith(down) else weight).contiguous() for name, weight in weights.items()}


def test_adapter_that_does_not_fit_is_refused_and_leaves_no_trace(
    family: str, families: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trained(families[family]).save_lora(tmp_path)
    generator = fresh_generator(families[family])
    before = draw(generator, IMAGE_SIZES[family])
    refused = r"broken.safetensors (does not fit|is incomplete|has \d+ (tensors|LoRA matrices))"
    for kind in ("empty", "no LoRA", "another layer", "another width"):
        save_file(broken(kind, load_file(tmp_path / FILE_NAME)), tmp_path / "broken.safetensors")
        capfd.readouterr()
        with pytest.raises(UserError, match=refused):
            generator.load_lora(tmp_path / "broken.safetensors")
        assert "".join(capfd.readouterr()) == "", kind
        assert np.array_equal(draw(generator, IMAGE_SIZES[family]), before), kind
    generator.load_lora(tmp_path / FILE_NAME)  # and the right one still fits


@pytest.mark.parametrize("other", ["sdxl", "sd3"])
def test_adapter_of_another_family_is_refused(other: str, families: dict[str, Path], tmp_path: Path) -> None:
    trained(families[other]).save_lora(tmp_path)
    with pytest.raises(UserError, match="Expected the LoRA safetensors file of a model with the same architecture"):
        fresh_generator(families["sd1"]).load_lora(tmp_path)


def test_unreadable_adapters_are_user_errors(families: dict[str, Path], tmp_path: Path) -> None:
    generator = fresh_generator(families["sd1"])
    (tmp_path / "adapter.bin").write_bytes(b"pickle")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, reason in {
        tmp_path / "missing.safetensors": "does not exist",
        tmp_path / "adapter.bin": "no other format is read",
        tmp_path / "cut.safetensors": "cannot be read",
        folder: "contains 0 .safetensors files",
    }.items():
        with pytest.raises(UserError, match=reason):
            generator.load_lora(path)
    for name in "ab":
        (folder / f"{name}.safetensors").touch()
    with pytest.raises(UserError, match=r"contains 2 .safetensors files.*give the path of the file"):
        generator.load_lora(folder)
