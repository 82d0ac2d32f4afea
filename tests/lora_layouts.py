"""LoRA files in the layouts that people publish, on tiny checkpoints: what each must change, or why it must be refused.

The names are written out by hand, and the expected change is scale x up x down: nothing is taken from a converter.
`python -m tests.lora_layouts` writes the table of docs/generators.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

KOHYA, PEFT, DOTTED, PROCESSOR = (
    (".lora_down.weight", ".lora_up.weight"),
    (".lora_A.weight", ".lora_B.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    ("_lora.down.weight", "_lora.up.weight"),
)
NAMED_PEFT = (".lora_A.default.weight", ".lora_B.default.weight")
OLD_ENCODER = (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight")
XLABS = (".down.weight", ".up.weight")
DOCS = Path(__file__).parents[1] / "docs" / "generators.md"
BEGIN, END = "<!-- layouts: written by `python -m tests.lora_layouts` -->", "<!-- end of layouts -->"

Alpha = Callable[[int, int], float | None]
"""Of the number of a layer and its rank."""


def nowhere(number: int, rank: int) -> None:
    return None


def everywhere(number: int, rank: int) -> float:
    return 2.0


def differing(number: int, rank: int) -> float | None:
    return (1.0, None, 12.0)[number % 3]


@dataclass(frozen=True)
class Layout:
    """One kind of file.

    Attributes:
        title: for the docs.
        family: key of `tests.tiny_generators.BUILDERS`.
        names: name of a layer in the file -> the layers that it covers, as `part:name`.
        suffixes: of the two matrices.
        alpha: per layer; None = not stated.
        ranks: taken in turn.
        dtype: of the matrices.
        spoil: changes the tensors after they were made.
        reason: of the refusal, a regular expression; "" = it is loaded.
        metadata: of the safetensors file.
        settings: adapter_config.json beside it.
        scale: what the file's settings make of the strength, from the rank.
    """

    title: str
    family: str
    names: dict[str, tuple[str, ...]]
    suffixes: tuple[str, str] = KOHYA
    alpha: Alpha = nowhere
    ranks: tuple[int, ...] = (4,)
    dtype: torch.dtype = torch.float32
    spoil: Callable[[dict[str, torch.Tensor]], object] = lambda tensors: None
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] | None = None
    scale: Callable[[str, int], float] = lambda name, rank: 1.0


def write(layout: Layout, weights: dict[str, torch.Tensor], folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Write the file; return it, and layer -> the change that it states, float64 of the shape of its weight.

    Args:
        layout: of the file.
        weights: `part:name` -> weight of the pipeline.
        folder: to write into.
    """
    draws = torch.Generator().manual_seed(0)
    tensors, expected = {}, {}
    for number, (name, covered) in enumerate(layout.names.items()):
        rank = layout.ranks[number % len(layout.ranks)]
        shape = weights[covered[0]].shape[1:]
        rows = [len(weights[layer]) for layer in covered]
        down = torch.randn(rank, *shape, generator=draws).to(layout.dtype)
        up = torch.randn(sum(rows), rank, *(1,) * (len(shape) - 1), generator=draws).to(layout.dtype)
        tensors |= {f"{name}{layout.suffixes[0]}": down, f"{name}{layout.suffixes[1]}": up}
        alpha = layout.alpha(number, rank)
        if alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
        scale = layout.scale(name, rank) if alpha is None else alpha / rank
        product = scale * up.double().flatten(1).numpy() @ down.double().flatten(1).numpy()
        parts = np.split(product, np.cumsum(rows)[:-1])
        expected |= {layer: part.reshape(-1, *shape) for layer, part in zip(covered, parts, strict=True)}
    layout.spoil(tensors)
    file = folder / ("adapter_model.safetensors" if layout.settings else "adapter.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, layout.metadata or None)
    if layout.settings:
        (folder / "adapter_config.json").write_text(json.dumps(layout.settings))
    return file, expected


DOWN = "down_blocks.1.attentions.0.transformer_blocks.0"
MID = "mid_block.attentions.0.transformer_blocks.0"
UP = "up_blocks.0.attentions.1.transformer_blocks.0"
ENCODER = "encoder.layers.0.self_attn"


def same(prefix: str, *layers: str, part: str = "unet", underscores: bool = False) -> dict[str, tuple[str, ...]]:
    """Return names that are a prefix and diffusers' own."""
    return {f"{prefix}{layer.replace('.', '_') if underscores else layer}": (f"{part}:{layer}",) for layer in layers}


UNET = (f"{DOWN}.attn1.to_q", f"{DOWN}.attn2.to_k", f"{MID}.attn1.to_out.0", f"{UP}.ff.net.2")
KOHYA_SD = same("lora_unet_", *UNET, underscores=True) | {
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj": (f"text_encoder:{ENCODER}.q_proj",),
    "lora_te_text_model_encoder_layers_0_mlp_fc1": ("text_encoder:encoder.layers.0.mlp.fc1",),
}
SGM = {
    "input_blocks.3.1.transformer_blocks.0.attn1.to_q": (f"unet:{DOWN}.attn1.to_q",),
    "input_blocks.3.1.proj_in": ("unet:down_blocks.1.attentions.0.proj_in",),
    "middle_block.1.transformer_blocks.0.ff.net.0.proj": (f"unet:{MID}.ff.net.0.proj",),
    "output_blocks.1.1.transformer_blocks.0.attn2.to_v": (f"unet:{UP}.attn2.to_v",),
}
SGM_CONVOLUTIONS = {
    "input_blocks.1.0.in_layers.2": ("unet:down_blocks.0.resnets.0.conv1",),
    "input_blocks.2.0.op": ("unet:down_blocks.0.downsamplers.0.conv",),
    "middle_block.2.out_layers.3": ("unet:mid_block.resnets.1.conv2",),
    "output_blocks.1.2.conv": ("unet:up_blocks.0.upsamplers.0.conv",),
    "output_blocks.3.0.skip_connection": ("unet:up_blocks.1.resnets.1.conv_shortcut",),
    "time_embed.2": ("unet:time_embedding.linear_2",),
    "label_emb.0.0": ("unet:add_embedding.linear_1",),
}
CLIP_1 = {"text_model_encoder_layers_1_self_attn_k_proj": ("text_encoder:encoder.layers.1.self_attn.k_proj",)}
CLIP_2 = {"text_model_encoder_layers_1_mlp_fc2": ("text_encoder_2:text_model.encoder.layers.1.mlp.fc2",)}


def kohya(names: dict[str, tuple[str, ...]], prefix: str = "lora_unet_") -> dict[str, tuple[str, ...]]:
    """Return the names with underscores after Kohya's prefix."""
    return {f"{prefix}{name.replace('.', '_')}": covered for name, covered in names.items()}


def before(prefix: str, names: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {f"{prefix}{name}": covered for name, covered in names.items()}


def of(part: str, *layers: str) -> tuple[str, ...]:
    return tuple(f"{part}:{layer}" for layer in layers)


ATTENTION = "transformer_blocks.0.attn"
SD3 = {
    "joint_blocks.0.x_block.attn.qkv": of("transformer", *(f"{ATTENTION}.to_{x}" for x in "qkv")),
    "joint_blocks.0.context_block.attn.qkv": of("transformer", *(f"{ATTENTION}.add_{x}_proj" for x in "qkv")),
    "joint_blocks.0.x_block.attn.proj": of("transformer", f"{ATTENTION}.to_out.0"),
    "joint_blocks.0.context_block.attn.proj": of("transformer", f"{ATTENTION}.to_add_out"),
    "joint_blocks.1.x_block.mlp.fc1": of("transformer", "transformer_blocks.1.ff.net.0.proj"),
    "joint_blocks.0.context_block.adaLN_modulation.1": of("transformer", "transformer_blocks.0.norm1_context.linear"),
}
SINGLE = "single_transformer_blocks.0"
FLUX = {
    "double_blocks.0.img_attn.qkv": SD3["joint_blocks.0.x_block.attn.qkv"],
    "double_blocks.0.txt_attn.qkv": SD3["joint_blocks.0.context_block.attn.qkv"],
    "double_blocks.0.txt_attn.proj": of("transformer", f"{ATTENTION}.to_add_out"),
    "double_blocks.0.img_mlp.2": of("transformer", "transformer_blocks.0.ff.net.2"),
    "double_blocks.0.txt_mod.lin": of("transformer", "transformer_blocks.0.norm1_context.linear"),
    "single_blocks.0.linear1": of("transformer", *(f"{SINGLE}.attn.to_{x}" for x in "qkv"), f"{SINGLE}.proj_mlp"),
    "single_blocks.0.linear2": of("transformer", f"{SINGLE}.proj_out"),
}
XLABS_FLUX = {
    "double_blocks.0.processor.qkv_lora1": FLUX["double_blocks.0.img_attn.qkv"],
    "double_blocks.0.processor.qkv_lora2": FLUX["double_blocks.0.txt_attn.qkv"],
    "double_blocks.0.processor.proj_lora1": of("transformer", f"{ATTENTION}.to_out.0"),
    "double_blocks.0.processor.proj_lora2": of("transformer", f"{ATTENTION}.to_add_out"),
}
T5 = {"encoder_block_0_layer_0_SelfAttention_q": ("text_encoder_2:encoder.block.0.layer.0.SelfAttention.q",)}
JOINT = (f"{ATTENTION}.to_q", f"{ATTENTION}.add_k_proj", f"{ATTENTION}.to_add_out")
FLUX_OWN = (*JOINT, f"{SINGLE}.proj_out")
PEFT_SETTINGS: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 12, "init_lora_weights": True}


def written_by_diffusers(**settings: Any) -> dict[str, str]:
    return {"format": "pt", "lora_adapter_metadata": json.dumps({f"unet.{name}": value for name, value in settings.items()})}


LOADED = [
    Layout("Kohya, SD 1, alpha everywhere", "sd1", KOHYA_SD, alpha=everywhere),
    Layout("Kohya, SD 1, no alpha", "sd1", KOHYA_SD),
    Layout("Kohya, SD 1, alpha differs or is missing", "sd1", KOHYA_SD, alpha=differing, ranks=(4, 2, 8)),
    Layout(
        "Kohya, SD 1, denoiser alone, alpha differs or is missing",
        "sd1",
        same("lora_unet_", *UNET, underscores=True),
        alpha=differing,
    ),
    Layout("Kohya, SD 2, float16", "sd2", KOHYA_SD, alpha=everywhere, dtype=torch.float16),
    Layout(
        "Kohya, SDXL (sgm names), both text encoders",
        "sdxl",
        kohya(SGM) | kohya(CLIP_1, "lora_te1_") | kohya(CLIP_2, "lora_te2_"),
        alpha=differing,
    ),
    Layout("Kohya, SDXL, convolutions (LoCon)", "sdxl", kohya(SGM_CONVOLUTIONS), alpha=everywhere, ranks=(2, 4)),
    Layout("Kohya, SD 3", "sd3", kohya(SD3) | kohya(CLIP_2, "lora_te2_"), alpha=differing, dtype=torch.bfloat16),
    Layout("Kohya, Flux", "flux", kohya(FLUX), alpha=differing, ranks=(4, 2)),
    Layout("Kohya, Flux, CLIP and T5", "flux", kohya(FLUX) | kohya(CLIP_1, "lora_te1_") | kohya(T5, "lora_te3_")),
    Layout(
        "LCM-LoRA (Kohya with diffusers' names), SDXL", "sdxl", same("lora_unet_", *UNET, underscores=True), alpha=everywhere
    ),
    Layout(
        "OneTrainer, SD 3", "sd3", same("lora_transformer_", *JOINT, part="transformer", underscores=True), alpha=everywhere
    ),
    Layout(
        "OneTrainer, Flux, T5",
        "flux",
        same("lora_transformer_", *FLUX_OWN, part="transformer", underscores=True) | kohya(T5, "lora_te2_"),
        alpha=differing,
    ),
    Layout("ComfyUI, SDXL (sgm names)", "sdxl", before("diffusion_model.", SGM), PEFT),
    Layout("ComfyUI, Flux", "flux", before("diffusion_model.", FLUX), PEFT, alpha=everywhere),
    Layout("ComfyUI, SD 3, float8", "sd3", before("diffusion_model.", SD3), KOHYA, dtype=torch.float8_e4m3fn),
    Layout(
        "ai-toolkit (diffusion_model. and diffusers' names), Flux",
        "flux",
        same("diffusion_model.", *FLUX_OWN, part="transformer"),
        PEFT,
    ),
    Layout(
        "prefixes mixed, Flux",
        "flux",
        before("diffusion_model.", dict(list(FLUX.items())[:1]))
        | same("transformer.", f"{SINGLE}.proj_out", part="transformer"),
        PEFT,
    ),
    Layout("XLabs, Flux", "flux", XLABS_FLUX, XLABS),
    Layout("diffusers, SD 1", "sd1", same("unet.", *UNET), DOTTED),
    Layout(
        "diffusers, attention processors",
        "sd2",
        {f"unet.{DOWN}.attn1.processor.to_q": (f"unet:{DOWN}.attn1.to_q",)},
        PROCESSOR,
    ),
    Layout(
        "diffusers, attention processors, no prefix",
        "sd2",
        {f"{MID}.attn1.processor.to_out": (f"unet:{MID}.attn1.to_out.0",)},
        PROCESSOR,
    ),
    Layout(
        "diffusers, text encoder, old",
        "sd1",
        {f"text_encoder.text_model.{ENCODER}.q_proj": (f"text_encoder:{ENCODER}.q_proj",)},
        OLD_ENCODER,
    ),
    Layout(
        "diffusers, text encoder, oldest",
        "sd1",
        {f"text_encoder.text_model.{ENCODER}.to_v": (f"text_encoder:{ENCODER}.v_proj",)},
        PROCESSOR,
    ),
    Layout(
        "diffusers, alpha in the metadata",
        "sd1",
        same("unet.", *UNET),
        PEFT,
        metadata=written_by_diffusers(r=4, lora_alpha=8),
        scale=lambda name, rank: 2.0,
    ),
    Layout(
        "diffusers, ranks and alphas by pattern",
        "sd1",
        same("unet.", *UNET),
        PEFT,
        ranks=(4, 8),
        metadata=written_by_diffusers(
            r=4, lora_alpha=8, rank_pattern={"attn2.to_k": 8, "ff.net.2": 8}, alpha_pattern={"attn2.to_k": 2}
        ),
        scale=lambda name, rank: (2 if "attn2" in name else 8) / rank,
    ),
    Layout("diffusers, SD 3, float64", "sd3", same("transformer.", *JOINT, part="transformer"), PEFT, dtype=torch.float64),
    Layout("peft, float64, SDXL", "sdxl", same("unet.", *UNET), PEFT, dtype=torch.float64),
    Layout("peft, the adapter's name in the keys", "sd1", same("unet.", *UNET), NAMED_PEFT),
    Layout(
        "peft, save_pretrained",
        "sd1",
        same("base_model.model.", *UNET),
        PEFT,
        settings=PEFT_SETTINGS,
        scale=lambda name, rank: 3.0,
    ),
    Layout(
        "peft, save_pretrained, rsLoRA",
        "flux",
        same("base_model.model.", *FLUX_OWN, part="transformer"),
        PEFT,
        settings=PEFT_SETTINGS | {"use_rslora": True},
        scale=lambda name, rank: 6.0,
    ),
    Layout(
        "peft, alpha of one layer by its whole name (^)",
        "sd1",
        same("base_model.model.", *UNET),
        PEFT,
        settings=PEFT_SETTINGS | {"alpha_pattern": {f"^{UNET[0]}": 2, "^to_k": 99}},
        scale=lambda name, rank: 0.5 if name.endswith(UNET[0]) else 3.0,
    ),
    Layout("Kohya, SD 1, float8 of the other kind", "sd1", KOHYA_SD, alpha=everywhere, dtype=torch.float8_e5m2),
]


def put(name: str, value: torch.Tensor) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors.update({name: value})


def fill(value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: next(iter(tensors.values())).view(-1)[0].fill_(value)


def misspell(tensors: dict[str, torch.Tensor]) -> None:
    for name in [name for name in tensors if f"{MID}.attn1" in name]:
        tensors[name.replace("attn1", "atn1")] = tensors.pop(name)


ONE = torch.ones(16)
PLAIN = same("unet.", *UNET)
REFUSED = [
    Layout("DoRA", "sd1", PLAIN, PEFT, spoil=put(f"unet.{UNET[0]}.lora_magnitude_vector", ONE), reason="is DoRA"),
    Layout("DoRA, Kohya", "sd1", KOHYA_SD, spoil=put("lora_unet_x.dora_scale", ONE), reason="is DoRA"),
    Layout("LoHa (LyCORIS)", "sdxl", kohya(SGM), spoil=put("lora_unet_x.hada_w1_a", ONE), reason="is LoHa"),
    Layout("LoKr (LyCORIS)", "flux", kohya(FLUX), spoil=put("lycoris_x.lokr_w1", ONE), reason="is LoKr"),
    Layout(
        "LoCon with a third matrix", "sdxl", kohya(SGM), spoil=put("lora_unet_x.lora_mid.weight", ONE), reason="third matrix"
    ),
    Layout(
        "differences of biases (.diff_b)",
        "flux",
        before("diffusion_model.", FLUX),
        PEFT,
        spoil=put("diffusion_model.double_blocks.0.img_attn.qkv.diff_b", ONE),
        reason="differences of weights",
    ),
    Layout(
        "weights of norms",
        "flux",
        before("diffusion_model.", FLUX),
        PEFT,
        spoil=put("diffusion_model.double_blocks.0.img_attn.norm.query_norm.scale", ONE),
        reason="weights of norms",
    ),
    Layout("a bias (peft)", "sd1", PLAIN, PEFT, spoil=put(f"unet.{UNET[0]}.lora_B.bias", ONE), reason="is biases"),
    Layout(
        "text embeddings (OneTrainer)", "sdxl", kohya(SGM), spoil=put("bundle_emb.cat.clip_l", ONE), reason="text embeddings"
    ),
    Layout("one layer misspelt", "sd1", PLAIN, PEFT, spoil=misspell, reason="no layer for 1 of the 4 names.*atn1"),
    Layout(
        "text encoder that the pipeline lacks",
        "sd1",
        KOHYA_SD | {"lora_te3_x": (f"unet:{UNET[0]}",)},
        reason="no layer.*lora_te3_x",
    ),
    Layout(
        "another model's: SDXL on SD 1",
        "sd1",
        {"lora_unet_input_blocks_4_1_transformer_blocks_9_attn1_to_q": (f"unet:{UNET[0]}",)},
        reason="no layer",
    ),
    Layout(
        "last modulation of SD 3, whose rows diffusers reorders",
        "sd3",
        {"diffusion_model.final_layer.adaLN_modulation.1": ("transformer:norm_out.linear",)},
        reason="no layer",
    ),
    Layout(
        "one layer under two names", "sd1", same("unet.", UNET[0]) | same("base_model.model.", UNET[0]), PEFT, reason="twice"
    ),
    Layout(
        "two adapters",
        "sd1",
        same("unet.", UNET[0]),
        PEFT,
        spoil=lambda t: t.update({f"unet.{UNET[1]}.lora_{x}.b.weight": torch.ones(4, 4) for x in "AB"}),
        reason="several adapters",
    ),
    Layout("a matrix is missing", "sd1", PLAIN, PEFT, spoil=lambda t: t.popitem(), reason="is incomplete"),
    Layout("alpha without matrices", "sd1", KOHYA_SD, spoil=put("lora_unet_x.alpha", ONE[0]), reason="is incomplete"),
    Layout("NaN", "sd1", PLAIN, PEFT, spoil=fill(float("nan")), reason="not finite"),
    Layout("infinity", "flux", kohya(FLUX), dtype=torch.float16, spoil=fill(float("inf")), reason="not finite"),
    Layout(
        "alpha is NaN",
        "sd1",
        KOHYA_SD,
        alpha=lambda number, rank: float("nan"),
        reason="alpha' contains values that are not finite",
    ),
    Layout("integers", "sd1", PLAIN, PEFT, dtype=torch.int8, reason="expected a floating type"),
    Layout("up and down exchanged", "sd1", PLAIN, (PEFT[1], PEFT[0]), reason="is inconsistent"),
    Layout(
        "peft, PiSSA",
        "sd1",
        same("base_model.model.", *UNET),
        PEFT,
        settings=PEFT_SETTINGS | {"init_lora_weights": "pissa"},
        reason="initialised with 'pissa'",
    ),
    Layout(
        "peft, another method",
        "sd1",
        same("base_model.model.", *UNET),
        PEFT,
        settings=PEFT_SETTINGS | {"peft_type": "LOHA"},
        reason="'LOHA' of peft",
    ),
    Layout(
        "peft, settings of another adapter",
        "sd1",
        same("base_model.model.", *UNET),
        PEFT,
        settings=PEFT_SETTINGS | {"r": 8},
        reason="rank 4, but its settings give 8",
    ),
    *(
        Layout(
            f"peft, {title}",
            "sd1",
            same("base_model.model.", *UNET),
            PEFT,
            settings=PEFT_SETTINGS | {name: value},
            reason=f"trained with '{name}' of peft",
        )
        for title, name, value in (
            ("DoRA", "use_dora", True),
            ("aLoRA, in effect after a word", "alora_invocation_tokens", [7]),
            ("QALoRA", "use_qalora", True),
            ("layers repeated", "layer_replication", [[0, 1]]),
            ("biases trained", "bias", "lora_only"),
            ("a setting that is not known", "use_something_new", 1),
        )
    ),
    *(
        Layout(
            f"peft, {title}",
            "sd1",
            same("base_model.model.", *UNET),
            PEFT,
            settings=settings,
            reason=reason,
        )
        for title, settings, reason in (
            ("alpha not stated", {"peft_type": "LORA", "r": 4}, "'lora_alpha' = None; expected a number"),
            ("patterns that are none", PEFT_SETTINGS | {"rank_pattern": [8]}, r"the patterns \[8\]; expected names"),
        )
    ),
    Layout(
        "one layer in two notations",
        "sd1",
        PLAIN,
        PEFT,
        spoil=put(f"unet.{UNET[0]}.lora.down.weight", torch.ones(4, 16)),
        reason="twice, under different names",
    ),
    Layout(
        "one alpha in two notations",
        "sd1",
        PLAIN,
        PEFT,
        alpha=everywhere,
        spoil=put(f"unet.{UNET[0]}.lora.alpha", ONE[0]),
        reason="twice, under different names",
    ),
    Layout(
        "rank 0",
        "sd1",
        PLAIN,
        PEFT,
        alpha=everywhere,
        spoil=lambda t: t.update(
            {name: t[name][:0] if "lora_A" in name else t[name][:, :0] for name in t if "alpha" not in name}
        ),
        reason="rank 0",
    ),
    Layout(
        "alpha stated twice",
        "sd1",
        PLAIN,
        PEFT,
        alpha=everywhere,
        metadata=written_by_diffusers(r=4, lora_alpha=8),
        reason="alpha twice",
    ),
]


def table() -> str:
    """Return the table of docs/generators.md."""
    rows = ["| file | result |", "|---|---|"]
    rows += [f"| {layout.title} | loaded |" for layout in LOADED]
    return "\n".join([*rows, *(f"| {layout.title} | refused |" for layout in REFUSED)])


def with_table(page: str) -> str:
    """Return the page with the table as it should be."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    DOCS.write_text(with_table(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
