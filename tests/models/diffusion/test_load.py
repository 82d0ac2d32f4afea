"""Loading: quietly, safetensors alone, and what is wrong in plain words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tckr.errors import UserError
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import FAMILIES, load_generator
from tests.models.diffusion.drawing import draw
from tests.tiny_generators import IMAGE_SIZES, build_family
from tests.tiny_models import quantise


def test_loading_and_drawing_print_nothing(
    family: str, families: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    generator = load_generator(str(families[family]), "cpu")
    generator.add_lora(2, seed=0)
    generator.save_lora(tmp_path)
    loaded = load_generator(str(families[family]), "cpu")
    loaded.load_lora(tmp_path)
    loaded.encode_prompts(["x" * 600])
    draw(loaded, IMAGE_SIZES[family])
    assert "".join(capfd.readouterr()) == ""


def test_half_precision_gives_nearly_the_same_images(
    family: str, families: dict[str, Path], generator: LatentDiffusion
) -> None:
    """The noise is sampled in float32, whatever type the weights have, so images are alike."""
    half = load_generator(str(families[family]), "cpu", torch.bfloat16)
    assert half.dtype == torch.bfloat16
    size = IMAGE_SIZES[family]
    exact, rounded = (draw(model, size, steps=2).astype(int) for model in (generator, half))
    assert abs(exact - rounded).mean() < 0.5 * exact.std()
    latents = half.encode_images(torch.rand(1, 3, size, size))[:, :4].float()
    told = {name: rows.clone() for name, rows in half.encode_prompts(["a"]).items()}
    loss = half.training_loss(latents, told, torch.randn_like(latents), torch.tensor([50]))
    assert loss.dtype == torch.float32


def test_autoencoder_of_sdxl_stays_in_float32_where_float16_overflows(families: dict[str, Path]) -> None:
    for name, expected in {"sdxl": torch.float32, "sd1": torch.float16}.items():
        assert load_generator(str(families[name]), "cpu", torch.float16).pipeline.vae.dtype == expected
    assert load_generator(str(families["sdxl"]), "cpu", torch.bfloat16).pipeline.vae.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["{tmp}/missing", "embedded:unknown", "not a valid name!"])
def test_missing_generator_is_a_user_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"could not be loaded|embedded:generator"):
        load_generator(name.format(tmp=tmp_path), "cpu")


def test_unreachable_hub_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"'nobody/nothing' could not be loaded.*hf download.*embedded:generator"):
        load_generator("nobody/nothing", "cpu")


def test_unsupported_family_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "KandinskyPipeline"}))
    with pytest.raises(UserError, match=r"a KandinskyPipeline.*expected one of " + ", ".join(FAMILIES)):
        load_generator(str(tmp_path), "cpu")


def _age(weights: dict[str, torch.Tensor], _: str) -> None:
    """Give a text encoder the names of published checkpoints: a prefix, and a buffer that newer versions do not have."""
    for name in list(weights):
        weights[f"text_model.{name.removeprefix('text_model.')}"] = weights.pop(name)
    weights["text_model.embeddings.position_ids"] = torch.arange(24)[None]


def _change(checkpoint: Path, part: str, change: Callable[[dict[str, torch.Tensor], str], None]) -> None:
    """Rewrite the weights of a part after `change` did something to one of them."""
    file = next((checkpoint / part).glob("*.safetensors"))
    weights = load_file(file)
    change(weights, sorted(weights)[len(weights) // 2])
    save_file(weights, file, metadata={"format": "pt"})


def _cut(weights: dict[str, torch.Tensor], name: str) -> None:
    weights[name] = weights[name].flatten()[:-1].clone()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_weight_that_would_stay_random_is_refused(tmp_path: Path, tiny_generator: Path, part: str) -> None:
    """Pipelines of diffusers and transformers alone would load it: the text encoder without a word."""
    shutil.copytree(tiny_generator, tmp_path / "lacking")
    _change(tmp_path / "lacking", part, lambda weights, name: weights.__delitem__(name))
    with pytest.raises(UserError, match=rf"the {part} \(.*of its weights 1 is missing .*would be random"):
        load_generator(str(tmp_path / "lacking"), "cpu")
    shutil.copytree(tiny_generator, tmp_path / "cut")
    _change(tmp_path / "cut", part, _cut)
    with pytest.raises(UserError, match="another size" if part == "text_encoder" else "expected shape"):  # diffusers' own
        load_generator(str(tmp_path / "cut"), "cpu")


def _reconfigure(checkpoint: Path, part: str, changes: dict[str, object]) -> None:
    file = checkpoint / part / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("kind", "part", "changes"),
    [
        ("sd1", "text_encoder", {"num_hidden_layers": 0}),
        ("sdxl", "text_encoder_2", {"num_hidden_layers": 1}),
        ("sdxl", "unet", {"addition_embed_type": None}),
        ("sd1", "vae", {"layers_per_block": 0}),
        ("sd3", "text_encoder_3", {"num_layers": 0}),
        ("sana", "transformer", {"num_layers": 1}),
        ("flux", "transformer", {"num_single_layers": 0}),
        ("flux", "transformer", {"guidance_embeds": False}),
    ],
)
def test_weights_that_no_part_has_a_place_for_are_refused_by_name(
    kind: str, part: str, changes: dict[str, object], tmp_path: Path
) -> None:
    """The checkpoint of another depth or kind than its configuration says: the libraries load what fits of it."""
    build_family(kind, tmp_path)
    _reconfigure(tmp_path, part, changes)
    with pytest.raises(UserError, match=rf"the {part} \(.*(is|are) left over \(.*[._]"):
        load_generator(str(tmp_path), "cpu")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_weights_under_other_names_are_refused(prefix: str, part: str, tmp_path: Path, tiny_generator: Path) -> None:
    def wrap(weights: dict[str, torch.Tensor], _: str) -> None:
        for name in list(weights):
            weights[f"{prefix}{name}"] = weights.pop(name)

    shutil.copytree(tiny_generator, tmp_path / "wrapped")
    _change(tmp_path / "wrapped", part, wrap)
    with pytest.raises(UserError, match=rf"the {part} \(.*are missing"):
        load_generator(str(tmp_path / "wrapped"), "cpu")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_truncated_file_is_a_user_error(tmp_path: Path, tiny_generator: Path, part: str) -> None:
    shutil.copytree(tiny_generator, tmp_path / "truncated")
    file = next((tmp_path / "truncated" / part).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"could not be loaded.*Download or copy the folder again"):
        load_generator(str(tmp_path / "truncated"), "cpu")


def test_text_encoders_under_the_names_of_older_versions_are_complete(tmp_path: Path, tiny_generator: Path) -> None:
    shutil.copytree(tiny_generator, tmp_path / "old")
    _change(tmp_path / "old", "text_encoder", _age)
    old, new = (
        load_generator(str(folder), "cpu").encode_prompts(["a cat"]) for folder in (tmp_path / "old", tiny_generator)
    )
    assert all(torch.equal(old[name], new[name]) for name in new)
    _reconfigure(tmp_path / "old", "text_encoder", {"num_hidden_layers": 0})
    with pytest.raises(UserError, match=r"the text_encoder \(.*are left over \(encoder\.layers\.0"):
        load_generator(str(tmp_path / "old"), "cpu")


def test_autoencoders_under_the_names_of_older_versions_are_complete(tmp_path: Path) -> None:
    """As in the first published checkpoints: no weight of its attention is left over."""

    def age(weights: dict[str, torch.Tensor], _: str) -> None:
        for name in [name for name in weights if "attentions" in name]:
            old = name
            for new_part, old_part in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
                old = old.replace(f".{new_part}.", f".{old_part}.")
            weights[old] = weights.pop(name)

    build_family("sd1", tmp_path)
    expected = load_generator(str(tmp_path), "cpu").pipeline.vae.state_dict()
    _change(tmp_path, "vae", age)
    found = load_generator(str(tmp_path), "cpu").pipeline.vae.state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("unet", {"block_out_channels": [8, 40_000_000]}),
        ("unet", {"block_out_channels": "wide"}),
        ("unet", {"down_block_types": ["NoSuchBlock", "CrossAttnDownBlock2D"]}),
        ("vae", {"latent_channels": None}),
        ("text_encoder", {"num_hidden_layers": "two"}),
        ("text_encoder", {"hidden_size": 17}),
    ],
)
def test_a_configuration_of_nonsense_is_refused_in_a_sentence(part: str, changes: dict[str, object], tmp_path: Path) -> None:
    build_family("sd1", tmp_path)
    file = tmp_path / part / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(UserError, match=r"could not be loaded|is missing|are missing|are of another size"):
        load_generator(str(tmp_path), "cpu")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused_where_they_are_read(
    value: float, part: str, tmp_path: Path, tiny_generator: Path
) -> None:
    shutil.copytree(tiny_generator, tmp_path / "broken")
    _change(tmp_path / "broken", part, lambda weights, name: weights[name].view(-1)[:1].fill_(value))
    with pytest.raises(UserError, match=rf"the {part} \(.*of its weights 1 contain NaN or infinity \("):
        load_generator(str(tmp_path / "broken"), "cpu")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_quantised_weights_without_their_scales_are_refused(part: str, tmp_path: Path, tiny_generator: Path) -> None:
    shutil.copytree(tiny_generator, tmp_path / "quantised")
    _change(tmp_path / "quantised", part, lambda weights, _: quantise(weights))
    with pytest.raises(UserError, match=rf"the {part} \(.*of its weights .* contain only integers, as quantised"):
        load_generator(str(tmp_path / "quantised"), "cpu")


@pytest.mark.parametrize("part", ["tokenizer", "scheduler", "vae"])
def test_a_part_that_is_absent_is_named(part: str, tmp_path: Path, tiny_generator: Path) -> None:
    shutil.copytree(tiny_generator, tmp_path / "copy", ignore=shutil.ignore_patterns(part))
    with pytest.raises(UserError, match=f"has no folder {part}"):
        load_generator(str(tmp_path / "copy"), "cpu")


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 0}),
        ("vae/config.json", {"scaling_factor": None}),
        ("vae/config.json", {"scaling_factor": 0}),
    ],
)
def test_numbers_that_cannot_be_sampled_with_are_refused(
    file: str, changes: dict[str, object], tmp_path: Path, tiny_generator: Path
) -> None:
    shutil.copytree(tiny_generator, tmp_path / "copy")
    path = tmp_path / "copy" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=f"{next(iter(changes))} = .* in {file}; expected a positive number"):
        load_generator(str(tmp_path / "copy"), "cpu")
