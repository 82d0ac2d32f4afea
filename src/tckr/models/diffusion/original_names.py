"""Names of the layers of a denoiser in the code of its authors, if diffusers renamed them.

Kohya's scripts and ComfyUI save adapters of SDXL, SD 3 and Flux under these names. Several layers of diffusers may be one
original layer, whose rows are then stacked. Layers whose rows diffusers orders differently (the last modulation) have no
original name here, so an adapter for them is rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Names = Iterator[tuple[str, tuple[str, ...]]]

RESNET = {
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
EMBEDDERS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.2": "conv_out",
}
SD3_EMBEDDERS = {
    "x_embedder.proj": "pos_embed.proj",
    "context_embedder": "context_embedder",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
FLUX_EMBEDDERS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}


def original_names(pipeline: str, denoiser: Any) -> dict[str, tuple[str, ...]]:
    """Return name in the authors' code -> layers of diffusers, for a pipeline class; `denoiser` may lack some."""
    return dict(NAMED[pipeline](denoiser)) if pipeline in NAMED else {}


def _unet(denoiser: Any) -> Names:
    """Number blocks as the UNet of Stable Diffusion does: one list down, one list up, including resamplers."""
    yield from _one_to_one(EMBEDDERS)
    number = 1
    for i, block in enumerate(denoiser.down_blocks):
        for j, _ in enumerate(block.resnets):
            yield from _block(f"input_blocks.{number}", f"down_blocks.{i}", j, block)
            number += 1
        if getattr(block, "downsamplers", None):
            yield f"input_blocks.{number}.0.op", (f"down_blocks.{i}.downsamplers.0.conv",)
            number += 1
    for resnet, place in enumerate((0, 2)):
        yield from _resnet(f"middle_block.{place}", f"mid_block.resnets.{resnet}")
    yield from _transformer("middle_block.1", "mid_block.attentions.0", denoiser.mid_block.attentions[0])
    number = 0
    for i, block in enumerate(denoiser.up_blocks):
        for j, _ in enumerate(block.resnets):
            yield from _block(f"output_blocks.{number}", f"up_blocks.{i}", j, block)
            number += 1
        if getattr(block, "upsamplers", None):
            place = 2 if getattr(block, "attentions", None) else 1
            yield f"output_blocks.{number - 1}.{place}.conv", (f"up_blocks.{i}.upsamplers.0.conv",)


def _block(original: str, block: str, number: int, module: Any) -> Names:
    yield from _resnet(f"{original}.0", f"{block}.resnets.{number}")
    if getattr(module, "attentions", None):
        yield from _transformer(f"{original}.1", f"{block}.attentions.{number}", module.attentions[number])


def _resnet(original: str, name: str) -> Names:
    yield from ((f"{original}.{theirs}", (f"{name}.{ours}",)) for theirs, ours in RESNET.items())


def _transformer(original: str, name: str, module: Any) -> Names:
    """Within a transformer the names are the same."""
    yield from ((f"{original}.{layer}", (f"{name}.{layer}",)) for layer, _ in module.named_modules() if layer)


def _sd3(denoiser: Any) -> Names:
    yield from _one_to_one(SD3_EMBEDDERS)
    for i, block in enumerate(denoiser.transformer_blocks):
        original, name = f"joint_blocks.{i}", f"transformer_blocks.{i}"
        image, text = f"{original}.x_block", f"{original}.context_block"
        yield f"{image}.attn.qkv", _several(f"{name}.attn", "to_q", "to_k", "to_v")
        yield f"{text}.attn.qkv", _several(f"{name}.attn", "add_q_proj", "add_k_proj", "add_v_proj")
        yield f"{image}.attn2.qkv", _several(f"{name}.attn2", "to_q", "to_k", "to_v")
        yield f"{image}.attn2.proj", (f"{name}.attn2.to_out.0",)
        yield f"{image}.attn.proj", (f"{name}.attn.to_out.0",)
        yield f"{text}.attn.proj", (f"{name}.attn.to_add_out",)
        yield from _feed_forward(image, name, ("mlp.fc1", "mlp.fc2"), "ff")
        yield from _feed_forward(text, name, ("mlp.fc1", "mlp.fc2"), "ff_context")
        yield f"{image}.adaLN_modulation.1", (f"{name}.norm1.linear",)
        if not block.context_pre_only:  # there diffusers swaps scale and shift
            yield f"{text}.adaLN_modulation.1", (f"{name}.norm1_context.linear",)


def _flux(denoiser: Any) -> Names:
    yield from _one_to_one(FLUX_EMBEDDERS)
    for i, _ in enumerate(denoiser.transformer_blocks):
        original, name = f"double_blocks.{i}", f"transformer_blocks.{i}"
        image = _several(f"{name}.attn", "to_q", "to_k", "to_v")
        text = _several(f"{name}.attn", "add_q_proj", "add_k_proj", "add_v_proj")
        yield from ((f"{original}.img_attn.qkv", image), (f"{original}.txt_attn.qkv", text))
        yield from ((f"{original}.processor.qkv_lora1", image), (f"{original}.processor.qkv_lora2", text))
        for theirs in ("img_attn.proj", "processor.proj_lora1"):
            yield f"{original}.{theirs}", (f"{name}.attn.to_out.0",)
        for theirs in ("txt_attn.proj", "processor.proj_lora2"):
            yield f"{original}.{theirs}", (f"{name}.attn.to_add_out",)
        yield from _feed_forward(original, name, ("img_mlp.0", "img_mlp.2"), "ff")
        yield from _feed_forward(original, name, ("txt_mlp.0", "txt_mlp.2"), "ff_context")
        yield f"{original}.img_mod.lin", (f"{name}.norm1.linear",)
        yield f"{original}.txt_mod.lin", (f"{name}.norm1_context.linear",)
    for i, _ in enumerate(denoiser.single_transformer_blocks):
        yield from _flux_single(f"single_blocks.{i}", f"single_transformer_blocks.{i}")


def _flux_single(original: str, name: str) -> Names:
    attention = _several(f"{name}.attn", "to_q", "to_k", "to_v")
    yield f"{original}.linear1", (*attention, f"{name}.proj_mlp")
    yield f"{original}.processor.qkv", attention  # XLabs
    yield f"{original}.modulation.lin", (f"{name}.norm.linear",)
    for theirs in ("linear2", "processor.proj"):
        yield f"{original}.{theirs}", (f"{name}.proj_out",)


def _feed_forward(original: str, name: str, theirs: tuple[str, str], ours: str) -> Names:
    first, second = theirs
    yield f"{original}.{first}", (f"{name}.{ours}.net.0.proj",)
    yield f"{original}.{second}", (f"{name}.{ours}.net.2",)


def _several(parent: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{parent}.{name}" for name in names)


def _one_to_one(names: dict[str, str]) -> Names:
    yield from ((theirs, (ours,)) for theirs, ours in names.items())


NAMED: dict[str, Callable[[Any], Names]] = {
    "StableDiffusionPipeline": _unet,
    "StableDiffusionXLPipeline": _unet,
    "StableDiffusion3Pipeline": _sd3,
    "FluxPipeline": _flux,
}
